"""A fake for stress tests: a machine whose clock moves only when a block runs, and whose costs are declared over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fakes import tiny_space

from donna_hw.devices.backends.base import Availability, Runner, TimingBackend
from donna_hw.graph.graph import Graph
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.measurement import Samples
from donna_hw.measurement.telemetry import Telemetry
from donna_hw.measurement.throttling import StressResult
from donna_hw.profiling.stress import Clock, run_stress_test

GRAPH = tiny_space().fixed_graph("stem")
MS = 1_000_000


@dataclass
class HotMachine:
    """Not a device: its clock moves only when a block runs, and a run's cost in ns is declared as a function of the time in s.

    breaks_at_s: when it raises; None for never. A run costs by the time at which its burst begins, counted from the end of the
    first run, which warms caches and is dropped.
    """

    cost_ns: Callable[[float], int]
    readings: Callable[[float], Telemetry] = lambda at_s: Telemetry()
    breaks_at_s: float | None = None
    now_ns: int = 0
    begun_ns: int = 0
    bursts: list[int] = field(default_factory=list)
    open_runners: int = 0

    @property
    def now_s(self) -> float:
        return self.now_ns / 1e9

    @property
    def at_s(self) -> float:
        return (self.now_ns - self.begun_ns) / 1e9


class HotRunner(Runner):
    def __init__(self, machine: HotMachine) -> None:
        self.machine = machine
        machine.open_runners += 1

    def samples(self, count: int) -> Samples:
        machine = self.machine
        if machine.breaks_at_s is not None and machine.at_s >= machine.breaks_at_s:
            raise RuntimeError("the fake machine breaks")
        cost = machine.cost_ns(machine.at_s)
        machine.now_ns += cost * count
        machine.begun_ns = machine.begun_ns if machine.bursts else machine.now_ns
        machine.bursts.append(count)
        return Samples(np.full(count, cost / 1e9))

    def close(self) -> None:
        self.machine.open_runners -= 1


class HotBackend(TimingBackend):
    def __init__(self, machine: HotMachine, runtime: str = "fake 1") -> None:
        super().__init__(batch=2, options={})
        self.machine, self.runtime = machine, runtime

    @classmethod
    def availability(cls) -> Availability:
        return Availability(True)

    def environment(self) -> Environment:
        return Environment({"device_model": "fake", "runtime": self.runtime, "dtype": "float32"})

    def prepare(self, graph: Graph) -> Runner:
        return HotRunner(self.machine)

    def read_telemetry(self) -> Telemetry:
        return self.machine.readings(self.machine.at_s)


def run(
    machine: HotMachine, path: Path, seconds: float = 60, runtime: str = "fake 1", window_s: float = 6
) -> StressResult:
    day_s = 1e9  # the fake day began long ago
    clock = Clock(lambda: machine.now_s, lambda: day_s + machine.now_s)
    return run_stress_test(HotBackend(machine, runtime), GRAPH, seconds, path=path, window_s=window_s, clock=clock)
