"""Program: what is the same for all workloads of a structure: their steps, what lives between them, and what may stay on the chip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from donna_hw.simulator.fusion import Step, build_steps, find_depth_first_groups, is_depthwise
from donna_hw.simulator.hardware import Hardware
from donna_hw.simulator.workload import Node, Workload

MAX_LIVE_TENSORS = (
    4  # tensors at a time whose place is chosen; those that live longest lie in DRAM where there are more
)


@dataclass(frozen=True)
class TileRun:
    """One step, or a depth-first group of them, from the boundary `first` to the boundary `after`.

    chosen: tensors that it reads or writes and whose place is chosen; flags: [combinations, chosen], 1 where one is on the chip.
    beside: other tensors whose place is chosen and that live on meanwhile; beside_flags: [combinations, beside].
    before, behind: the number of the state at either boundary, [beside combinations, combinations]; combinations that differ only in
    tensors that end here follow each other, `ending` of them. weights: the array nodes whose weights can be fetched ahead. nodes, tensors:
    all that it touches, in an order that runs which are alike share.
    """

    number: int
    start: int
    end: int
    step: Step
    local_tensors: tuple[int, ...]
    local_flags: np.ndarray
    passthrough_tensors: tuple[int, ...]
    passthrough_flags: np.ndarray
    states_before: np.ndarray
    states_after: np.ndarray
    ending_count: int
    weight_nodes: tuple[int, ...]
    nodes: tuple[int, ...]
    tensors: tuple[int, ...]


@dataclass(frozen=True)
class ScheduleGraph:
    """Steps and runs. For each boundary, alive: the tensors whose place is chosen; ahead: the runs whose weights can be there already.

    alike: the runs in groups that differ in sizes alone, and are priced together.
    """

    steps: tuple[Step, ...]
    runs: tuple[TileRun, ...]
    live_tensors: tuple[tuple[int, ...], ...]
    prefetchable: tuple[tuple[int, ...], ...]
    groups: tuple[tuple[int, ...], ...]

    @classmethod
    def from_workload(cls, workload: Workload, hardware: Hardware) -> ScheduleGraph:
        """Lay out the workload's steps and their runs."""
        steps = build_steps(workload, hardware)
        spans = [(number, number + 1, step) for number, step in enumerate(steps)]
        if hardware.schedule.depth_first:
            spans += find_depth_first_groups(steps, workload)
        spans.sort(key=lambda span: span[:2])
        alive = _live_tensors(steps, workload, hardware)
        runs = tuple(_build_run(number, *span, alive, workload) for number, span in enumerate(spans))
        ahead: list[tuple[int, ...]] = [() for _ in range(len(steps) + 1)]
        for run in runs if hardware.schedule.prefetch else ():
            if run.weight_nodes and run.start > 0:
                ahead[run.start] += (run.number,)
        together: dict[object, list[int]] = {}
        for run in runs:
            own = run.number in ahead[run.start]
            together.setdefault((_run_signature(run, workload), own, len(ahead[run.end])), []).append(run.number)
        return cls(tuple(steps), runs, tuple(alive), tuple(ahead), tuple(map(tuple, together.values())))


def _run_signature(run: TileRun, workload: Workload) -> tuple[object, ...]:
    """Return what runs share that differ in sizes alone."""
    step, place = run.step, {tensor: number for number, tensor in enumerate(run.tensors)}
    size = workload.tensors[step.writes[0]].elements
    heads = [workload.nodes[head] for head in step.heads]
    return (
        tuple((n.kind, n.function, n.precision, n.weights > 0, _layout(n), place[n.outputs[0]]) for n in heads),
        tuple(tuple(workload.nodes[node].function for node in nodes) for nodes in step.fused_vector_nodes),
        *(tuple(place[t] for t in ts) for ts in (step.maps, step.factor, step.operands, step.writes, step.inner)),
        tuple(workload.tensors[tensor].elements == size for tensor in step.operands),
        tuple(place[tensor] for tensor in run.local_tensors),
        run.local_flags.shape,
    )


