"""Constants: values of small ones, and shapes that only follow from computing with them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from donna_hw.simulator.onnx_frontend.model import MAX_CONSTANT_ELEMENTS
from donna_hw.simulator.onnx_frontend.onnx_graph import Shape, split_words

if TYPE_CHECKING:
    import onnx

PASS_THROUGH = frozenset({"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze"})  # the one element stays what it is
COMPUTABLE = split_words(
    """Abs Add And Cast Ceil Concat ConstantOfShape Div Equal Expand Floor Gather Greater GreaterOrEqual Identity Less LessOrEqual Max
    Min Mod Mul Neg Not Or Range ReduceMax ReduceMin ReduceProd ReduceSum Reshape Round Slice Sqrt Squeeze Sub Transpose Unsqueeze Where"""
)
MAX_ROUNDS = 50
ShapeInference = Callable[["onnx.ModelProto"], tuple[dict[str, Shape], dict[str, int]]]


class Constants:
    """The small constants of a graph, read when asked for."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._tensors: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {
            node.output[0]: node for node in graph.node if node.output and node.op_type in PASS_THROUGH | {"Constant"}
        }
        self._values: dict[str, np.ndarray | None] = {}

    def value(self, name: str) -> np.ndarray | None:
        """Return a constant's values, None for one that is computed, large, or cannot be read."""
        if name not in self._values:
            self._values[name] = self._read(name)
        return self._values[name]

    def scalar(self, name: str) -> float | None:
        """Return the value of a constant of one element, None for any other."""
        for _ in range(MAX_ROUNDS):
            value = self.value(name)
            if value is not None:
                return float(value.reshape(-1)[0]) if value.size == 1 and value.dtype.kind in "fiu" else None
            maker = self._makers.get(name)
            if maker is None or maker.op_type not in PASS_THROUGH or not maker.input:
                return None
            name = maker.input[0]
        return None

    def _read(self, name: str) -> np.ndarray | None:
        import onnx.numpy_helper

        tensor, maker = self._tensors.get(name), self._makers.get(name)
        if maker is not None and maker.op_type == "Constant" and maker.attribute:
            attribute = maker.attribute[0]
            if attribute.name in {"value_float", "value_floats"}:
                return np.array(list(attribute.floats) if attribute.name[-1] == "s" else attribute.f, np.float32)
            if attribute.name in {"value_int", "value_ints"}:
                return np.array(list(attribute.ints) if attribute.name[-1] == "s" else attribute.i, np.int64)
            tensor = attribute.t if attribute.name == "value" else None
        if tensor is None or prod(tensor.dims) > MAX_CONSTANT_ELEMENTS or tensor.external_data:
            return None
        try:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
        except Exception:  # torn values: those of a weight nobody asks for, and a shape's show as a missing shape
            return None


def complete_shapes(
    skeleton: onnx.ModelProto,
    stated: list[onnx.ValueInfoProto],
    needed: set[str],
    shapes: dict[str, Shape],
    types: dict[str, int],
    *,
    infer: ShapeInference,
) -> None:
    """Complete `shapes` and `types`: compute what follows from small constants and infer again, as long as that finds something new.

    Exporters of dynamic models compute shapes with operators that onnx's shape inference does not follow. Last come the shapes that the
    model states itself.
    """
    import onnx.numpy_helper

    work = type(skeleton)()
    work.CopyFrom(skeleton)
    for _ in range(MAX_ROUNDS):
        found = _fold_constants(work, shapes)
        for name, value in found.items():
            work.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        kept = [node for node in work.graph.node if not (len(node.output) == 1 and node.output[0] in found)]
        if not found:
            if not stated:
                return
            work.graph.value_info.extend(stated)
            stated = []
        else:
            del work.graph.node[:]
            work.graph.node.extend(kept)
        more_shapes, more_types = infer(work)
        shapes |= more_shapes
        types |= more_types
        if needed <= shapes.keys():
            return


def _fold_constants(model: onnx.ModelProto, shapes: dict[str, Shape]) -> dict[str, np.ndarray]:
    """Return the outputs of nodes whose inputs are all small constants."""
    constants = Constants(model.graph)
    found: dict[str, np.ndarray] = {}
    for node in model.graph.node:
        if len(node.output) != 1:
            continue
        if node.op_type == "Shape" and not node.attribute and node.input and node.input[0] in shapes:
            found[node.output[0]] = np.array(shapes[node.input[0]], np.int64)
        elif node.op_type == "Size" and node.input and node.input[0] in shapes:
            found[node.output[0]] = np.array(prod(shapes[node.input[0]]), np.int64)
        elif node.op_type in COMPUTABLE and node.input:
            asked = [x for x in node.input if x]
            read = ((x, found[x] if x in found else constants.value(x)) for x in asked)
            values = {x: value for x, value in read if value is not None}
            if len(values) == len(set(asked)):
                result = _evaluate_node(node, model, values)
                if result is not None and result.size <= MAX_CONSTANT_ELEMENTS:
                    found[node.output[0]] = result
    return found


def _evaluate_node(node: onnx.NodeProto, model: onnx.ModelProto, values: dict[str, np.ndarray]) -> np.ndarray | None:
    """Return what onnx's own reference computes for a node, None where it cannot, or where the result would be large."""
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
            "one",
            [
                helper.make_tensor_value_info(x, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
                for x, v in values.items()
            ],
            [onnx.ValueInfoProto(name=node.output[0])],
        )
        one = helper.make_model(graph, opset_imports=model.opset_import)
        return np.asarray(onnx.reference.ReferenceEvaluator(one).run(None, dict(values))[0])  # type: ignore[index]
    except Exception:  # whatever a malformed node makes of it: its shape stays unknown, which is said
        return None


def _is_short(operands: list[np.ndarray]) -> bool:
    """Return whether start, limit and step make a range of few numbers."""
    if len(operands) != 3 or any(value.size != 1 for value in operands):
        return False
    start, limit, step = (float(value.reshape(-1)[0]) for value in operands)
    return abs(limit - start) <= MAX_CONSTANT_ELEMENTS * abs(step)
