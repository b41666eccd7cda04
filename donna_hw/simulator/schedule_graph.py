"""The schedule graph of all workloads of one structure: steps, live tensors between them, and what may stay on the chip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from donna_hw.simulator.fusion import Step, build_steps, find_depth_first_groups, is_depthwise
from donna_hw.simulator.hardware import Hardware
from donna_hw.simulator.workload import Node, Workload

MAX_LIVE_TENSORS = 4  # tensors at a time whose location is a choice; beyond that the longest-lived ones are in DRAM


@dataclass(frozen=True)
class TileRun:
    """One step, or a depth-first group of steps, between two boundaries.

    Attributes:
        number: Its index among the runs.
        start: The boundary before it.
        end: The boundary after it.
        step: The step or group.
        local_tensors: Tensors that it reads or writes and whose location is a choice.
        local_flags: [combinations, local tensors], 1 where a tensor is on the chip.
        passthrough_tensors: Other tensors whose location is a choice and that stay alive during the run.
        passthrough_flags: [passthrough combinations, passthrough tensors], 1 where a tensor is on the chip.
        states_before: The index of the state at the boundary before, [passthrough combinations, combinations].
        states_after: The index of the state at the boundary after, [passthrough combinations, combinations].
        ending_count: Number of consecutive combinations that differ only in tensors that end here.
        weight_nodes: The array nodes whose weights can be prefetched.
        nodes: Its nodes, in an order that runs of equal structure share.
        tensors: Its tensors, in an order that runs of equal structure share.
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
    """Steps, and the runs among which a schedule chooses.

    Attributes:
        steps: The steps in order.
        runs: The runs, by start and end.
        live_tensors: For each boundary, the tensors whose location is a choice.
        prefetchable: For each boundary, the runs whose weights can have been fetched before.
        groups: The runs in groups that differ only in sizes, whose costs are computed together.
    """

    steps: tuple[Step, ...]
    runs: tuple[TileRun, ...]
    live_tensors: tuple[tuple[int, ...], ...]
    prefetchable: tuple[tuple[int, ...], ...]
    groups: tuple[tuple[int, ...], ...]

    @classmethod
    def from_workload(cls, workload: Workload, hardware: Hardware) -> ScheduleGraph:
        """Build the graph of the workload's steps and runs."""
        steps = build_steps(workload, hardware)
        spans = [(number, number + 1, step) for number, step in enumerate(steps)]
        if hardware.schedule.depth_first:
            spans += find_depth_first_groups(steps, workload)
        spans.sort(key=lambda span: span[:2])
        live = _live_tensors(steps, workload, hardware)
        runs = tuple(_build_run(number, span, live, workload) for number, span in enumerate(spans))
        prefetchable: list[tuple[int, ...]] = [() for _ in range(len(steps) + 1)]
        for run in runs if hardware.schedule.prefetch else ():
            if run.weight_nodes and run.start > 0:
                prefetchable[run.start] += (run.number,)
        groups: dict[object, list[int]] = {}
        for run in runs:
            key = (_run_signature(run, workload), run.number in prefetchable[run.start], len(prefetchable[run.end]))
            groups.setdefault(key, []).append(run.number)
        return cls(tuple(steps), runs, tuple(live), tuple(prefetchable), tuple(map(tuple, groups.values())))


def _run_signature(run: TileRun, workload: Workload) -> tuple[object, ...]:
    """Return what runs have in common that differ only in sizes."""
    step, index = run.step, {tensor: number for number, tensor in enumerate(run.tensors)}
    size = workload.tensors[step.writes[0]].elements
    heads = [workload.nodes[head] for head in step.heads]
    return (
        tuple((n.kind, n.function, n.precision, n.weights > 0, _layout(n), index[n.outputs[0]]) for n in heads),
        tuple(tuple(workload.nodes[node].function for node in nodes) for nodes in step.fused_vector_nodes),
        *(tuple(index[t] for t in ts) for ts in (step.maps, step.factor, step.operands, step.writes, step.inner)),
        tuple(workload.tensors[tensor].elements == size for tensor in step.operands),
        tuple(index[tensor] for tensor in run.local_tensors),
        run.local_flags.shape,
    )


