"""The timing loop that all backends with the host's clock share."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from donna_hw.measurement.measurement import Samples


def time_calls(call: Callable[[], object], count: int) -> Samples:
    """Call `call` `count` times on this thread, and return wall and CPU time of each call."""
    wall, cpu = np.empty(count), np.empty(count)
    for run in range(count):
        cpu_start = time.thread_time_ns()
        start = time.perf_counter_ns()
        call()
        wall[run] = time.perf_counter_ns() - start
        cpu[run] = time.thread_time_ns() - cpu_start
    return Samples(wall_s=wall / 1e9, cpu_s=cpu / 1e9)  # a division, so that nanoseconds read back exactly
