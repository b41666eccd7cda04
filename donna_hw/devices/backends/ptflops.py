"""ptflops, the paper's counter of operations and parameters (A.2), with its `aten` backend, which counts MACs."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import ClassVar

from donna_hw.devices.backends.base import Availability, ExactBackend
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.graph import INPUT, Graph, Layer
from donna_hw.measurement.environment import Environment, Scalar, host_conditions


class PtflopsBackend(ExactBackend):
    """Counts one image's multiply-accumulates, or the trainable parameters. options: count, `macs` or `params`.

    ptflops's default backend adds batch-norm, activations and pools to its count; `aten` counts
    multiply-accumulates, and one more for each output element of a layer that has a bias. Fused attention, which it does not support,
    is added by `count_module`. A block's count is the sum of its layers' counts, and a layer that many blocks share is counted once.
    A layer of type int8 has the count of its float32 counterpart.
    """

    origin = "computed"
    chunk_size = 512
    dtypes: ClassVar = ("float32", "int8")
    options: ClassVar = {"count": "macs"}

    def __init__(self, batch: int, options: dict[str, Scalar]) -> None:
        super().__init__(batch, options)
        if self.settings["count"] not in ("macs", "params"):
            raise UnknownNameError("unknown count", got=str(self.settings["count"]), choices=("macs", "params"))
        self.quantity = str(self.settings["count"])
        self._counts: dict[Layer, int] = {}

    @classmethod
    def availability(cls) -> Availability:
        """Always available: ptflops is a dependency of donna_hw."""
        return Availability(True)

    def environment(self) -> Environment:
        """Return the counter and its version; there is no device."""
        identity: dict[str, Scalar] = {
            "device_model": "none: computed",
            "runtime": f"ptflops {version('ptflops')}, backend aten",
            "dtype": "float32",
        }
        return Environment(identity, host_conditions())

    def cost(self, graph: Graph) -> float:
        """Return the count for one image, the sum over its layers; raises `ConfigError` when a layer cannot be counted."""
        return float(sum(self._count_layer(layer) for layer in graph.layers))

    def _count_layer(self, layer: Layer) -> int:
        """Return a layer's count; ptflops runs once for all layers that differ in name and inputs only."""
        key = replace(layer, name="layer", inputs=(INPUT,) * len(layer.inputs), dtype="float32")
        if key not in self._counts:
            self._counts[key] = self._run_ptflops(Graph(layer.in_shape, (key,)))
        return self._counts[key]

    def _run_ptflops(self, graph: Graph) -> int:
        import torch

        from donna_hw.graph.flops import count_module
        from donna_hw.graph.torch_module import to_torch

        with torch.device("meta"):  # shapes only: nothing is computed
            counts = count_module(to_torch(graph), graph.input_shape)
        if counts.uncounted:
            raise ConfigError("operators that cannot be counted", got=", ".join(counts.uncounted))
        return counts.macs if self.quantity == "macs" else counts.params
