"""Blocks that TVM has compiled, run and timed: by the host's clock on this CPU, by the device's clock elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from donna_hw.devices.backends.base import Runner
from donna_hw.devices.backends.timing_loop import time_calls
from donna_hw.devices.backends.tvm.rpc import translate_errors
from donna_hw.errors import UnavailableError
from donna_hw.measurement.measurement import Samples


def set_threads(threads: int, function: Callable[[str], Any]) -> None:
    """Set the size of TVM's thread pool, which all blocks of a process share.

    Args:
        threads: The size.
        function: Returns a TVM function by name, on this machine or in a session.

    Raises:
        UnavailableError: The pool has another size afterwards.
    """
    count = function("runtime.NumThreads")
    if count() != threads:
        function("runtime.config_threadpool")(0, threads)
    if count() != threads:
        raise UnavailableError(
            f"TVM's thread pool does not have {threads} threads",
            got=count(),
            hint=f"start with TVM_NUM_THREADS={threads} in the environment; by default TVM uses half the logical cores",
        )


class LocalRunner(Runner):
    """Runs a block on this machine's CPU, timed by the loop that all backends of the host share.

    TVM's own evaluator excludes the 0.4 us of the call from Python, but has no CPU time, which reveals a preempted run.
    """

    def __init__(self, module: Any, device: Any, image: np.ndarray, threads: int) -> None:
        import tvm
        from tvm import relax

        self._threads = threads
        self._vm = relax.VirtualMachine(module, device)
        self._vm.save_function("main", "timed", tvm.runtime.tensor(image, device), include_return=False)
        self._call = self._vm["timed"]

    def samples(self, count: int) -> Samples:
        """Run the block `count` times; with one thread TVM computes on the calling thread, whose CPU time is then complete."""
        import tvm

        set_threads(self._threads, tvm.get_global_func)
        samples = time_calls(self._call, count)
        return samples if self._threads == 1 else Samples(samples.wall_s)

    def close(self) -> None:
        """Free the virtual machine and its library."""
        del self._call, self._vm


class TimeEvaluatorRunner(Runner):
    """Runs a block where the host's clock cannot time single runs: on a GPU, or behind a tracker under `key`."""

    def __init__(self, module: Any, device: Any, image: np.ndarray, key: str) -> None:
        import tvm
        from tvm import relax

        self._vm = relax.VirtualMachine(module, device)
        self._device, self._key = device, key
        self._image = tvm.runtime.tensor(image, device)

    def samples(self, count: int) -> Samples:
        """Run the block `count` times, after one run that TVM drops.

        Returns:
            Samples whose `device_s` is each run by the device's own clock. Their `wall_s` is the host's time of the whole call divided
            by its runs, transport included: an upper bound, equal for all.
        """
        with translate_errors(self._key) if self._key else nullcontext():
            evaluate = self._vm.time_evaluator("main", self._device, number=1, repeat=count)
            start = time.perf_counter_ns()
            results = evaluate(self._image).results
            wall_s = (time.perf_counter_ns() - start) / 1e9 / (count + 1)
        return Samples(wall_s=np.full(count, wall_s), device_s=np.array(results, np.float64))

    def close(self) -> None:
        """Free the virtual machine and its memory on the device."""
        del self._vm, self._image