def _layout(node: Node) -> int:
    """Return how a product is laid onto the array: 0 dense, 1 depthwise, 2 in groups."""
    g = node.geometry
    return 0 if g is None or g.groups == 1 else 1 if is_depthwise(g) else 2


def _live_tensors(steps: list[Step], workload: Workload, hardware: Hardware) -> list[tuple[int, ...]]:
    """Return the tensors whose place is chosen at each boundary, shortest lives first where there are too many."""
    if not hardware.schedule.residency:
        return [()] * (len(steps) + 1)
    made = dict.fromkeys(workload.inputs, 0)
    last: dict[int, int] = {}
    for number, step in enumerate(steps):
        made.update(dict.fromkeys(step.writes, number + 1))
        last.update(dict.fromkeys(step.reads, number))
    last.update(dict.fromkeys(workload.outputs, len(steps)))
    fixed = {*workload.inputs, *workload.outputs} if hardware.schedule.io_location == "dram" else set()
    lives = [(last[t] - made[t], made[t], t) for t in made if t in last and last[t] >= made[t] and t not in fixed]
    alive: list[list[int]] = [[] for _ in range(len(steps) + 1)]
    for _, start, tensor in sorted(lives):
        span = range(start, last[tensor] + 1)
        if all(len(alive[boundary]) < MAX_LIVE_TENSORS for boundary in span):
            for boundary in span:
                alive[boundary].append(tensor)
    return [tuple(tensors) for tensors in alive]


def _build_run(
    number: int, first: int, after: int, step: Step, alive: list[tuple[int, ...]], workload: Workload
) -> TileRun:
    begin, end = alive[first], alive[after]
    touched = [t for t in dict.fromkeys((*step.reads, *step.writes)) if t in begin or t in end]
    kept, ending = [t for t in touched if t in end], [t for t in touched if t not in end]
    chosen = (*kept, *ending)
    beside = tuple(t for t in end if t not in touched)
    flags = _all_flags(len(chosen))
    beside_flags = _all_flags(len(beside))
    return TileRun(
        number,
        first,
        after,
        step,
        chosen,
        flags,
        beside,
        beside_flags,
        _state_indices(begin, beside, chosen),
        _state_indices(end, beside, chosen),
        2 ** len(ending),
        tuple(head for head in step.heads if workload.nodes[head].kind == "array" and workload.nodes[head].weights),
        (*step.heads, *(node for nodes in step.fused_vector_nodes for node in nodes)),
        tuple(
            dict.fromkeys((*step.reads, *step.writes, *step.inner, *(workload.nodes[h].outputs[0] for h in step.heads)))
        ),
    )


def _state_indices(tensors: tuple[int, ...], beside: tuple[int, ...], chosen: tuple[int, ...]) -> np.ndarray:
    """Return the number of the state of `tensors` for each pair of combinations, int [beside combinations, combinations]."""
    return _index_states(
        tuple(beside.index(t) if t in beside else -1 for t in tensors),
        tuple(chosen.index(t) if t in chosen else -1 for t in tensors),
        (len(beside), len(chosen)),
    )


@cache
def _index_states(beside: tuple[int, ...], chosen: tuple[int, ...], counts: tuple[int, int]) -> np.ndarray:
    """Return the same for places among the tensors beside and those chosen, -1 for none."""
    beside_flags, flags = map(_all_flags, counts)
    found = np.zeros((len(beside_flags), len(flags)), np.int64)
    for bit, (in_beside, in_chosen) in enumerate(zip(beside, chosen, strict=True)):
        if in_beside >= 0:
            found += beside_flags[:, in_beside, None] << bit
        if in_chosen >= 0:
            found += flags[None, :, in_chosen] << bit
    return found


@cache
def _all_flags(count: int) -> np.ndarray:
    """Return every combination of so many flags, the last one fastest; int [2 ** count, count]."""
    return np.array(list(product((0, 1), repeat=count)), np.int64).reshape(2**count, count)
