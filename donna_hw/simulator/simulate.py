"""Simulate workloads on a tensor unit with their cheapest schedule: one by operator, or the cycles of many."""

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

BATCH_SIZE = 1024  # workloads at a time, which bounds the memory


def simulate(workload: Workload, hardware: Hardware, *, model: str = "", device: str = "") -> SimulationResult:
    """Simulate a network on a tensor unit, with its cheapest schedule.

    Args:
        workload: The network, from `read_onnx` or `workload_from_graph`.
        hardware: The tensor unit.
        model: Name of the model, for the result.
        device: Name of the device, for the result.

    Returns:
        Cycles, traffic and energy of every operator.

    Raises:
        ConfigError: If a memory cannot hold an operator's smallest tile.
    """
    batch = WorkloadBatch([workload], hardware)
    graph = ScheduleGraph.from_workload(workload, hardware)
    ops = build_operator_results(batch, find_schedule(batch, graph)) if graph.steps else ()
    return SimulationResult(model, device, hardware, ops, workload.unknown_ops, workload.free_ops)


def simulate_cycles(workloads: Sequence[Workload], hardware: Hardware) -> np.ndarray:
    """Return the cycles of each workload, int64 [n]: those of `simulate(...).total_cycles`, in a fraction of the time.

    Workloads of one structure are simulated together, independent of their sizes.
    """
    groups: dict[object, list[int]] = {}
    for number, workload in enumerate(workloads):
        groups.setdefault(structure_key(workload), []).append(number)
    cycles = np.zeros(len(workloads), np.int64)
    for numbers in groups.values():
        graph = ScheduleGraph.from_workload(workloads[numbers[0]], hardware)
        if not graph.steps:
            continue
        numbers.sort(
            key=lambda number: _pixels(workloads[number])
        )  # similar sizes together, as they have similar tiles
        for start in range(0, len(numbers), BATCH_SIZE):
            chunk = numbers[start : start + BATCH_SIZE]
            cycles[chunk] = find_min_cycles(WorkloadBatch([workloads[number] for number in chunk], hardware), graph)
    return cycles


def _pixels(workload: Workload) -> int:
    elements, channels, _ = workload.tensors[workload.nodes[0].outputs[0]]
    return elements // max(channels, 1)
