"""Fusion: which operators run as one step, and which steps may run depth-first, strip by strip.

A step is an array or vector operator together with the elementwise operators that alone use its output. What fits the output
stage costs nothing there; the rest runs on the vector unit, tile by tile, and never sees DRAM.
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
    """Operators that run as one. All numbers are places in the workload: nodes, tensors.

    heads: the array nodes in order (several: depth-first), or one vector node. behind: for each head, the elementwise nodes that the vector
    unit runs on its tiles. in_stage: those that the output stage does for nothing. map: the tensor that is read in tiles, `factor` a second
    one that takes the place of weights, `operands` those that elementwise nodes read beside; each may be none. writes: what it leaves.
    inner: tensors that stay inside the group.
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
        """Every tensor that it reads, each once."""
        return tuple(dict.fromkeys((*self.maps, *self.factor, *self.operands)))


def build_steps(workload: Workload, hardware: Hardware) -> list[Step]:
    """Return the steps in the order in which they run."""
    uses = Counter(tensor for node in workload.nodes for tensor in node.inputs)
    uses.update(workload.outputs)
    steps: list[Step] = []
    maker = dict.fromkeys(workload.inputs, -1)  # tensor -> the step that makes it
    for number, node in enumerate(workload.nodes):
        target = _fusion_target(node, workload, steps, maker, uses) if hardware.schedule.fusion else None
        if target is None:
            target = len(steps)
            steps.append(_single_step(number, node))
        else:
            steps[target] = _fuse_node(steps[target], number, node, workload, hardware)
        maker.update(dict.fromkeys(node.outputs, target))
    return steps


def _single_step(number: int, node: Node) -> Step:
    if node.kind == "array":
        return Step((number,), ((),), (), node.inputs[:1], node.inputs[1:], (), node.outputs)
    if node.elementwise:  # what broadcasts is held whole
        return Step((number,), ((),), (), node.inputs[:1], (), node.inputs[1:], node.outputs)
    return Step((number,), ((),), (), node.inputs, (), (), node.outputs)


def _fusion_target(
    node: Node, workload: Workload, steps: list[Step], maker: dict[int, int], uses: Counter[int]
) -> int | None:
    """Return the step that an elementwise node can join: the latest one that feeds it, if nothing else uses what that makes."""
    if not node.elementwise or not node.inputs or len(node.outputs) != 1:
        return None
    size = workload.tensors[node.outputs[0]].elements
    latest = max(maker.get(tensor, -1) for tensor in node.inputs)
    for tensor in node.inputs:
        alone = latest >= 0 and steps[latest].writes == (tensor,) and uses[tensor] == 1
        if alone and workload.tensors[tensor].elements == size:
            return latest
    return None


def _fuse_node(step: Step, number: int, node: Node, workload: Workload, hardware: Hardware) -> Step:
    is_array = workload.nodes[step.heads[0]].kind == "array"
    free = is_array and not step.fused_vector_nodes[-1] and node.function in hardware.output.fuses
    beside = tuple(tensor for tensor in node.inputs if tensor not in step.writes)
    return Step(
        step.heads,
        step.fused_vector_nodes if free else (*step.fused_vector_nodes[:-1], (*step.fused_vector_nodes[-1], number)),
        (*step.output_stage_nodes, number) if free else step.output_stage_nodes,
        step.maps,
        step.factor,
        tuple(dict.fromkeys((*step.operands, *beside))),
        node.outputs,
    )


def find_depth_first_groups(steps: list[Step], workload: Workload) -> list[tuple[int, int, Step]]:
    """Return (first, after last, group) of each run of steps that can go strip by strip.

    A pointwise, a depthwise and a pointwise convolution, or two of these, each alone using the one before. Operands beside are allowed
    behind the last.
    """
    uses = Counter(tensor for step in steps for tensor in step.reads)
    uses.update(workload.outputs)
    found = []
    for first in range(len(steps)):
        for after in range(first + 2, min(first + MAX_GROUP_STEPS, len(steps)) + 1):
            run = steps[first:after]
            if not all(_is_strippable(step, workload) for step in run) or any(step.operands for step in run[:-1]):
                break
            if any(b.maps != a.writes or uses[a.writes[0]] != 1 for a, b in pairwise(run)):
                break
            wide = [place for place, step in enumerate(run) if not _is_pointwise(_head_geometry(step, workload))]
            if len(wide) > 1:
                break
            if wide and (len(run) == 2 or wide == [1]):
                found.append((first, after, _merge_steps(run)))
    return found


def _head_geometry(step: Step, workload: Workload) -> Geometry:
    geometry = workload.nodes[step.heads[0]].geometry
    assert geometry is not None  # noqa: S101  of an array node
    return geometry


def _is_pointwise(g: Geometry) -> bool:
    return g.kernel_height == g.kernel_width == g.stride_height == g.stride_width == 1


def is_depthwise(g: Geometry) -> bool:
    """Whether each channel has its own group."""
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
