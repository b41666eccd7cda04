"""The shapes and element types of all tensors, by onnx's own shape inference, and the graph made with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from donna_hw.errors import FileFormatError
from donna_hw.simulator.onnx_frontend.constants import Constants, complete_shapes
from donna_hw.simulator.onnx_frontend.model import STANDARD_DOMAINS
from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxGraph, OnnxOp, Shape, attributes_by_name
from donna_hw.simulator.onnx_frontend.op_aliases import apply_alias, find_alias

if TYPE_CHECKING:
    import onnx

SHAPE_OPS = ("Shape", "Size")  # their values are constant if their input's shape is
RANDOM_OPS = ("RandomNormal", "RandomUniform")


def build_onnx_graph(
    skeleton: onnx.ModelProto,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    declared: Callable[[], list[onnx.ValueInfoProto]],
) -> OnnxGraph:
    """Return a skeleton's operators with all shapes.

    Args:
        skeleton: The model without large constants.
        inputs: Names of the model's inputs.
        outputs: Names of the model's outputs.
        declared: Returns the shapes that the model declares, for tensors whose shape inference fails.

    Returns:
        The graph.

    Raises:
        FileFormatError: If operators are out of order, or onnx rejects the model.
    """
    graph = skeleton.graph
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer} | {""}
    constants = known - set(inputs)
    ops = [_to_op(node, index, known) for index, node in enumerate(graph.node)]
    for name in outputs:
        if name not in known:
            raise FileFormatError("an output of the model is not computed by any operator", got=name)
    live: list[OnnxOp] = []
    free: list[str] = []
    for op in ops:
        if (op.rule in SHAPE_OPS or constants.issuperset(op.inputs)) and op.rule not in RANDOM_OPS and op.rule:
            constants.update(op.outputs)
            free.append(op.name)
        else:
            live.append(op)
    shapes, types = _infer_shapes(skeleton)
    needed = {name for op in live for name in (*op.inputs, *op.outputs)} - constants | set(outputs)
    if not needed <= shapes.keys():
        complete_shapes(skeleton, declared(), needed, shapes, types, infer=_infer_shapes)
    return OnnxGraph(live, shapes, types, constants, inputs, outputs, Constants(graph).scalar, free)


def _to_op(node: onnx.NodeProto, index: int, known: set[str]) -> OnnxOp:
    """Return a node as an operator, and add its outputs to the known tensors; a node with an alias is replaced."""
    name, op_type = node.name or f"{node.op_type}_{index}", node.op_type
    inputs = list(node.input)
    for attribute in node.attribute:
        if attribute.type in {5, 10}:  # subgraphs: the node reads what they read from outside
            inputs += [x for body in (attribute.g, *attribute.graphs) for x in _subgraph_inputs(body, 0) if x in known]
    for x in inputs:
        if x not in known:
            raise FileFormatError(f"{op_type} {name} reads a tensor that no earlier operator writes", got=x)
    for x in node.output:
        if x and x in known:
            raise FileFormatError(f"{op_type} {name} writes a tensor that exists already", got=x)
        known.add(x)
    rule = op_type if node.domain in STANDARD_DOMAINS else ""
    if alias := find_alias(node):
        rule, inputs = alias.rule, inputs[alias.inputs]
        apply_alias(node, alias)
    return OnnxOp(
        name,
        op_type,
        rule,
        tuple(inputs),
        tuple(x for x in node.output if x),
        attributes_by_name(node),
        is_named=bool(node.name),
    )


def _subgraph_inputs(body: onnx.GraphProto, depth: int) -> list[str]:
    names: list[str] = []
    for node in body.node:
        names += node.input
        for attribute in node.attribute:
            if attribute.type in {5, 10} and depth < 50:
                names += [x for inner in (attribute.g, *attribute.graphs) for x in _subgraph_inputs(inner, depth + 1)]
    return [name for name in names if name] + [value.name for value in body.output]


def _infer_shapes(skeleton: onnx.ModelProto) -> tuple[dict[str, Shape], dict[str, int]]:
    """Return the fixed shapes and the element types of the tensors of a skeleton."""
    import onnx.shape_inference

    try:
        model = onnx.shape_inference.infer_shapes(skeleton, data_prop=True)
    except Exception as error:  # onnx's C++ raises various kinds
        raise FileFormatError("onnx's shape inference rejects the model", got=str(error)) from error
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    types: dict[str, int] = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for values in (model.graph.input, model.graph.value_info, model.graph.output):
        for value in values:
            tensor = value.type.tensor_type
            types[value.name] = tensor.elem_type
            if tensor.HasField("shape"):
                sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
                if -1 not in sizes:
                    shapes[value.name] = tuple(sizes)
    return shapes, types