def _layout(node: Node) -> int:
    """Return how a product is mapped on the array: 0 dense, 1 depthwise, 2 in groups."""
    g = node.geometry
    return 0 if g is None or g.groups == 1 else 1 if is_depthwise(g) else 2


def _live_tensors(steps: list[Step], workload: Workload, hardware: Hardware) -> list[tuple[int, ...]]:
    """Return the tensors whose location is a choice at each boundary; the shortest-lived ones come first."""
    if not hardware.schedule.residency:
        return [()] * (len(steps) + 1)
    first: dict[int, int] = dict.fromkeys(workload.inputs, 0)
    last: dict[int, int] = {}
    for number, step in enumerate(steps):
        first.update(dict.fromkeys(step.writes, number + 1))
        last.update(dict.fromkeys(step.reads, number))
    last.update(dict.fromkeys(workload.outputs, len(steps)))
    fixed = {*workload.inputs, *workload.outputs} if hardware.schedule.io_location == "dram" else set()
    lifetimes = [
        (last[t] - first[t], first[t], t) for t in first if t in last and last[t] >= first[t] and t not in fixed
    ]
    live: list[list[int]] = [[] for _ in range(len(steps) + 1)]
    for _, start, tensor in sorted(lifetimes):
        span = range(start, last[tensor] + 1)
        if all(len(live[boundary]) < MAX_LIVE_TENSORS for boundary in span):
            for boundary in span:
                live[boundary].append(tensor)
    return [tuple(tensors) for tensors in live]


def _build_run(number: int, span: tuple[int, int, Step], live: list[tuple[int, ...]], workload: Workload) -> TileRun:
    """Return the run of a span: the boundaries before and after it, and its step."""
    first, after, step = span
    begin, end = live[first], live[after]
    used = [t for t in dict.fromkeys((*step.reads, *step.writes)) if t in begin or t in end]
    surviving, ending = [t for t in used if t in end], [t for t in used if t not in end]
    local = (*surviving, *ending)
    passthrough = tuple(t for t in end if t not in used)
    return TileRun(
        number,
        first,
        after,
        step,
        local,
        _all_flags(len(local)),
        passthrough,
        _all_flags(len(passthrough)),
        _state_indices(begin, passthrough, local),
        _state_indices(end, passthrough, local),
        2 ** len(ending),
        tuple(head for head in step.heads if workload.nodes[head].kind == "array" and workload.nodes[head].weights),
        (*step.heads, *(node for nodes in step.fused_vector_nodes for node in nodes)),
        tuple(
            dict.fromkeys((*step.reads, *step.writes, *step.inner, *(workload.nodes[h].outputs[0] for h in step.heads)))
        ),
    )


def _state_indices(tensors: tuple[int, ...], passthrough: tuple[int, ...], local: tuple[int, ...]) -> np.ndarray:
    """Return the index of the state of `tensors` for each pair of combinations, int [passthrough combinations, combinations]."""
    return _index_states(
        tuple(passthrough.index(t) if t in passthrough else -1 for t in tensors),
        tuple(local.index(t) if t in local else -1 for t in tensors),
        (len(passthrough), len(local)),
    )


@cache
def _index_states(passthrough: tuple[int, ...], local: tuple[int, ...], counts: tuple[int, int]) -> np.ndarray:
    """Return the same for indices into the passthrough and the local tensors, -1 for none."""
    passthrough_flags, local_flags = map(_all_flags, counts)
    states = np.zeros((len(passthrough_flags), len(local_flags)), np.int64)
    for bit, (passthrough_index, local_index) in enumerate(zip(passthrough, local, strict=True)):
        if passthrough_index >= 0:
            states += passthrough_flags[:, passthrough_index, None] << bit
        if local_index >= 0:
            states += local_flags[None, :, local_index] << bit
    return states


@cache
def _all_flags(count: int) -> np.ndarray:
    """Return all combinations of `count` flags, the last varying fastest; int [2 ** count, count]."""
    return np.array(list(product((0, 1), repeat=count)), np.int64).reshape(2**count, count)
