"""The rules of matrix products, alone and within attention."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from donna_hw.errors import FileFormatError
from donna_hw.simulator.onnx_frontend.convolutions import add_convolution, add_product, add_transposed_convolution
from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxOp, Shape
from donna_hw.simulator.workload import Geometry

if TYPE_CHECKING:
    from donna_hw.simulator.onnx_frontend.workload_builder import WorkloadBuilder


def add_gemm(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add A x B + C, with each factor as it is or transposed."""
    a, b = (builder.graph.shape(op.input(index), op) for index in (0, 1))
    if len(a) != 2 or len(b) != 2:
        raise FileFormatError(f"{op.name}: the factors of a Gemm must be matrices", got=f"{list(a)} and {list(b)}")
    a, b = (a[::-1] if op.int_attribute("transA", 0) else a), (b[::-1] if op.int_attribute("transB", 0) else b)
    add_matrix_product(builder, op, a, b, (op.inputs[0], op.inputs[1]), bias=op.inputs[2] if len(op.inputs) > 2 else "")


def add_matmul(builder: WorkloadBuilder, op: OnnxOp, operands: tuple[int, int] = (0, 1)) -> None:
    """Add a product of matrices, or of batches of them; `operands` are the indices of the factors."""
    names = op.input(operands[0]), op.input(operands[1])
    a, b = (builder.graph.shape(name, op) for name in names)
    if not a or not b:
        raise FileFormatError(f"{op.name}: the factors of a {op.op_type} must have at least one dimension")
    add_matrix_product(builder, op, a if len(a) > 1 else (1, *a), b if len(b) > 1 else (*b, 1), names)


