"""Fusion: which operators run as one step, and which steps may run depth-first, strip by strip.

A step is an array or vector operator together with the elementwise operators that are the only users of its output. What the output
stage supports is free; the rest runs on the vector unit, tile by tile, and never goes through DRAM.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from donna_hw.simulator.hardware import Hardware
from donna_hw.simulator.workload import Geometry, Node, Workload

MAX_GROUP_STEPS = 3  # expand, depthwise, project


@dataclass(frozen=True)
class Step:
    """Operators that run as one. All numbers are indices of nodes and tensors of the workload.

    Attributes:
        heads: The array nodes in order (several for a depth-first group), or one vector node.
        fused_vector_nodes: For each head, the elementwise nodes that the vector unit runs on its tiles.
        output_stage_nodes: Elementwise nodes that the output stage applies for free.
        maps: The tensors that are read in tiles.
        factor: A second factor that replaces weights, or none.
        operands: Further tensors that elementwise nodes read.
        writes: The tensors that it writes.
        inner: Tensors that stay inside the group.
    """

    heads: tuple[int, ...]
    fused_vector_nodes: tuple[tuple[int, ...], ...]
    output_stage_nodes: tuple[int, ...]
    maps: tuple[int, ...]
    factor: tuple[int, ...]
    operands: tuple[int, ...]
    writes: tuple[int, ...]
    inner: tuple[int, ...] = ()

    @property
    def reads(self) -> tuple[int, ...]:
        """The tensors that it reads, each once."""
        return tuple(dict.fromkeys((*self.maps, *self.factor, *self.operands)))


def build_steps(workload: Workload, hardware: Hardware) -> list[Step]:
    """Return the steps in the order in which they run."""
    uses = Counter(tensor for node in workload.nodes for tensor in node.inputs)
    uses.update(workload.outputs)
    steps: list[Step] = []
    producer = dict.fromkeys(workload.inputs, -1)  # tensor -> the step that writes it
    for number, node in enumerate(workload.nodes):
        target = _fusion_target(node, workload, steps, producer, uses) if hardware.schedule.fusion else None
        if target is None:
            target = len(steps)
            steps.append(_single_step(number, node))
        else:
            steps[target] = _fuse_node(steps[target], number, node, workload, hardware)
        producer.update(dict.fromkeys(node.outputs, target))
    return steps


def _single_step(number: int, node: Node) -> Step:
    if node.kind == "array":
        return Step((number,), ((),), (), node.inputs[:1], node.inputs[1:], (), node.outputs)
    if node.elementwise:  # operands that broadcast stay on the chip completely
        return Step((number,), ((),), (), node.inputs[:1], (), node.inputs[1:], node.outputs)
    return Step((number,), ((),), (), node.inputs, (), (), node.outputs)


def _fusion_target(
    node: Node, workload: Workload, steps: list[Step], producer: dict[int, int], uses: Counter[int]
) -> int | None:
    """Return the step that an elementwise node can join: the latest one that feeds it, if nothing else uses its output."""
    if not node.elementwise or not node.inputs or len(node.outputs) != 1:
        return None
    size = workload.tensors[node.outputs[0]].elements
    latest = max(producer.get(tensor, -1) for tensor in node.inputs)
    for tensor in node.inputs:
        only_user = latest >= 0 and steps[latest].writes == (tensor,) and uses[tensor] == 1
        if only_user and workload.tensors[tensor].elements == size:
            return latest
    return None


def _fuse_node(step: Step, number: int, node: Node, workload: Workload, hardware: Hardware) -> Step:
    is_array = workload.nodes[step.heads[0]].kind == "array"
    free = is_array and not step.fused_vector_nodes[-1] and node.function in hardware.output.fuses
    operands = tuple(tensor for tensor in node.inputs if tensor not in step.writes)
    return Step(
        step.heads,
        step.fused_vector_nodes if free else (*step.fused_vector_nodes[:-1], (*step.fused_vector_nodes[-1], number)),
        (*step.output_stage_nodes, number) if free else step.output_stage_nodes,
        step.maps,
        step.factor,
        tuple(dict.fromkeys((*step.operands, *operands))),
        node.outputs,
    )


def find_depth_first_groups(steps: list[Step], workload: Workload) -> list[tuple[int, int, Step]]:
    """Return (first, after last, group) of each sequence of steps that can run strip by strip.

    A group is a pointwise, a depthwise and a pointwise convolution, or two of these, each the only user of the one before. Only the last
    one may have further operands.
    """
    uses = Counter(tensor for step in steps for tensor in step.reads)
    uses.update(workload.outputs)
    groups = []
    for first in range(len(steps)):
        for after in range(first + 2, min(first + MAX_GROUP_STEPS, len(steps)) + 1):
            run = steps[first:after]
            if not all(_is_strippable(step, workload) for step in run) or any(step.operands for step in run[:-1]):
                break
            if any(b.maps != a.writes or uses[a.writes[0]] != 1 for a, b in pairwise(run)):
                break
            depthwise = [n for n, step in enumerate(run) if not _is_pointwise(_head_geometry(step, workload))]
            if len(depthwise) > 1:
                break
            if depthwise and (len(run) == 2 or depthwise == [1]):
                groups.append((first, after, _merge_steps(run)))
    return groups


def _head_geometry(step: Step, workload: Workload) -> Geometry:
    geometry = workload.nodes[step.heads[0]].geometry
    assert geometry is not None  # noqa: S101  of an array node
    return geometry


def _is_pointwise(g: Geometry) -> bool:
    return g.kernel_height == g.kernel_width == g.stride_height == g.stride_width == 1


def is_depthwise(g: Geometry) -> bool:
    """Whether each channel is a separate group."""
    return g.groups > 1 and g.groups == g.in_channels


def _is_strippable(step: Step, workload: Workload) -> bool:
    node = workload.nodes[step.heads[0]]
    if node.kind != "array" or node.weights == 0 or len(step.writes) != 1:
        return False
    g = _head_geometry(step, workload)
    tiled = workload.tensors[node.outputs[0]].elements == g.batch * g.out_channels * g.out_height * g.out_width
    return tiled and (_is_pointwise(g) or is_depthwise(g))


def _merge_steps(run: list[Step]) -> Step:
    return Step(
        tuple(head for step in run for head in step.heads),
        tuple(nodes for step in run for nodes in step.fused_vector_nodes),
        tuple(node for step in run for node in step.output_stage_nodes),
        run[0].maps,
        (),
        run[-1].operands,
        run[-1].writes,
        tuple(tensor for step in run[:-1] for tensor in step.writes),
    )
