"""Schedule: the cheapest way through a program, found exactly by dynamic programming.

Chosen together are the cut of every step, which tensors stay on the chip, whose weights are fetched ahead, and which steps run depth-first.
What can be chosen does not depend on the sizes and speeds of the hardware, only whether it fits: so more of anything is never slower.
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
    """A run's own rows of the prices that it shares with those alike, [workloads]."""

    run: TileRun
    costs: CandidateCosts
    row_indices: FloatArray


@dataclass(frozen=True)
class Selection:
    """What was chosen for a run: places in the axes of its goals other than the workload's."""

    costs: RunCosts
    passthrough: int
    combination: int
    candidate: int
    prefetched: int
    prefetch_index: int


def find_min_cycles(batch: WorkloadBatch, program: ScheduleGraph) -> FloatArray:
    """Return the cycles of each workload's cheapest schedule, float [n] holding whole numbers."""
    found = _forward_pass(batch, program)[0][-1][:, :, 0].min(axis=0)
    if not np.isfinite(found).all():
        raise _memory_error(batch, program)
    return np.asarray(np.floor(found))


def find_schedule(batch: WorkloadBatch, program: ScheduleGraph) -> list[Selection]:
    """Return the cheapest schedule of a batch's only workload, in the order in which it runs."""
    values, priced = _forward_pass(batch, program)
    boundary, state, ahead = len(program.steps), int(values[-1][:, 0, 0].argmin()), 0
    if not np.isfinite(values[-1][state, 0, 0]):
        raise _memory_error(batch, program)
    choices: list[Selection] = []
    while boundary > 0:
        into = [each for each in priced if each.run.end == boundary]
        choice = _best_predecessor(batch, values, into, program, (state, ahead))
        choices.append(choice)
        run = choice.costs.run
        boundary, state = run.start, int(run.states_before[choice.passthrough, choice.combination])
        ahead = 1 + program.prefetchable[run.start].index(run.number) if choice.prefetched else 0
    return choices[::-1]


def _forward_pass(batch: WorkloadBatch, program: ScheduleGraph) -> tuple[list[FloatArray], list[RunCosts]]:
    """Return the least price of being in each state at each boundary, [states, workloads, 1 + runs whose weights are there]."""
    values = [
        np.full((2 ** len(alive), len(batch), 1 + len(ahead)), np.inf)
        for alive, ahead in zip(program.live_tensors, program.prefetchable, strict=True)
    ]
    values[0][:, :, 0] = 0.0  # a network's inputs may be wherever their place is to be chosen
    priced = [
        RunCosts(run, prices, prices.run_batch.row_indices[place])
        for run, prices, place in _ordered_costs(batch, program)
    ]
    for each in priced:
        run, best = each.run, _min_objective(batch, each)
        total = (_arrival_cost(values, program, run)[..., None] + best).min(axis=3)  # of the own weights: there or not
        total = total.reshape(len(run.passthrough_flags), -1, run.ending_count, *total.shape[2:]).min(axis=2)
        into = run.states_after[:, :: run.ending_count]
        values[run.end][into] = np.minimum(values[run.end][into], total)
    return values, priced


def _ordered_costs(batch: WorkloadBatch, program: ScheduleGraph) -> list[tuple[TileRun, CandidateCosts, int]]:
    """Return the runs in order, each with the prices of those alike and its place among them."""
    found = [
        (program.runs[number], prices, place)
        for numbers, prices in zip(program.groups, compute_group_costs(batch, program), strict=True)
        for place, number in enumerate(numbers)
    ]
    return sorted(found, key=lambda each: each[0].number)


def _feasible_objective(batch: WorkloadBatch, each: RunCosts) -> FloatArray:
    """Return the price of each candidate, infinite where it does not fit: [beside, combinations, workloads, own, next, candidates]."""
    run, prices = each.run, each.costs
    spare = np.full((len(run.passthrough_flags), len(batch)), batch.hardware.memory.sram_bytes)
    for place, tensor in enumerate(run.passthrough_tensors):
        spare -= run.passthrough_flags[:, place, None] * batch.tensor_bytes[:, tensor]
    fits = prices.peak_sram_bytes[None, :, each.row_indices] <= spare[:, None, :, None]
    return np.where(fits[:, :, :, None, None], prices.objective[None, :, each.row_indices], np.inf)


def _min_objective(batch: WorkloadBatch, each: RunCosts) -> FloatArray:
    """Return the price of the best candidate, [beside combinations, combinations, workloads, own, next]."""
    if each.run.passthrough_tensors:
        return np.asarray(_feasible_objective(batch, each).min(axis=-1))
    return each.costs.min_objective[None, :, each.row_indices]


def _arrival_cost(values: list[FloatArray], program: ScheduleGraph, run: TileRun) -> FloatArray:
    """Return what it took to come to a run, [beside combinations, combinations, workloads, own]."""
    came = values[run.start][run.states_before]
    own = [0]
    if run.number in program.prefetchable[run.start]:
        own.append(1 + program.prefetchable[run.start].index(run.number))
    return np.asarray(came[..., own])


def _best_predecessor(
    batch: WorkloadBatch, values: list[FloatArray], priced: list[RunCosts], program: ScheduleGraph, at: tuple[int, int]
) -> Selection:
    """Return the choice by which a state, and what is fetched ahead in it, was reached most cheaply."""
    found: list[tuple[float, Selection]] = []
    state, ahead = at
    for each in priced:
        came = _arrival_cost(values, program, each.run)[:, :, 0, :, None]
        goals = _feasible_objective(batch, each)[:, :, 0, :, ahead]
        total = np.where((each.run.states_after == state)[:, :, None, None], came + goals, np.inf)
        beside, combination, own, candidate = map(int, np.unravel_index(int(total.argmin()), total.shape))
        choice = Selection(each, beside, combination, candidate, own, ahead)
        found.append((float(total[beside, combination, own, candidate]), choice))
    return min(found, key=lambda pair: pair[0])[1]


def _memory_error(batch: WorkloadBatch, program: ScheduleGraph) -> ConfigError:
    """Return the error that names the operator and the memory that cannot hold even its smallest tile."""
    memory = batch.hardware.memory
    for run in program.runs:
        if run.end > run.start + 1:
            continue
        prices = compute_costs(TileRunBatch(batch, [run], np.zeros((2, len(batch), 1))), prefetchable=False)
        away = run.local_flags.sum(axis=1) == 0
        needs = {
            "sram_bytes": prices.peak_sram_bytes[away].min(axis=(0, 2)),
            "weight_buffer_bytes": prices.weight_buffer_bytes[:, 0].min(axis=1),
            "accumulator_bytes": prices.tiling.accumulator_bytes.min(axis=1),
        }
        for key, least in needs.items():
            if (least > getattr(memory, key)).any():
                place = int((least > getattr(memory, key)).argmax())
                which = int((prices.run_batch.row_indices[0] == place).argmax())
                name = batch.workloads[which].nodes[run.step.heads[0]].name
                return ConfigError(
                    f"memory.{key} must hold the smallest tile of {name}: {least[place]:,.0f} bytes",
                    got=getattr(memory, key),
                    hint=f"--set memory.{key}={least[place]:.0f} or more",
                )
    return ConfigError(
        "the memories together must hold one tile of every operator",
        got=f"sram_bytes {memory.sram_bytes:g}, weight_buffer_bytes {memory.weight_buffer_bytes:g}, "
        f"accumulator_bytes {memory.accumulator_bytes:g}",
        hint="enlarge them",
    )
