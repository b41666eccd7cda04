"""A fake of torch.cuda: a GPU with declared costs and its own clock, launched asynchronously; the arithmetic runs on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from donna_hw.graph.torch_module import LayerModule

MIB = 2**20


@dataclass
class FakeGpu:
    """Not a GPU. Every layer is one kernel: it costs the host `launch_ns`, and the device `kernel_ns` once the queue reaches it.

    `host_ns` is the time by the host's clock; at `free_ns` the device will have finished all that is queued. A launch beyond `queue`
    unfinished kernels waits for the oldest, as with a driver. `log` has all operations in order. The clock's rate is 1 GHz.
    """

    launch_ns: int = 10_000
    kernel_ns: int = 2_000
    replay_ns: int = 6_000
    flush_ns: int = 50_000
    record_ns: int = 700
    queue: int = 1024
    name: str = "FAKE GPU 9000"
    capability: tuple[int, int] = (9, 0)
    l2_bytes: int = MIB
    host_ns: int = 0
    free_ns: int = 0
    log: list[str] = field(default_factory=list)
    stream: str = "main"
    broken: Exception | None = None
    _pending: list[int] = field(default_factory=list)
    _captured: list[int] | None = None

    def launch(self, what: str, kernel_ns: int, cost_ns: int) -> None:
        """Queue a kernel and return at once, unless the queue is full."""
        if self.broken is not None:
            raise self.broken
        self.log.append(f"{what} on {self.stream}")
        self.host_ns += cost_ns
        if self._captured is not None:
            self._captured.append(kernel_ns)
            return
        self._pending = [end for end in self._pending if end > self.host_ns]
        if len(self._pending) >= self.queue:
            self.host_ns = self._pending.pop(0)
        self.free_ns = max(self.free_ns, self.host_ns) + kernel_ns
        self._pending.append(self.free_ns)

    def synchronize(self) -> None:
        if self._captured is not None:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        if self.broken is not None:
            raise self.broken
        self.log.append("synchronize")
        self.host_ns = max(self.host_ns, self.free_ns)

    @property
    def properties(self) -> SimpleNamespace:
        major, minor = self.capability
        return SimpleNamespace(
            name=self.name,
            major=major,
            minor=minor,
            total_memory=80 * 1024 * MIB - 12345,
            multi_processor_count=114,
            L2_cache_size=self.l2_bytes,
            uuid="0a0b0c0d-0000-0000-0000-000000000001",
        )

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
        """Replace torch.cuda by the fake; tensors of the GPU are on the CPU."""
        cuda: dict[str, Any] = {
            "is_available": lambda: True,
            "device_count": lambda: 2,
            "get_device_properties": lambda index: self.properties,
            "device": self._current_device,
            "synchronize": self.synchronize,
            "Event": lambda enable_timing: FakeEvent(self),
            "Stream": lambda: FakeStream("side"),
            "stream": self._on_stream,
            "current_stream": lambda: FakeStream(self.stream),
            "CUDAGraph": lambda: FakeGraph(self),
            "graph": self._capture,
            "empty_cache": self._empty_cache,
            "_sleep": lambda cycles: self.launch("hold", cycles, self.launch_ns),
        }
        for name, fake in cuda.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        monkeypatch.setattr("donna_hw.devices.backends.cuda.runner.cuda_device", lambda index: torch.device("cpu"))
        monkeypatch.setattr(
            "donna_hw.devices.backends.cuda.runner.time", SimpleNamespace(perf_counter_ns=lambda: self.host_ns)
        )
        layer_forward, zero = LayerModule.forward, torch.Tensor.zero_

        def forward(module: LayerModule, *inputs: torch.Tensor) -> torch.Tensor:
            self.launch("kernel", self.kernel_ns, self.launch_ns)
            return layer_forward(module, *inputs)

        def zero_(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.dtype == torch.uint8:
                self.launch(f"write {tensor.numel()} bytes", self.flush_ns, self.launch_ns)
            return zero(tensor)

        monkeypatch.setattr(LayerModule, "forward", forward)
        monkeypatch.setattr(torch.Tensor, "zero_", zero_)
        return self

    def _empty_cache(self) -> None:
        if self.broken is not None and not isinstance(self.broken, torch.cuda.OutOfMemoryError):
            raise self.broken
        self.log.append("empty_cache")

    @contextmanager
    def _current_device(self, index: int) -> Iterator[None]:
        self.log.append(f"device {index}")
        yield

    @contextmanager
    def _on_stream(self, stream: FakeStream) -> Iterator[None]:
        before, self.stream = self.stream, stream.name
        try:
            yield
        finally:
            self.stream = before

    @contextmanager
    def _capture(self, graph: FakeGraph, stream: FakeStream) -> Iterator[None]:
        self.synchronize()
        self.log.append("capture")
        with self._on_stream(stream):
            self._captured = graph.kernels
            try:
                yield
            finally:
                self._captured = None


@dataclass
class FakeStream:
    name: str

    def wait_stream(self, other: FakeStream) -> None:
        """Order is kept by the one queue of the fake."""


@dataclass
class FakeEvent:
    gpu: FakeGpu
    at_ns: int = -1

    def record(self) -> None:
        self.gpu.host_ns += self.gpu.record_ns
        self.at_ns = max(self.gpu.host_ns, self.gpu.free_ns)

    def query(self) -> bool:
        return self.gpu.host_ns >= self.at_ns

    def elapsed_time(self, end: FakeEvent) -> float:
        if not (self.query() and end.query()):
            raise RuntimeError("CUDA error: device not ready")
        return (end.at_ns - self.at_ns) / 1e6


@dataclass
class FakeGraph:
    gpu: FakeGpu
    kernels: list[int] = field(default_factory=list)

    def replay(self) -> None:
        self.gpu.launch("replay", sum(self.kernels), self.gpu.replay_ns)
