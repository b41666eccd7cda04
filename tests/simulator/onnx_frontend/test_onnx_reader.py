"""Every rule against its closed form, on models of a few nodes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx_examples import checked, functions, macs, model_of, node, zeros
from torch.utils.flop_counter import FlopCounterMode

from donna_hw.simulator.onnx_frontend.reader import read_onnx
from donna_hw.simulator.workload import Geometry


def torch_macs(module: torch.nn.Module, *shape: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(shape))
    return counter.get_total_flops() // 2


sizes = st.integers(1, 4)


@settings(deadline=None, max_examples=40)
@given(
    st.fixed_dictionaries(dict.fromkeys(("batch", "a", "b", "kernel"), sizes)),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2]),
    st.integers(6, 11),
    st.tuples(st.booleans(), st.booleans()),
)
def test_convolutions_have_torchs_multiply_accumulates(
    numbers: dict[str, int], stride: int, groups: int, size: int, line_and_transposed: tuple[bool, bool]
) -> None:
    (line, transposed), (batch, a, b, kernel) = line_and_transposed, numbers.values()
    into, out, dims = a * groups, b * groups, 1 if line else 2
    modules = {False: (torch.nn.Conv1d, torch.nn.Conv2d), True: (torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d)}
    kind = modules[transposed][dims - 1]
    module = kind(into, out, kernel, stride, padding=kernel // 2, groups=groups, bias=True)
    shape = (batch, into, *((size,) if line else (size, size + 1)))
    weights = {"w": module.weight.detach().numpy(), "b": zeros(out)}
    op = node(
        "ConvTranspose" if transposed else "Conv",
        "x w b",
        group=groups,
        strides=[stride] * dims,
        pads=[kernel // 2] * 2 * dims,
    )
    workload = checked(read_onnx(model_of([op], {"x": shape}, weights)))
    (product,) = workload.nodes
    result = module(torch.zeros(shape))
    assert macs(workload) == torch_macs(module, *shape)
    assert (product.weights, product.biases) == (module.weight.numel(), out)
    assert workload.tensors[1] == (result.numel(), out, "")
    assert workload.tensors[0] == (int(np.prod(shape)), into, "")


def test_a_dilated_depthwise_convolution_padded_automatically() -> None:
    op = node("Conv", "x w", group=4, dilations=[2, 1], strides=[1, 2], auto_pad="SAME_UPPER")
    (product,) = read_onnx(model_of([op], {"x": (1, 4, 10, 9)}, {"w": zeros(4, 1, 3, 5)})).nodes
    assert product.geometry == Geometry(1, 4, 10, 9, 4, 10, 5, 3, 5, 1, 2, 2, 1, 4)


@pytest.mark.parametrize(
    ("a", "b", "static", "geometry", "weights"),
    [
        ((5, 3), (3, 7), "b", (1, 3, 5, 1, 7, 5, 1), 21),
        ((2, 4, 5, 3), (3, 7), "b", (1, 3, 40, 1, 7, 40, 1), 21),  # all leading dimensions in m
        ((2, 4, 5, 3), (4, 3, 7), "b", (2, 12, 5, 1, 28, 5, 1), 84),  # a group for each of the weights' matrices
        ((2, 4, 5, 3), (2, 4, 3, 7), "", (1, 24, 5, 1, 56, 5, 1), 0),  # a group for each product
        ((2, 4, 5, 3), (3, 7), "", (1, 3, 40, 1, 7, 40, 1), 0),
        ((5, 3), (2, 3, 7), "a", (1, 3, 14, 1, 5, 14, 1), 15),  # the constant first factor holds the weights
        ((3,), (3, 7), "b", (1, 3, 1, 1, 7, 1, 1), 21),
        ((5, 3), (3,), "b", (1, 3, 5, 1, 1, 5, 1), 3),
    ],
)
def test_matrix_products(
    a: tuple[int, ...], b: tuple[int, ...], static: str, geometry: tuple[int, ...], weights: int
) -> None:
    shapes = {"a": a, "b": b}
    constants = {static: zeros(*shapes.pop(static))} if static else {}
    workload = checked(read_onnx(model_of([node("MatMul", "a b")], shapes, constants)))
    (product,) = workload.nodes
    assert product.geometry is not None
    assert product.geometry[:7] == geometry
    assert (product.weights, len(product.inputs)) == (weights, 1 if static else 2)
    with FlopCounterMode(display=False) as counter:
        torch.matmul(torch.zeros(a), torch.zeros(b))
    assert macs(workload) == (counter.get_total_flops() // 2 or np.prod(a) * (b[-1] if len(b) > 1 else 1))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(sizes, st.sampled_from(["both", "a", "b"])), max_size=3),
    sizes,
    sizes,
    sizes,
    st.sampled_from(["", "a", "b"]),
)
def test_products_of_broadcast_batches(lead: list[tuple[int, str]], m: int, k: int, n: int, static: str) -> None:
    a = (*(1 if only == "b" else size for size, only in lead), m, k)
    b = (*(1 if only == "a" else size for size, only in lead), k, n)
    shapes = {"a": a, "b": b}
    constants = {static: zeros(*shapes.pop(static))} if static else {}
    workload = checked(read_onnx(model_of([node("MatMul", "a b")], shapes, constants)))
    assert macs(workload) == np.matmul(zeros(*a), zeros(*b)).size * k
    assert workload.nodes[0].weights == (np.prod({"a": a, "b": b}[static]) if static else 0)


@pytest.mark.parametrize("swap", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("static", ["a", "b", ""])
def test_gemm_of_either_side_transposed(swap: tuple[int, int], static: str) -> None:
    shapes = {"a": (4, 3)[:: 1 - 2 * swap[0]], "b": (3, 5)[:: 1 - 2 * swap[1]]}
    constants = {"c": zeros(5)} | ({static: zeros(*shapes.pop(static))} if static else {})
    op = node("Gemm", "a b c", transA=swap[0], transB=swap[1])
    (product,) = checked(workload := read_onnx(model_of([op], shapes, constants))).nodes
    assert macs(workload) == 4 * 3 * 5
    assert product.biases == 5
    assert product.weights == {"a": 12, "b": 15, "": 0}[static]


@pytest.mark.parametrize(
    "equation",
    ["bik,kj->bij", "bhqd,bhkd->bhqk", "bik,bkj->bji", "bij,bij->b", "ij,jk->", "bi...,ij->b...j", "ii,ij->j"],
)
def test_einsum_where_it_is_a_product(equation: str) -> None:
    left, _, out = equation.partition("->")
    of = dict(zip("bhqkdij", (2, 3, 4, 5, 6, 7, 8), strict=True))
    shapes = {name: [of[x] for x in term.replace("...", "")] for name, term in zip("ab", left.split(","), strict=True)}
    workload = checked(read_onnx(model_of([node("Einsum", "a b", equation=equation)], shapes)))
    simple = "." not in equation and out and "ii" not in equation
    assert workload.unknown_ops == (() if simple else ("Einsum",))
    if simple:
        assert macs(workload) == np.prod([of[x] for x in set(left.replace(",", ""))])


def test_integer_products() -> None:
    zero, scale = np.zeros((), np.uint8), np.ones((), np.float32)
    weights = {"w": np.zeros((4, 3, 3, 3), np.uint8), "s": scale, "z": zero, "b": np.zeros(4, np.int32)}
    op = node("QLinearConv", "x s z w s z s z b")
    workload = checked(read_onnx(model_of([op], {"x": (1, 3, 8, 8)}, weights, types={"x": TensorProto.UINT8})))
    (product,) = workload.nodes
    assert (product.precision, product.weights, product.biases) == ("int8", 108, 4)
    assert [tensor.precision for tensor in workload.tensors] == ["int8", "int8"]
    op = node("MatMulInteger", "x w")
    workload = read_onnx(
        model_of([op], {"x": (2, 3)}, {"w": np.zeros((3, 4), np.int8)}, types={"x": TensorProto.UINT8})
    )
    assert (workload.nodes[0].precision, [t.precision for t in workload.tensors], macs(workload)) == (
        "int8",
        ["int8", ""],
        24,
    )


@pytest.mark.parametrize(
    ("op_type", "attributes", "function", "work"),
    [
        ("MaxPool", {"kernel_shape": [3, 2]}, "max_pool", 2 * 4 * 4 * 6 * 6),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, "average_pool", 2 * 4 * 3 * 3 * 4),
        ("GlobalAveragePool", {}, "global_pool", 2 * 4 * 6 * 7),
        ("ReduceMean", {"keepdims": 0}, "reduce", 2 * 4 * 6 * 7),
        ("Softmax", {}, "softmax", 2 * 4 * 6 * 7),
        ("Transpose", {}, "move", 2 * 4 * 6 * 7),
        ("DepthToSpace", {"blocksize": 2}, "move", 2 * 4 * 6 * 7),
        ("Selu", {}, "selu", 2 * 4 * 6 * 7),
        ("HardSwish", {}, "hard_swish", 2 * 4 * 6 * 7),
        ("Softsign", {}, "softsign", 2 * 4 * 6 * 7),
    ],
)
def test_work_of_the_vector_unit(op_type: str, attributes: dict[str, object], function: str, work: int) -> None:
    (op,) = checked(read_onnx(model_of([node(op_type, "x", **attributes)], {"x": (2, 4, 6, 7)}))).nodes
    assert (op.function, op.op_type, op.name) == (function, op_type, f"{op_type}_0")
    assert op.work == work
    assert op.elementwise == (function in {"selu", "hard_swish", "softsign"})


def test_a_broadcast_operand_comes_second() -> None:
    for inputs in ("x g", "g x"):
        (op,) = read_onnx(model_of([node("Mul", inputs)], {"g": (1, 4, 1, 1), "x": (1, 4, 5, 5)})).nodes
        assert (op.inputs, op.elementwise, op.work) == ((1, 0), True, 100)
    (op,) = read_onnx(model_of([node("Add", "a b")], {"a": (3, 1), "b": (1, 4)})).nodes
    assert (op.elementwise, op.work) == (False, 12)
    (op,) = read_onnx(model_of([node("Add", "a b")], {"a": (3, 1)}, {"b": zeros(4)})).nodes
    assert (op.inputs, op.elementwise, op.work) == ((0,), False, 12)


@pytest.mark.parametrize(("bounds", "function"), [((0, 6), "relu6"), ((-1, 1), "clip"), ((0, None), "clip")])
@pytest.mark.parametrize("opset", [6, 21])
def test_clip_by_its_bounds(bounds: tuple[float, float | None], function: str, opset: int) -> None:
    low, high = bounds
    if opset == 6:
        given_bounds = {"min": float(low)} | ({} if high is None else {"max": float(high)})
        model = model_of([node("Clip", "x", **given_bounds)], {"x": (1, 8)}, opset=6)
    else:
        constants = {"l": np.float32(low)} | ({} if high is None else {"h": np.float32(high)})
        model = model_of([node("Clip", "x l" + ("" if high is None else " h"))], {"x": (1, 8)}, constants)
    assert functions(read_onnx(model)) == [function]


def test_views_and_constants_are_free() -> None:
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "rows"),
        node("Concat", "rows minus", "target", axis=0),
        node("Reshape", "x target", "flat"),
        node("Transpose", "flat", "turned", perm=[0, 1]),
        node("Cast", "turned", "half", to=TensorProto.FLOAT16),
        node("Dropout", "half", "dropped"),
        node("Identity", "dropped", "y"),
    ]
    constants = {"zero": np.zeros(1, np.int64), "minus": np.array([-1])}
    workload = read_onnx(model_of(nodes, {"x": (2, 3, 4)}, constants))
    assert (workload.nodes, workload.inputs, workload.outputs) == ((), (0,), (0,))
    assert len(workload.free_ops) == 8


def test_batch_norms_and_added_constants_fold_into_the_product_before_them() -> None:
    norm = {"s": zeros(4), "t": zeros(4), "m": zeros(4), "v": zeros(4)}
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", "c s t m v", "n"), node("Relu", "n")]
    workload = checked(read_onnx(model_of(nodes, {"x": (1, 3, 5, 5)}, norm | {"w": zeros(4, 3, 1, 1)})))
    assert (functions(workload), workload.nodes[0].biases, workload.free_ops) == (
        ["array", "relu"],
        4,
        ("BatchNormalization_1",),
    )
    nodes.append(node("Add", "c y", "z"))  # the convolution's output is read apart
    workload = checked(read_onnx(model_of(nodes, {"x": (1, 3, 5, 5)}, norm | {"w": zeros(4, 3, 1, 1)}, output="z")))
    assert functions(workload) == ["array", "batch_norm", "relu", "add"]
    linear = [node("MatMul", "x w", "p"), node("Add", "b p")]
    workload = read_onnx(model_of(linear, {"x": (2, 7, 3)}, {"w": zeros(3, 4), "b": zeros(4)}))
    assert (functions(workload), workload.nodes[0].biases) == (["array"], 4)


HALF, ROOT, THREE, SIX = np.float32(0.5), np.float32(2**0.5), np.float32(3), np.float32(6)
SPELT = {
    "swish": ["Sigmoid x a", "Mul a x y"],
    "hard_swish": ["Add three x a", "Clip a zero six b", "Mul x b c", "Div c six y"],
    "hard_sigmoid": ["Add x three a", "Relu a b", "Min b six c", "Div c six y"],
    "gelu": ["Div x root a", "Erf a b", "Add b one c", "Mul x half d", "Mul d c y"],
    "mish": ["Softplus x a", "Tanh a b", "Mul x b y"],
    "softplus": ["Exp x a", "Add a one b", "Log b y"],
    "relu6": ["Relu x a", "Min a six y"],
}


def spelt(lines: list[str]) -> list[onnx.NodeProto]:
    return [node(op_type, " ".join(words[:-1]), words[-1]) for op_type, *words in (line.split() for line in lines)]


CONSTANTS = {"half": HALF, "root": ROOT, "three": THREE, "six": SIX, "zero": np.float32(0), "one": np.float32(1)}


@pytest.mark.parametrize("function", SPELT)
def test_functions_that_are_spelt_out(function: str) -> None:
    nodes = spelt(SPELT[function])
    (op,) = checked(read_onnx(model_of(nodes, {"x": (1, 4, 5, 5)}, CONSTANTS))).nodes
    assert (op.function, op.work, op.elementwise, op.name) == (
        function,
        100,
        True,
        f"{nodes[-1].op_type}_{len(nodes) - 1}",
    )
    # an inner value that is read elsewhere keeps the operators apart
    (*_, last) = read_onnx(
        model_of([*nodes, node("Add", "a y", "z")], {"x": (1, 4, 5, 5)}, CONSTANTS, output="z")
    ).nodes
    assert (
        len(read_onnx(model_of([*nodes, node("Add", "a y", "z")], {"x": (1, 4, 5, 5)}, CONSTANTS, output="z")).nodes)
        > 2
    )
    assert last.function == "add"


def test_nearly_a_known_function_is_not_folded() -> None:
    constants = CONSTANTS | {"six": np.float32(5)}
    assert functions(read_onnx(model_of(spelt(SPELT["hard_swish"]), {"x": (1, 4)}, constants))) == [
        "add",
        "clip",
        "mul",
        "div",
    ]


def test_an_unknown_operator_is_costed_as_movement_and_named() -> None:
    model = model_of([node("Odd", "x", "o", domain="own"), node("Relu", "o")], {"x": (2, 3)})
    model.graph.value_info.append(helper.make_tensor_value_info("o", 1, (2, 6)))
    workload = checked(read_onnx(model))
    assert (functions(workload), workload.unknown_ops, workload.nodes[0].work) == (
        ["unknown", "relu"],
        ("Odd",),
        6 + 12,
    )


def test_attention() -> None:
    op = node("Attention", "q k v", q_num_heads=4, kv_num_heads=2)
    shapes = {"q": (2, 5, 32), "k": (2, 7, 16), "v": (2, 7, 16)}
    workload = checked(read_onnx(model_of([op], shapes, opset=23)))
    assert functions(workload) == ["array", "softmax", "array"]
    assert macs(workload) == 2 * (2 * 4 * 5 * 7 * 8)
    assert workload.nodes[1].work == 2 * 4 * 5 * 7
    op = node("MultiHeadAttention", "q k v", num_heads=4, domain="com.microsoft")
    workload = checked(read_onnx(model_of([op], {"q": (2, 5, 32), "k": (2, 7, 32), "v": (2, 7, 32)})))
    assert (functions(workload), macs(workload)) == (["array", "softmax", "array"], 2 * (2 * 5 * 7 * 32))


def test_functions_of_the_model_are_inlined() -> None:
    body = helper.make_function(
        "own", "Twice", ["x"], ["y"], [node("Relu", "x", "a"), node("Tanh", "a")], [helper.make_opsetid("", 21)]
    )
    model = model_of([node("Twice", "x", domain="own")], {"x": (2, 3)})
    model.functions.append(body)
    assert functions(read_onnx(model)) == ["relu", "tanh"]


def test_the_model_is_left_as_it_was_and_weights_elsewhere_are_not_read(tmp_path: object) -> None:
    model = model_of(
        [node("Gelu", "x", "g", domain="com.microsoft"), node("MatMul", "g w")], {"x": (2, 3)}, {"w": zeros(3, 4)}
    )
    before = model.SerializeToString()
    read_onnx(model)
    assert model.SerializeToString() == before
    weights = numpy_helper.from_array(zeros(3, 4), "w")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="nowhere.bin")
    model.graph.initializer[0].CopyFrom(weights)
    assert functions(read_onnx(model)) == ["gelu", "array"]
