"""Number types: what the layers of a space hold, what a backend can run of them, and how a table records it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from donna_hw.devices.backends.base import Backend, BackendInfo
from donna_hw.errors import ConfigError
from donna_hw.graph.graph import Graph, graph_dtypes

DEFAULT_DTYPE = "float32"


def validate_dtypes(kind: type[Backend], device: str, graphs: Iterable[Graph]) -> None:
    """Raise `ConfigError` for layers of a type that a device's backend does not run: it would time other layers in their place."""
    for graph in graphs:
        unsupported = graph_dtypes(graph) - set(kind.dtypes)
        if unsupported:
            raise ConfigError(
                f"device {device} cannot run layers of {', '.join(sorted(unsupported))}, only of {' and '.join(kind.dtypes)}",
                hint="measure the space without @precision or @int8, or use a device of backend onnxruntime",
            )


def with_dtypes(info: BackendInfo, graphs: Iterable[Graph]) -> BackendInfo:
    """Return what a backend reports with the types of the layers that it runs, such as `float32+int8`, in place of float32."""
    dtypes = frozenset[str]().union(*(graph_dtypes(graph) for graph in graphs))
    identity = info.environment.identity
    if dtypes <= {DEFAULT_DTYPE}:
        return info
    native = str(identity["dtype"])  # what float32 layers are run in
    name = "+".join(sorted({native if dtype == DEFAULT_DTYPE else dtype for dtype in dtypes}))
    environment = replace(info.environment, identity={**identity, "dtype": name})
    tags = tuple(name if tag == native else tag for tag in info.tags)
    return replace(info, environment=environment, tags=tags)
