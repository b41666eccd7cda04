"""Views: operators whose output is their input under another name, shape or float type; they cost nothing."""

from __future__ import annotations

from math import prod

from donna_hw.simulator.onnx_frontend.onnx_graph import FLOAT_TYPES, OnnxGraph, OnnxOp

ALWAYS_VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})


def is_view(net: OnnxGraph, op: OnnxOp) -> bool:
    """Return whether an operator's first output is its first input's data; the shapes must be known to say so of some."""
    if op.rule in ALWAYS_VIEWS:
        return len(net.activations(op)) >= 1 and op.inputs[0] not in net.constants
    if not op.inputs or op.inputs[0] in net.constants or not op.outputs:
        return False
    x, y = op.inputs[0], op.outputs[0]
    if op.rule == "Cast":
        return (
            net.element_types.get(x) == net.element_types.get(y)
            or {net.element_types.get(x), net.element_types.get(y)} <= FLOAT_TYPES
        )
    before, after = net.shapes.get(x), net.shapes.get(y)
    if before is None or after is None:
        return False
    if op.rule == "Transpose":  # exchanging dimensions of 1 moves nothing
        order = [
            axis
            for axis in op.ints_attribute("perm", tuple(reversed(range(len(before)))))
            if before[axis : axis + 1] != (1,)
        ]
        return order == sorted(order)
    return op.rule in {"Expand", "Tile"} and prod(before) == prod(after)
