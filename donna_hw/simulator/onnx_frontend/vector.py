"""Vector: the rules of what the vector unit does: functions of elements, pools, reductions, norms, and data movement."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from donna_hw.simulator.onnx_frontend.activations import clip_bounds
from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxOp, words

if TYPE_CHECKING:
    from donna_hw.simulator.onnx_frontend.workload_builder import WorkloadBuilder

UNARY = words(
    """Relu Relu6 Clip LeakyRelu PRelu Elu Selu Celu ThresholdedRelu Swish HardSwish HardSigmoid Sigmoid Tanh Gelu Mish Softplus Softsign
    Shrink Erf Exp Log Sqrt Neg Abs Ceil Floor Round Reciprocal Sign Not BitwiseNot IsNaN IsInf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh
    Acosh Atanh"""
)
BINARY = words(
    """Add Sub Mul Div Pow Mod Min Max Sum Mean Where Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor BitShift BitwiseAnd BitwiseOr
    BitwiseXor"""
)
OF_INPUT = words(  # every element of the input is read; the output may be smaller
    """GlobalAveragePool GlobalMaxPool GlobalLpPool ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceSumSquare ArgMax ArgMin Softmax LogSoftmax Hardmax CumSum LayerNormalization InstanceNormalization
    GroupNormalization RMSNormalization LpNormalization MeanVarianceNormalization LRN DynamicQuantizeLinear"""
)
WINDOWS = frozenset({"MaxPool", "AveragePool", "LpPool"})
MOVES = words(
    """Concat Split Slice Gather GatherElements GatherND Transpose Pad Expand Tile DepthToSpace SpaceToDepth ScatterND ScatterElements
    Scatter Trilu ReverseSequence Compress OneHot EyeLike Cast CastLike Reshape Flatten Squeeze Unsqueeze"""
)
ALIKE = {  # operators that cost what another one does
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


def function_of(op: OnnxOp) -> str:
    """Return the key of an operator's cost: its name in small letters, the words apart, or that of the ones that cost as much."""
    if op.rule in ALIKE:
        return ALIKE[op.rule]
    if op.rule.startswith(("Reduce", "Arg")):
        return "reduce"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", op.rule).lower()


def unary(draft: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a function of each element."""
    relu6 = op.rule == "Relu6" or (op.rule == "Clip" and clip_bounds(draft.net, op) == (0, 6))
    draft.vector(op, "relu6" if relu6 else function_of(op), elementwise=True)


def binary(draft: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a function of the elements of two tensors or more, in as many passes as it has operands less one."""
    passes = len(op.inputs) - 1 if op.rule in {"Sum", "Mean", "Min", "Max"} else 1
    draft.vector(op, function_of(op), work=draft.net.elements(op.outputs[0], op) * max(passes, 1), elementwise=True)


def of_input(draft: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a reduction, softmax or norm: each element of the input once."""
    draft.vector(op, function_of(op), work=draft.net.elements(draft.net.activations(op)[0], op))


def window(draft: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a pool: each window's elements for each of the output."""
    draft.vector(
        op, function_of(op), work=draft.net.elements(op.outputs[0], op) * prod(op.numbers("kernel_shape", (1,)))
    )


def batch_norm(draft: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a batch-norm that no product took in."""
    draft.vector(op, "batch_norm", elementwise=True)


def move(draft: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a movement of data: each element of the outputs once."""
    work = sum(draft.net.elements(name, op) for name in op.outputs)
    draft.vector(op, "move", work=work, elementwise=op.rule in {"Cast", "CastLike"})


def resize(draft: WorkloadBuilder, op: OnnxOp) -> None:
    """Add an interpolation."""
    draft.vector(op, "resize")


FUNCTIONS: dict[str, Callable[[WorkloadBuilder, OnnxOp], None]] = {
    **dict.fromkeys(UNARY, unary),
    **dict.fromkeys(BINARY, binary),
    **dict.fromkeys(OF_INPUT, of_input),
    **dict.fromkeys(WINDOWS, window),
    **dict.fromkeys(MOVES, move),
    **dict.fromkeys(("Resize", "Upsample"), resize),
    "BatchNormalization": batch_norm,
}
