"""Simulate a workload: its cheapest schedule on a tensor unit, as cycles of many workloads or as one told operator by operator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw.simulator.attribution import operators_of
from donna_hw.simulator.batch import Batch, structure
from donna_hw.simulator.hardware import Hardware
from donna_hw.simulator.results import Simulation
from donna_hw.simulator.schedule import cheapest, schedule
from donna_hw.simulator.schedule_graph import Program
from donna_hw.simulator.workload import Workload

BATCH = 1024  # workloads at a time: memory stays flat


def simulate(workload: Workload, hardware: Hardware, *, model: str = "", device: str = "") -> Simulation:
    """Return what running the workload takes; raises `BadSetting` when a memory cannot hold an operator's smallest tile."""
    batch = Batch([workload], hardware)
    program = Program.of(workload, hardware)
    ops = operators_of(batch, schedule(batch, program)) if program.steps else ()
    return Simulation(model, device, hardware, ops, workload.unknown_ops, workload.free_ops)


def cycles_of(workloads: Sequence[Workload], hardware: Hardware) -> np.ndarray:
    """Return the cycles of each workload, int64 [n]; equal to `simulate(...).total_cycles`, many times as fast.

    Workloads of one structure are simulated together, whatever their sizes.
    """
    together: dict[object, list[int]] = {}
    for number, workload in enumerate(workloads):
        together.setdefault(structure(workload), []).append(number)
    found = np.zeros(len(workloads), np.int64)
    for numbers in together.values():
        program = Program.of(workloads[numbers[0]], hardware)
        if not program.steps:
            continue
        numbers.sort(key=lambda number: _pixels(workloads[number]))  # alike together: they are cut into alike tiles
        for start in range(0, len(numbers), BATCH):
            some = numbers[start : start + BATCH]
            found[some] = cheapest(Batch([workloads[number] for number in some], hardware), program)
    return found


def _pixels(workload: Workload) -> int:
    elements, channels, _ = workload.tensors[workload.nodes[0].outputs[0]]
    return elements // max(channels, 1)
