"""Simulate a workload: its cheapest schedule on a tensor unit, as cycles of many workloads or as one told operator by operator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw.simulator.attribution import build_operator_results
from donna_hw.simulator.batch import WorkloadBatch, structure_key
from donna_hw.simulator.hardware import Hardware
from donna_hw.simulator.results import SimulationResult
from donna_hw.simulator.schedule import find_min_cycles, find_schedule
from donna_hw.simulator.schedule_graph import ScheduleGraph
from donna_hw.simulator.workload import Workload

BATCH_SIZE = 1024  # workloads at a time: memory stays flat


def simulate(workload: Workload, hardware: Hardware, *, model: str = "", device: str = "") -> SimulationResult:
    """Return what running the workload takes; raises `BadSetting` when a memory cannot hold an operator's smallest tile."""
    batch = WorkloadBatch([workload], hardware)
    program = ScheduleGraph.from_workload(workload, hardware)
    ops = build_operator_results(batch, find_schedule(batch, program)) if program.steps else ()
    return SimulationResult(model, device, hardware, ops, workload.unknown_ops, workload.free_ops)


def simulate_cycles(workloads: Sequence[Workload], hardware: Hardware) -> np.ndarray:
    """Return the cycles of each workload, int64 [n]; equal to `simulate(...).total_cycles`, many times as fast.

    Workloads of one structure are simulated together, whatever their sizes.
    """
    together: dict[object, list[int]] = {}
    for number, workload in enumerate(workloads):
        together.setdefault(structure_key(workload), []).append(number)
    found = np.zeros(len(workloads), np.int64)
    for numbers in together.values():
        program = ScheduleGraph.from_workload(workloads[numbers[0]], hardware)
        if not program.steps:
            continue
        numbers.sort(key=lambda number: _pixels(workloads[number]))  # alike together: they are cut into alike tiles
        for start in range(0, len(numbers), BATCH_SIZE):
            some = numbers[start : start + BATCH_SIZE]
            found[some] = find_min_cycles(WorkloadBatch([workloads[number] for number in some], hardware), program)
    return found


def _pixels(workload: Workload) -> int:
    elements, channels, _ = workload.tensors[workload.nodes[0].outputs[0]]
    return elements // max(channels, 1)
