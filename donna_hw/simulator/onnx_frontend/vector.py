"""The rules of the vector unit: elementwise functions, pools, reductions, norms, and data movement."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from donna_hw.simulator.onnx_frontend.activations import clip_bounds
from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxOp, split_words

if TYPE_CHECKING:
    from donna_hw.simulator.onnx_frontend.workload_builder import WorkloadBuilder

UNARY = split_words(
    """Relu Relu6 Clip LeakyRelu PRelu Elu Selu Celu ThresholdedRelu Swish HardSwish HardSigmoid Sigmoid Tanh Gelu Mish Softplus Softsign
    Shrink Erf Exp Log Sqrt Neg Abs Ceil Floor Round Reciprocal Sign Not BitwiseNot IsNaN IsInf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh
    Acosh Atanh"""
)
BINARY = split_words(
    """Add Sub Mul Div Pow Mod Min Max Sum Mean Where Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor BitShift BitwiseAnd BitwiseOr
    BitwiseXor"""
)
REDUCTIONS = split_words(  # every element of the input is read; the output may be smaller
    """GlobalAveragePool GlobalMaxPool GlobalLpPool ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceSumSquare ArgMax ArgMin Softmax LogSoftmax Hardmax CumSum LayerNormalization InstanceNormalization
    GroupNormalization RMSNormalization LpNormalization MeanVarianceNormalization LRN DynamicQuantizeLinear"""
)
POOLS = frozenset({"MaxPool", "AveragePool", "LpPool"})
DATA_MOVEMENTS = split_words(
    """Concat Split Slice Gather GatherElements GatherND Transpose Pad Expand Tile DepthToSpace SpaceToDepth ScatterND ScatterElements
    Scatter Trilu ReverseSequence Compress OneHot EyeLike Cast CastLike Reshape Flatten Squeeze Unsqueeze"""
)
COST_ALIASES = {  # operators that cost the same as another one
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), "global_pool"),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), "softmax"),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "LpNormalization"), "layer_norm"),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization"), "instance_norm"),
    **dict.fromkeys(("Sum", "Mean"), "add"),
    "DynamicQuantizeLinear": "quantize",
    "LpPool": "average_pool",
    "LRN": "lrn",
    "PRelu": "prelu",
}


def cost_key(op: OnnxOp) -> str:
    """Return the key of an operator's cost: its name in snake case, or that of an operator that costs the same."""
    if op.rule in COST_ALIASES:
        return COST_ALIASES[op.rule]
    if op.rule.startswith(("Reduce", "Arg")):
        return "reduce"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", op.rule).lower()


def add_unary(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a function of each element."""
    relu6 = op.rule == "Relu6" or (op.rule == "Clip" and clip_bounds(builder.graph, op) == (0, 6))
    builder.add_vector_node(op, "relu6" if relu6 else cost_key(op), elementwise=True)


def add_binary(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a function of the elements of two or more tensors, in one pass fewer than it has operands."""
    passes = len(op.inputs) - 1 if op.rule in {"Sum", "Mean", "Min", "Max"} else 1
    builder.add_vector_node(
        op, cost_key(op), work=builder.graph.elements(op.outputs[0], op) * max(passes, 1), elementwise=True
    )


def add_reduction(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a reduction, softmax or norm, which processes each element of the input once."""
    builder.add_vector_node(op, cost_key(op), work=builder.graph.elements(builder.graph.activations(op)[0], op))


def add_pool(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a pool, which processes the elements of a window for each element of the output."""
    builder.add_vector_node(
        op, cost_key(op), work=builder.graph.elements(op.outputs[0], op) * prod(op.ints_attribute("kernel_shape", (1,)))
    )


def add_batch_norm(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a batch-norm that is not folded into a product."""
    builder.add_vector_node(op, "batch_norm", elementwise=True)


def add_data_movement(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a movement of data, which processes each element of the outputs once."""
    work = sum(builder.graph.elements(name, op) for name in op.outputs)
    builder.add_vector_node(op, "move", work=work, elementwise=op.rule in {"Cast", "CastLike"})


def add_resize(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add an interpolation."""
    builder.add_vector_node(op, "resize")


VECTOR_RULES: dict[str, Callable[[WorkloadBuilder, OnnxOp], None]] = {
    **dict.fromkeys(UNARY, add_unary),
    **dict.fromkeys(BINARY, add_binary),
    **dict.fromkeys(REDUCTIONS, add_reduction),
    **dict.fromkeys(POOLS, add_pool),
    **dict.fromkeys(DATA_MOVEMENTS, add_data_movement),
    **dict.fromkeys(("Resize", "Upsample"), add_resize),
    "BatchNormalization": add_batch_norm,
}
