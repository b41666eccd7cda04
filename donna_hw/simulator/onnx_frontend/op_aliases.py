"""Operators of ONNX Runtime's own domain, unknown to onnx's shape inference, as aliases of standard ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import onnx


class OpAlias(NamedTuple):
    """The standard operator that costs the same, one whose output has the same shape, and which inputs are data."""

    rule: str
    shape_op: str = "Identity"
    inputs: slice = slice(0, 1)


OP_ALIASES = {
    "Gelu": OpAlias("Gelu"),
    "FastGelu": OpAlias("Gelu"),
    "QuickGelu": OpAlias("Gelu"),
    "BiasGelu": OpAlias("Gelu"),
    "QLinearSigmoid": OpAlias("Sigmoid"),
    "QLinearLeakyRelu": OpAlias("LeakyRelu"),
    "QLinearSoftmax": OpAlias("Softmax"),
    "QLinearAdd": OpAlias("Add", "Add", slice(0, 4, 3)),
    "QLinearMul": OpAlias("Mul", "Mul", slice(0, 4, 3)),
    "QGemm": OpAlias("Gemm", "Gemm", slice(0, 7, 3)),
    "QLinearConcat": OpAlias("Concat", "Concat", slice(2, None, 3)),
    "QLinearAveragePool": OpAlias("AveragePool", "AveragePool"),
    "QLinearGlobalAveragePool": OpAlias("GlobalAveragePool", "GlobalAveragePool"),
    "QuantizeLinear": OpAlias("QuantizeLinear", "QuantizeLinear", slice(0, 3)),
    "DequantizeLinear": OpAlias("DequantizeLinear", "DequantizeLinear", slice(0, 3)),
    "SkipLayerNormalization": OpAlias("LayerNormalization", "Identity", slice(0, 2)),
    "SkipSimplifiedLayerNormalization": OpAlias("RMSNormalization", "Identity", slice(0, 2)),
    "SimplifiedLayerNormalization": OpAlias("RMSNormalization"),
    "MultiHeadAttention": OpAlias("MultiHeadAttention", "Identity", slice(0, None)),
}


def find_alias(node: onnx.NodeProto) -> OpAlias | None:
    """Return the alias of a node, None if it needs none or has none."""
    if node.domain == "com.microsoft" or node.op_type == "SimplifiedLayerNormalization":
        return OP_ALIASES.get(node.op_type)
    return None


def apply_alias(node: onnx.NodeProto, alias: OpAlias) -> None:
    """Replace a node by the operator whose output has the same shape."""
    inputs = list(node.input)[alias.inputs]
    node.domain, node.op_type = "", alias.shape_op
    del node.input[:]
    node.input.extend(inputs[:1] if alias.shape_op == "Identity" else inputs)
    del node.output[1:]
