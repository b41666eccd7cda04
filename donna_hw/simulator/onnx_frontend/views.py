"""Views: operators whose output is their input with another name, shape or float type, at no cost."""

from __future__ import annotations

from math import prod

from donna_hw.simulator.onnx_frontend.onnx_graph import FLOAT_TYPES, OnnxGraph, OnnxOp

ALWAYS_VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})


def is_view(graph: OnnxGraph, op: OnnxOp) -> bool:
    """Whether an operator's first output is the data of its first input; for some operators this requires known shapes."""
    if op.rule in ALWAYS_VIEWS:
        return len(graph.activations(op)) >= 1 and op.inputs[0] not in graph.constants
    if not op.inputs or op.inputs[0] in graph.constants or not op.outputs:
        return False
    x, y = op.inputs[0], op.outputs[0]
    if op.rule == "Cast":
        return (
            graph.element_types.get(x) == graph.element_types.get(y)
            or {graph.element_types.get(x), graph.element_types.get(y)} <= FLOAT_TYPES
        )
    before, after = graph.shapes.get(x), graph.shapes.get(y)
    if before is None or after is None:
        return False
    if op.rule == "Transpose":  # permuting dimensions of size 1 moves nothing
        order = [
            axis
            for axis in op.ints_attribute("perm", tuple(reversed(range(len(before)))))
            if before[axis : axis + 1] != (1,)
        ]
        return order == sorted(order)
    return op.rule in {"Expand", "Tile"} and prod(before) == prod(after)
