"""ptflops, the paper's counter of operations and parameters (A.2), with its `aten` backend, which counts MACs."""

from __future__ import annotations

import contextlib
import io
from importlib.metadata import version
from typing import ClassVar

from donna_hw import torchvision
from donna_hw.backends.base import Availability, ExactBackend
from donna_hw.blocks.layers import Graph
from donna_hw.errors import UnknownName
from donna_hw.measurement.environment import Environment, Scalar, host_conditions


class PtflopsBackend(ExactBackend):
    """Counts one image's multiply-accumulates, or the trainable parameters. options: count, `macs` or `params`.

    ptflops's default backend adds batch-norm, activations and pools to its count; `aten` counts
    multiply-accumulates, and one more for each output element of a layer that has a bias.
    It counts no fused attention: a space that has some must add it.
    """

    origin = "counted"
    options: ClassVar = {"count": "macs"}

    def __init__(self, batch: int, options: dict[str, Scalar]) -> None:
        super().__init__(batch, options)
        if self.settings["count"] not in ("macs", "params"):
            raise UnknownName("option count must be known", found=str(self.settings["count"]), known=("macs", "params"))
        self.quantity = str(self.settings["count"])

    @classmethod
    def availability(cls) -> Availability:
        """ptflops is a dependency of donna_hw, so always."""
        return Availability(True)

    def environment(self) -> Environment:
        """Return the counter and its version; no device is involved."""
        identity: dict[str, Scalar] = {
            "device_model": "none: counted",
            "runtime": f"ptflops {version('ptflops')}, backend aten",
            "dtype": "float32",
        }
        return Environment(identity, host_conditions())

    def cost(self, graph: Graph) -> float:
        """Return the count for one image as a whole number."""
        torchvision.ready()  # ptflops imports it where it is installed
        from ptflops import get_model_complexity_info

        from donna_hw.blocks.torch_module import to_torch

        with contextlib.redirect_stdout(io.StringIO()):
            macs, params = get_model_complexity_info(
                to_torch(graph, seed=0).eval(),
                graph.input_shape,
                as_strings=False,
                print_per_layer_stat=False,
                backend="aten",
            )
        return float(macs if self.settings["count"] == "macs" else params)
