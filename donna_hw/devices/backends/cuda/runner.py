"""A block on a CUDA GPU: launched eagerly or replayed as a CUDA graph, timed by the host's clock and by the GPU's clock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from donna_hw.devices.backends.base import Runner
from donna_hw.devices.backends.cuda.precision import PRECISIONS, backend_flags
from donna_hw.errors import MeasurementError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.measurement import Samples

CAPTURE_WARMUP = 3  # runs before a capture, in which cuDNN chooses its kernels: PyTorch's notes on CUDA graphs
FASTEST_CLOCK_HZ = 3e9  # above any GPU's clock, so that a hold is never shorter than requested
FIRST_HOLD_S, LONGEST_HOLD_S = 1e-4, 1.0


@dataclass(frozen=True)
class CudaConfig:
    """How blocks run: the options of `CudaBackend`; `flush_bytes` is the size of the buffer written before each run, 0 for a warm cache."""

    index: int
    execution: str
    clock: str
    precision: str
    layout: str
    autotune: bool
    flush_bytes: int


class CudaRunner(Runner):
    """A block on the GPU in evaluation mode with a random input.

    Running out of memory frees what torch has cached; every CUDA error is raised as torch raises it.
    """

    def __init__(self, graph: Graph, batch: int, mode: CudaConfig) -> None:
        import torch

        self._mode = mode
        self._hold_s = FIRST_HOLD_S
        self._module: Any = None
        self._image: Any = None
        self._buffer: Any = None
        self._cuda_graph: Any = None
        with self._device_context():
            with torch.inference_mode(mode=False):  # weights are moved to the GPU as usual
                self._build(graph, batch)
            if mode.execution == "graph":
                self._capture()

    def samples(self, count: int) -> Samples:
        """Run the block `count` times by the host's clock, then `count` times by the GPU's.

        Returns:
            Samples whose `wall_s` is from an idle GPU to an idle GPU, launches included, as in the paper (A.2). Their `device_s` is
            between two CUDA events with all launches queued before the first kernel starts, so that it includes no waiting for the
            host; None in the rare case of more launches than the GPU's queue takes. Where `wall_s` is far above `device_s`, the
            block is bound by its launches.
        """
        with self._device_context():
            wall_s = np.array([self._host_run() for _ in range(count)])
            device_s = self._device_runs(count)
        # the thread's CPU time is the launch's, not the block's
        return Samples(wall_s=wall_s, device_s=device_s, clock=self._mode.clock)

    def close(self) -> None:
        """Free the GPU's memory."""
        import torch

        self._module = self._image = self._buffer = self._cuda_graph = None
        with contextlib.suppress(RuntimeError):  # a lost GPU has already raised where it was used
            torch.cuda.empty_cache()

    @contextlib.contextmanager
    def _device_context(self) -> Iterator[None]:
        """Make the GPU current and set PyTorch's switches for the mode; both are restored on leaving."""
        import torch

        tf32 = PRECISIONS[self._mode.precision].tf32
        try:
            with (
                torch.cuda.device(self._mode.index),
                torch.inference_mode(),
                backend_flags(tf32=tf32, autotune=self._mode.autotune),
            ):
                yield
        except torch.cuda.OutOfMemoryError:
            self.close()
            raise

    def _build(self, graph: Graph, batch: int) -> None:
        import torch

        from donna_hw.graph.torch_module import to_torch

        device = cuda_device(self._mode.index)
        dtype = getattr(torch, PRECISIONS[self._mode.precision].storage)
        layout = torch.channels_last if self._mode.layout == "channels_last" else torch.contiguous_format
        image = torch.randn(batch, *graph.input_shape, generator=torch.Generator().manual_seed(0))
        module: Any = to_torch(graph, seed=0).eval()  # Any: torch's type stubs lack memory_format
        self._module = module.to(device, dtype, memory_format=layout)
        is_map = image.ndim == 4  # flat features have no layout of channels
        self._image = image.to(device, dtype, memory_format=layout if is_map else torch.contiguous_format)
        if self._mode.flush_bytes:
            self._buffer = torch.empty(self._mode.flush_bytes, dtype=torch.uint8, device=device)

    def _capture(self) -> None:
        """Record the block's kernels; a replay launches them all at once."""
        cuda = _cuda()
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(CAPTURE_WARMUP):
                self._module(self._image)
        cuda.current_stream().wait_stream(side)
        cuda.synchronize()
        self._cuda_graph = cuda.CUDAGraph()
        with cuda.graph(self._cuda_graph, stream=side):  # the default stream belongs to the first GPU that captured
            self._module(self._image)

    def _launch(self) -> None:
        if self._cuda_graph is None:
            self._module(self._image)
        else:
            self._cuda_graph.replay()

    def _make_idle(self) -> None:
        """Overwrite the L2 cache in the cold mode, and wait until the GPU is idle; never within a timed interval."""
        if self._buffer is not None:
            self._buffer.zero_()
        _cuda().synchronize()

    def _host_run(self) -> float:
        cuda = _cuda()
        self._make_idle()
        start_ns = time.perf_counter_ns()
        self._launch()
        cuda.synchronize()
        return (time.perf_counter_ns() - start_ns) / 1e9

    def _device_runs(self, count: int) -> np.ndarray | None:
        """Return `count` times by CUDA events; a run that the host did not queue in time is repeated after a longer hold."""
        cuda = _cuda()
        times: list[float] = []
        start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        while len(times) < count:
            if self._hold_s > LONGEST_HOLD_S:
                if self._mode.clock == "host":
                    return None
                raise MeasurementError(
                    f"the block has more launches than the GPU's queue takes in {LONGEST_HOLD_S:g} s, so the device's clock cannot time it",
                    hint='set options.execution = "graph" or options.clock = "host" in the device file',
                )
            self._make_idle()
            hold(self._hold_s)
            start.record()
            self._launch()
            end.record()
            is_queued = not start.query()  # the GPU is still held: it has not waited for a launch
            cuda.synchronize()
            if is_queued:
                times.append(start.elapsed_time(end) / 1e3)
            else:
                self._hold_s *= 2
        return np.array(times)


def cuda_device(index: int) -> Any:
    """Return torch's device of an index."""
    import torch

    return torch.device("cuda", index)


def hold(seconds: float) -> None:
    """Keep the current stream busy for at least that long, with a kernel that only counts clock cycles."""
    _cuda()._sleep(int(seconds * FASTEST_CLOCK_HZ))


def _cuda() -> Any:
    """Return torch.cuda as Any, since much of it has no types."""
    import torch

    return torch.cuda
