"""Types: which numbers the layers of a space hold, what a backend can run of them, and how a table says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from donna_hw.devices.backends.base import Backend, BackendInfo
from donna_hw.errors import ConfigError
from donna_hw.graph.graph import Graph, graph_dtypes

DEFAULT_DTYPE = "float32"


def validate_dtypes(kind: type[Backend], device: str, graphs: Iterable[Graph]) -> None:
    """Raise `ConfigError` for a graph with layers of a type that a device's backend does not run: it would time others in their place."""
    for graph in graphs:
        others = graph_dtypes(graph) - set(kind.dtypes)
        if others:
            raise ConfigError(
                f"device {device} runs layers of {' and '.join(kind.dtypes)}",
                got=", ".join(sorted(others)),
                hint="measure the space without @precision or @int8, or use a device of backend onnxruntime",
            )


def with_dtypes(description: BackendInfo, graphs: Iterable[Graph]) -> BackendInfo:
    """Return what a backend says of itself with the types of the layers that it runs, such as `float32+int8`, in place of float32."""
    dtypes = frozenset[str]().union(*(graph_dtypes(graph) for graph in graphs))
    identity = description.environment.identity
    if dtypes <= {DEFAULT_DTYPE}:
        return description
    own = str(identity["dtype"])  # what float32 layers are run in
    name = "+".join(sorted({own if dtype == DEFAULT_DTYPE else dtype for dtype in dtypes}))
    environment = replace(description.environment, identity={**identity, "dtype": name})
    words = tuple(name if word == own else word for word in description.tags)
    return replace(description, environment=environment, tags=words)
