"""PyTorch on a CUDA GPU, eager, as the paper measured: synchronised before and after every batch (A.2)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from donna_hw.backends.base import Availability, Runner, TimingBackend
from donna_hw.backends.clock import time_calls
from donna_hw.blocks.layers import Graph
from donna_hw.errors import Unavailable
from donna_hw.measurement.environment import Environment, Scalar, host_conditions
from donna_hw.measurement.measurement import Samples


class CudaBackend(TimingBackend):
    """Times blocks in eager PyTorch on a GPU by the host's clock. options: index of the GPU among the visible ones."""

    options: ClassVar = {"index": 0}

    @classmethod
    def availability(cls) -> Availability:
        """Say whether this PyTorch sees a GPU."""
        import torch

        if torch.cuda.is_available():
            return Availability(True)
        built = torch.version.cuda
        if built is None:
            return Availability(
                False, f"torch {torch.__version__} is built without CUDA", "install a CUDA build of torch"
            )
        return Availability(False, "torch sees no CUDA GPU", "check the driver with nvidia-smi")

    def environment(self) -> Environment:
        """Return the GPU's name as the driver reports it, and the versions of PyTorch, CUDA and cuDNN."""
        import torch

        index, count = int(self.settings["index"]), torch.cuda.device_count()
        if not 0 <= index < count:
            raise Unavailable(f"option index must be of one of the {count} visible GPUs, from 0", found=index)
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        identity: dict[str, Scalar] = {
            "device_model": torch.cuda.get_device_name(index),
            "runtime": f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {cudnn}",
            "dtype": "float32",
            "tf32": bool(torch.backends.cuda.matmul.allow_tf32),
            "cudnn_tf32": bool(torch.backends.cudnn.allow_tf32),
        }
        return Environment(identity, host_conditions())

    def prepare(self, graph: Graph) -> Runner:
        """Build the block on the GPU in evaluation mode with a random input."""
        return _GpuRunner(graph, self.batch, int(self.settings["index"]))


class _GpuRunner(Runner):
    def __init__(self, graph: Graph, batch: int, index: int) -> None:
        import torch

        from donna_hw.blocks.torch_module import to_torch

        self._device = torch.device("cuda", index)
        self._module = to_torch(graph, seed=0).eval().to(self._device)
        self._image = torch.randn(batch, *graph.input_shape, device=self._device)

    def samples(self, count: int) -> Samples:
        """Run the module `count` times; the GPU is idle when each clock is started and when it is stopped."""
        import torch

        wall = np.empty(count)
        with torch.inference_mode():
            for run in range(count):
                torch.cuda.synchronize(self._device)
                wall[run] = time_calls(self._run_to_the_end, 1).wall_s[0]
        return Samples(wall_s=wall)  # the thread's CPU time is the launch's, not the block's

    def _run_to_the_end(self) -> None:
        import torch

        self._module(self._image)
        torch.cuda.synchronize(self._device)

    def close(self) -> None:
        """Free the GPU's memory."""
        del self._module, self._image
