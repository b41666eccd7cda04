"""Schedule: the cheapest path through a schedule graph, found exactly by dynamic programming.

The path decides together on the tiles of every step, which tensors stay on the chip, whose weights are prefetched, and which steps run
depth-first. The choices do not depend on the sizes and speeds of the hardware, which only decide whether they fit, so that a larger or
faster part is never slower.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.errors import ConfigError
from donna_hw.simulator.batch import TileRunBatch, WorkloadBatch
from donna_hw.simulator.candidate_costs import CandidateCosts, compute_costs, compute_group_costs
from donna_hw.simulator.schedule_graph import ScheduleGraph, TileRun

FloatArray = np.ndarray


@dataclass(frozen=True)
class RunCosts:
    """The costs of a run, as rows, [workloads], of those that runs of equal structure share."""

    run: TileRun
    costs: CandidateCosts
    row_indices: FloatArray


@dataclass(frozen=True)
class Selection:
    """The choice for a run: indices into all axes of its objective but the workload's."""

    costs: RunCosts
    passthrough: int
    combination: int
    candidate: int
    prefetched: int
    prefetch_index: int


def find_min_cycles(batch: WorkloadBatch, graph: ScheduleGraph) -> FloatArray:
    """Return the cycles of each workload's cheapest schedule, float [n] of whole numbers."""
    cycles = _forward_pass(batch, graph)[0][-1][:, :, 0].min(axis=0)
    if not np.isfinite(cycles).all():
        raise _memory_error(batch, graph)
    return np.asarray(np.floor(cycles))


def find_schedule(batch: WorkloadBatch, graph: ScheduleGraph) -> list[Selection]:
    """Return the cheapest schedule of a batch of one workload, in the order in which it runs."""
    values, run_costs = _forward_pass(batch, graph)
    boundary, state, prefetch_index = len(graph.steps), int(values[-1][:, 0, 0].argmin()), 0
    if not np.isfinite(values[-1][state, 0, 0]):
        raise _memory_error(batch, graph)
    choices: list[Selection] = []
    while boundary > 0:
        predecessors = [costs for costs in run_costs if costs.run.end == boundary]
        choice = _best_predecessor(batch, values, predecessors, graph, (state, prefetch_index))
        choices.append(choice)
        run = choice.costs.run
        boundary, state = run.start, int(run.states_before[choice.passthrough, choice.combination])
        prefetch_index = 1 + graph.prefetchable[run.start].index(run.number) if choice.prefetched else 0
    return choices[::-1]


def _forward_pass(batch: WorkloadBatch, graph: ScheduleGraph) -> tuple[list[FloatArray], list[RunCosts]]:
    """Return the lowest cost of each state at each boundary, [states, workloads, 1 + runs with prefetched weights]."""
    values = [
        np.full((2 ** len(tensors), len(batch), 1 + len(runs)), np.inf)
        for tensors, runs in zip(graph.live_tensors, graph.prefetchable, strict=True)
    ]
    values[0][:, :, 0] = 0.0  # the network's inputs may be on the chip or in DRAM where that is a choice
    run_costs = _ordered_costs(batch, graph)
    for costs in run_costs:
        run, best = costs.run, _min_objective(batch, costs)
        total = (_arrival_cost(values, graph, run)[..., None] + best).min(axis=3)  # own weights prefetched or not
        total = total.reshape(len(run.passthrough_flags), -1, run.ending_count, *total.shape[2:]).min(axis=2)
        states = run.states_after[:, :: run.ending_count]
        values[run.end][states] = np.minimum(values[run.end][states], total)
    return values, run_costs


def _ordered_costs(batch: WorkloadBatch, graph: ScheduleGraph) -> list[RunCosts]:
    """Return the costs of all runs in order."""
    run_costs = [
        RunCosts(graph.runs[number], costs, costs.run_batch.row_indices[index])
        for numbers, costs in zip(graph.groups, compute_group_costs(batch, graph), strict=True)
        for index, number in enumerate(numbers)
    ]
    return sorted(run_costs, key=lambda costs: costs.run.number)


