"""Inference: the shapes and element types of all tensors, by onnx's own shape inference, and the net that they complete."""

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

SHAPE_OPS = ("Shape", "Size")  # their values are constants wherever their input's shape is
RANDOM_OPS = ("RandomNormal", "RandomUniform")


def build_onnx_graph(
    skeleton: onnx.ModelProto,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    stated: Callable[[], list[onnx.ValueInfoProto]],
) -> OnnxGraph:
    """Return a skeleton's operators with all shapes. stated: shapes from the model, for tensors where inference finds none.

    inputs, outputs: the model's own. Raises `FileFormatError` for operators out of order, or a model that onnx refuses.
    """
    graph = skeleton.graph
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer} | {""}
    constants = known - set(inputs)
    ops = [_to_op(node, place, known) for place, node in enumerate(graph.node)]
    for name in outputs:
        if name not in known:
            raise FileFormatError("every output of a model must be computed", got=name)
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
        complete_shapes(skeleton, stated(), needed, shapes, types, infer=_infer_shapes)
    return OnnxGraph(live, shapes, types, constants, inputs, outputs, Constants(graph).scalar, free)


def _to_op(node: onnx.NodeProto, place: int, known: set[str]) -> OnnxOp:
    """Return a node as an operator and add its outputs to the known tensors; one that shape inference has no name for is replaced."""
    name, op_type = node.name or f"{node.op_type}_{place}", node.op_type
    inputs = list(node.input)
    for attribute in node.attribute:
        if attribute.type in {5, 10}:  # graphs: what they read from outside is read by the node
            inputs += [x for body in (attribute.g, *attribute.graphs) for x in _subgraph_inputs(body, 0) if x in known]
    for x in inputs:
        if x not in known:
            raise FileFormatError(
                "an operator must come after those that feed it", got=f"{op_type} {name}, which reads {x}"
            )
    for x in node.output:
        if x and x in known:
            raise FileFormatError("a tensor must be written once", got=f"{op_type} {name}, which writes {x}")
        known.add(x)
    rule = op_type if node.domain in STANDARD_DOMAINS else ""
    if stand_in := find_alias(node):
        rule, inputs = stand_in.rule, inputs[stand_in.inputs]
        apply_alias(node, stand_in)
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
    except Exception as error:  # onnx's C++ raises its own kinds
        raise FileFormatError("onnx's shape inference must be able to read the model", got=str(error)) from error
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
