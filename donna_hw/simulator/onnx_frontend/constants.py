"""Values of small constants, and shapes that follow only from computations with them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from donna_hw.simulator.onnx_frontend.model import MAX_CONSTANT_ELEMENTS
from donna_hw.simulator.onnx_frontend.onnx_graph import Shape, split_words

if TYPE_CHECKING:
    import onnx

PASS_THROUGH = frozenset(
    {"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze"}
)  # these preserve the value of a single element
COMPUTABLE = split_words(
    """Abs Add And Cast Ceil Concat ConstantOfShape Div Equal Expand Floor Gather Greater GreaterOrEqual Identity Less LessOrEqual Max
    Min Mod Mul Neg Not Or Range ReduceMax ReduceMin ReduceProd ReduceSum Reshape Round Slice Sqrt Squeeze Sub Transpose Unsqueeze Where"""
)
MAX_ROUNDS = 50
ShapeInference = Callable[["onnx.ModelProto"], tuple[dict[str, Shape], dict[str, int]]]


class Constants:
    """The small constants of a graph, read on demand."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._tensors: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        self._producers = {
            node.output[0]: node for node in graph.node if node.output and node.op_type in PASS_THROUGH | {"Constant"}
        }
        self._values: dict[str, np.ndarray | None] = {}

    def value(self, name: str) -> np.ndarray | None:
        """Return a constant's values; None for one that is computed, large, or unreadable."""
        if name not in self._values:
            self._values[name] = self._read(name)
        return self._values[name]

    def scalar(self, name: str) -> float | None:
        """Return the value of a constant of one element; None for any other."""
        for _ in range(MAX_ROUNDS):
            value = self.value(name)
            if value is not None:
                return float(value.reshape(-1)[0]) if value.size == 1 and value.dtype.kind in "fiu" else None
            producer = self._producers.get(name)
            if producer is None or producer.op_type not in PASS_THROUGH or not producer.input:
                return None
            name = producer.input[0]
        return None

    def _read(self, name: str) -> np.ndarray | None:
        import onnx.numpy_helper

        tensor, producer = self._tensors.get(name), self._producers.get(name)
        if producer is not None and producer.op_type == "Constant" and producer.attribute:
            attribute = producer.attribute[0]
            if attribute.name in {"value_float", "value_floats"}:
                return np.array(list(attribute.floats) if attribute.name[-1] == "s" else attribute.f, np.float32)
            if attribute.name in {"value_int", "value_ints"}:
                return np.array(list(attribute.ints) if attribute.name[-1] == "s" else attribute.i, np.int64)
            tensor = attribute.t if attribute.name == "value" else None
        if tensor is None or prod(tensor.dims) > MAX_CONSTANT_ELEMENTS or tensor.external_data:
            return None
        try:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
        except Exception:  # corrupt values: a weight's are not needed, and a shape's appear as a missing shape
            return None


def complete_shapes(
    skeleton: onnx.ModelProto,
    declared: list[onnx.ValueInfoProto],
    needed: set[str],
    shapes: dict[str, Shape],
    types: dict[str, int],
    *,
    infer: ShapeInference,
) -> None:
    """Complete `shapes` and `types` in place: evaluate what follows from small constants, and infer again while that adds anything.

    Exporters of dynamic models compute shapes with operators that onnx's shape inference does not follow.

    Args:
        skeleton: The model without large constants.
        declared: Shapes that the model itself declares, used last.
        needed: Names of the tensors whose shapes are needed.
        shapes: The shapes so far, which are extended.
        types: The element types so far, which are extended.
        infer: Shape inference.
    """
    import onnx.numpy_helper

    work = type(skeleton)()
    work.CopyFrom(skeleton)
    for _ in range(MAX_ROUNDS):
        constants = _fold_constants(work, shapes)
        for name, value in constants.items():
            work.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        nodes = [node for node in work.graph.node if not (len(node.output) == 1 and node.output[0] in constants)]
        if not constants:
            if not declared:
                return
            work.graph.value_info.extend(declared)
            declared = []
        else:
            del work.graph.node[:]
            work.graph.node.extend(nodes)
        more_shapes, more_types = infer(work)
        shapes |= more_shapes
        types |= more_types
        if needed <= shapes.keys():
            return


def _fold_constants(model: onnx.ModelProto, shapes: dict[str, Shape]) -> dict[str, np.ndarray]:
    """Return the outputs of nodes whose inputs are all small constants."""
    constants = Constants(model.graph)
    folded: dict[str, np.ndarray] = {}
    for node in model.graph.node:
        if len(node.output) != 1:
            continue
        if node.op_type == "Shape" and not node.attribute and node.input and node.input[0] in shapes:
            folded[node.output[0]] = np.array(shapes[node.input[0]], np.int64)
        elif node.op_type == "Size" and node.input and node.input[0] in shapes:
            folded[node.output[0]] = np.array(prod(shapes[node.input[0]]), np.int64)
        elif node.op_type in COMPUTABLE and node.input:
            inputs = [x for x in node.input if x]
            operands = ((x, folded[x] if x in folded else constants.value(x)) for x in inputs)
            values = {x: value for x, value in operands if value is not None}
            if len(values) == len(set(inputs)):
                result = _evaluate_node(node, model, values)
                if result is not None and result.size <= MAX_CONSTANT_ELEMENTS:
                    folded[node.output[0]] = result
    return folded


def _evaluate_node(node: onnx.NodeProto, model: onnx.ModelProto, values: dict[str, np.ndarray]) -> np.ndarray | None:
    """Return the output of a node by onnx's reference evaluator; None if it fails, or if the result would be large."""
    import onnx.reference
    from onnx import helper

    operands = [values[x] for x in node.input if x]
    if (
        node.op_type in {"ConstantOfShape", "Expand"}
        and prod(int(size) for size in operands[-1].reshape(-1)) > MAX_CONSTANT_ELEMENTS
    ):
        return None
    if node.op_type == "Range" and not _is_short(operands):
        return None
    try:
        graph = helper.make_graph(
            [node],
            "node",
            [
                helper.make_tensor_value_info(x, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
                for x, v in values.items()
            ],
            [onnx.ValueInfoProto(name=node.output[0])],
        )
        node_model = helper.make_model(graph, opset_imports=model.opset_import)
        return np.asarray(onnx.reference.ReferenceEvaluator(node_model).run(None, dict(values))[0])  # type: ignore[index]
    except Exception:  # a malformed node: its shape stays unknown, which is reported
        return None


def _is_short(operands: list[np.ndarray]) -> bool:
    """Whether start, limit and step give a range of few numbers."""
    if len(operands) != 3 or any(value.size != 1 for value in operands):
        return False
    start, limit, step = (float(value.reshape(-1)[0]) for value in operands)
    return abs(limit - start) <= MAX_CONSTANT_ELEMENTS * abs(step)