def _feasible_objective(batch: WorkloadBatch, run_costs: RunCosts) -> FloatArray:
    """Return the objective of each candidate, infinite where it does not fit.

    The axes are [passthrough, combinations, workloads, prefetched, next, candidates].
    """
    run, costs = run_costs.run, run_costs.costs
    spare = np.full((len(run.passthrough_flags), len(batch)), batch.hardware.memory.sram_bytes)
    for index, tensor in enumerate(run.passthrough_tensors):
        spare -= run.passthrough_flags[:, index, None] * batch.tensor_bytes[:, tensor]
    fits = costs.peak_sram_bytes[None, :, run_costs.row_indices] <= spare[:, None, :, None]
    return np.where(fits[:, :, :, None, None], costs.objective[None, :, run_costs.row_indices], np.inf)


def _min_objective(batch: WorkloadBatch, run_costs: RunCosts) -> FloatArray:
    """Return the objective of the best candidate, [passthrough, combinations, workloads, prefetched, next]."""
    if run_costs.run.passthrough_tensors:
        return np.asarray(_feasible_objective(batch, run_costs).min(axis=-1))
    return run_costs.costs.min_objective[None, :, run_costs.row_indices]


def _arrival_cost(values: list[FloatArray], graph: ScheduleGraph, run: TileRun) -> FloatArray:
    """Return the cost up to the start of a run, [passthrough, combinations, workloads, prefetched]."""
    before = values[run.start][run.states_before]
    indices = [0]
    if run.number in graph.prefetchable[run.start]:
        indices.append(1 + graph.prefetchable[run.start].index(run.number))
    return np.asarray(before[..., indices])


def _best_predecessor(
    batch: WorkloadBatch,
    values: list[FloatArray],
    run_costs: list[RunCosts],
    graph: ScheduleGraph,
    target: tuple[int, int],
) -> Selection:
    """Return the choice by which a state, with what is prefetched in it, is reached at the lowest cost."""
    choices: list[tuple[float, Selection]] = []
    state, prefetch_index = target
    for costs in run_costs:
        arrival = _arrival_cost(values, graph, costs.run)[:, :, 0, :, None]
        objective = _feasible_objective(batch, costs)[:, :, 0, :, prefetch_index]
        total = np.where((costs.run.states_after == state)[:, :, None, None], arrival + objective, np.inf)
        passthrough, combination, prefetched, candidate = map(int, np.unravel_index(int(total.argmin()), total.shape))
        choice = Selection(costs, passthrough, combination, candidate, prefetched, prefetch_index)
        choices.append((float(total[passthrough, combination, prefetched, candidate]), choice))
    return min(choices, key=lambda pair: pair[0])[1]


def _memory_error(batch: WorkloadBatch, graph: ScheduleGraph) -> ConfigError:
    """Return the error that names the operator and the memory that cannot hold even its smallest tile."""
    memory = batch.hardware.memory
    for run in graph.runs:
        if run.end > run.start + 1:
            continue
        costs = compute_costs(TileRunBatch(batch, [run], np.zeros((2, len(batch), 1))), prefetchable=False)
        in_dram = run.local_flags.sum(axis=1) == 0
        needs = {
            "sram_bytes": costs.peak_sram_bytes[in_dram].min(axis=(0, 2)),
            "weight_buffer_bytes": costs.weight_buffer_bytes[:, 0].min(axis=1),
            "accumulator_bytes": costs.tiling.accumulator_bytes.min(axis=1),
        }
        for key, minimum in needs.items():
            if (minimum > getattr(memory, key)).any():
                row = int((minimum > getattr(memory, key)).argmax())
                workload = int((costs.run_batch.row_indices[0] == row).argmax())
                name = batch.workloads[workload].nodes[run.step.heads[0]].name
                return ConfigError(
                    f"memory.{key} cannot hold the smallest tile of {name}, {minimum[row]:,.0f} bytes",
                    got=getattr(memory, key),
                    hint=f"--set memory.{key}={minimum[row]:.0f} or more",
                )
    return ConfigError(
        "the memories together cannot hold one tile of every operator",
        got=f"sram_bytes {memory.sram_bytes:g}, weight_buffer_bytes {memory.weight_buffer_bytes:g}, "
        f"accumulator_bytes {memory.accumulator_bytes:g}",
        hint="enlarge them",
    )