def add_matrix_product(
    builder: WorkloadBuilder,
    op: OnnxOp,
    a: Shape,
    b: Shape,
    names: tuple[str, str],
    *,
    bias: str = "",
    output: Shape | None = None,
) -> None:
    """Add the product of a [..., m, k] and b [..., k, n].

    If one factor has no batch, the batch of the other becomes part of its rows or columns. Two batches have a group for each product, or,
    with constant weights, for each matrix of the weights.

    Args:
        builder: The workload under construction.
        op: The operator.
        a: Shape of the first factor.
        b: Shape of the second factor.
        names: Names of the factors.
        bias: Name of the bias, "" for none.
        output: Shape of an output that is not in the model.
    """
    (m, k), n = a[-2:], b[-1]
    batch_a, batch_b = prod(a[:-2]), prod(b[:-2])
    lead = max(a[:-2], b[:-2], key=len)
    pairs = [(x, y) for x, y in zip(reversed(a[:-2]), reversed(b[:-2]), strict=False) if x != y and 1 not in (x, y)]
    if b[-2] != k or pairs:
        raise FileFormatError(
            f"{op.name}: the factors of a {op.op_type} must fit each other", got=f"{list(a)} and {list(b)}"
        )
    static_a, static_b = (name in builder.graph.constants for name in names)
    batch = [max(x, y) for x, y in zip(_pad_shape(a[:-2], len(lead)), _pad_shape(b[:-2], len(lead)), strict=True)]
    products = prod(batch)
    if static_a and not static_b:  # the constant factor is the weights, and its rows are the output channels
        m, n, batch_a, batch_b, names = n, m, batch_b, batch_a, (names[1], names[0])
    constant = static_a or static_b
    if batch_b == 1:
        geometry = Geometry(1, k, batch_a * m, 1, n, batch_a * m, 1)
    elif constant:
        geometry = Geometry(products // batch_b, k * batch_b, m, 1, n * batch_b, m, 1, groups=batch_b)
    else:
        geometry = Geometry(1, k * products, m, 1, n * products, m, 1, groups=products)
    add_product(builder, op, geometry, names, bias=bias, output=output)


def _pad_shape(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape


def add_einsum(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add an einsum that is a matrix product; any other is unknown."""
    left, arrow, out = op.string_attribute("equation").replace(" ", "").partition("->")
    terms = left.split(",")
    shapes = [builder.graph.shape(name, op) for name in op.inputs]
    fits = len(terms) == len(shapes) == 2 and all(
        len(t) == len(set(t)) == len(s) for t, s in zip(terms, shapes, strict=True)
    )
    if not arrow or not fits or not (out + left.replace(",", "")).isalpha() or len(set(out)) != len(out):
        builder.add_unknown_node(op)
        return
    (a, b), sizes = terms, dict(zip(terms[0] + terms[1], shapes[0] + shapes[1], strict=True))
    unmatched = (set(a) ^ set(b)) - set(out)
    clash = any(
        sizes[letter] != size
        for term, shape in zip(terms, shapes, strict=True)
        for letter, size in zip(term, shape, strict=True)
    )
    summed = set(a) & set(b) - set(out)
    if unmatched or clash or not summed or not set(out) <= sizes.keys():
        builder.add_unknown_node(op)
        return
    batch = tuple(sizes[letter] for letter in out if letter in a and letter in b)
    rows, columns = (prod(sizes[x] for x in term if x in out and x not in other) for term, other in ((a, b), (b, a)))
    depth = prod(sizes[letter] for letter in summed)
    add_matrix_product(builder, op, (*batch, rows, depth), (*batch, depth, columns), (op.inputs[0], op.inputs[1]))


def add_attention(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add the scores, their softmax and the weighted mean of the values; attention with a cache or more outputs is unknown."""
    graph, standard = builder.graph, op.rule == "Attention"
    if len(op.inputs) < 3 or not all(op.inputs[:3]) or any(op.inputs[4 if standard else 6 :]) or len(op.outputs) != 1:
        builder.add_unknown_node(op)
        return
    a, b, c = op.inputs[:3]
    q, k, v = (graph.shape(name, op) for name in (a, b, c))
    heads = op.int_attribute("q_num_heads" if standard else "num_heads", 1)
    kv_heads = op.int_attribute("kv_num_heads", heads) if standard else heads
    if len(q) == len(k) == len(v) == 3 and min(heads, kv_heads) > 0:
        q, k, v = (_split_heads(shape, count) for shape, count in ((q, heads), (k, kv_heads), (v, kv_heads)))
    fits = len(q) == len(k) == len(v) == 4 and k[1] == v[1] and k[1] > 0 and not q[1] % k[1]
    if not fits or q[3] != k[3] or k[2] != v[2] or prod(graph.shape(op.outputs[0], op)) != q[0] * q[1] * q[2] * v[3]:
        builder.add_unknown_node(op)
        return
    batch, rows, tokens = (q[0], q[1]), q[2], k[2]
    scores, weights = f"{op.name}.scores", f"{op.name}.softmax"
    shape = (*batch, rows, tokens)
    graph.shapes |= {scores: shape, weights: shape}
    masks = [name for name in op.inputs[3:] if name and name not in graph.constants]
    score_op = OnnxOp(scores, "MatMul", "MatMul", (), (scores,))
    value_op = OnnxOp(op.name, op.op_type, "MatMul", (), op.outputs)
    add_matrix_product(builder, score_op, (*batch, rows, q[3]), (*batch, q[3], tokens), (a, b), output=shape)
    builder.add_vector_node(
        OnnxOp(weights, "Softmax", "Softmax", (), (weights,)), "softmax", [scores, *masks], output=shape
    )
    add_matrix_product(builder, value_op, shape, (*batch, tokens, v[3]), (weights, c))


def _split_heads(shape: Shape, heads: int) -> Shape:
    return (shape[0], heads, shape[1], shape[2] // heads)


PRODUCT_RULES: dict[str, Callable[[WorkloadBuilder, OnnxOp], None]] = {
    "Conv": add_convolution,
    "ConvInteger": lambda builder, op: add_convolution(builder, op, (0, 1, len(op.inputs))),
    "QLinearConv": lambda builder, op: add_convolution(builder, op, (0, 3, 8)),
    "ConvTranspose": add_transposed_convolution,
    "Gemm": add_gemm,
    "MatMul": add_matmul,
    "MatMulInteger": add_matmul,
    "QLinearMatMul": lambda builder, op: add_matmul(builder, op, (0, 3)),
    "Einsum": add_einsum,
    "Attention": add_attention,
    "MultiHeadAttention": add_attention,
}
