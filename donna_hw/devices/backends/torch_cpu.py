"""PyTorch on this machine's CPU, eager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from donna_hw.devices.backends.base import Availability, Runner, TimingBackend
from donna_hw.devices.backends.timing_loop import time_calls
from donna_hw.errors import ConfigError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.environment import Environment, Scalar, cpu_model, host_conditions
from donna_hw.measurement.host_cpu import HostCpu
from donna_hw.measurement.measurement import Samples
from donna_hw.measurement.telemetry import Telemetry


class TorchCpuBackend(TimingBackend):
    """Times blocks in eager PyTorch. options: threads of one operator."""

    options: ClassVar = {"threads": 1}

    def __init__(self, batch: int, options: Mapping[str, Scalar]) -> None:
        super().__init__(batch, options)
        if int(self.settings["threads"]) < 1:
            raise ConfigError("option threads must be at least 1", got=self.settings["threads"])
        self._host = HostCpu()

    @classmethod
    def availability(cls) -> Availability:
        """Always available: PyTorch is a dependency of donna_hw."""
        return Availability(True)

    def environment(self) -> Environment:
        """Return the processor, PyTorch's version and the threads."""
        import torch

        identity = {
            "device_model": cpu_model(),
            "runtime": f"torch {torch.__version__}",
            "dtype": "float32",
            **self.settings,
        }
        return Environment(identity, host_conditions())

    def read_telemetry(self) -> Telemetry:
        """Return the CPU's telemetry."""
        return self._host.read_telemetry()

    def prepare(self, graph: Graph) -> Runner:
        """Build the block in evaluation mode with a random input."""
        return _EagerRunner(graph, self.batch, int(self.settings["threads"]))


class _EagerRunner(Runner):
    def __init__(self, graph: Graph, batch: int, threads: int) -> None:
        import torch

        from donna_hw.graph.torch_module import to_torch

        self._threads = threads
        self._module = to_torch(graph, seed=0).eval()
        self._image = torch.randn(batch, *graph.input_shape, generator=torch.Generator().manual_seed(0))

    def samples(self, count: int) -> Samples:
        """Run the module `count` times without recording gradients; the thread count is restored afterwards."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                return time_calls(lambda: self._module(self._image), count)
        finally:
            torch.set_num_threads(before)
