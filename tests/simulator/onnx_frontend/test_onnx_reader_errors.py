"""What cannot be read is refused in one line; nothing else is ever raised."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_examples import checked, model_of, node, zeros

from donna_hw.errors import ConfigError, DonnaError, FileFormatError, UnknownNameError
from donna_hw.graph.builder import lower_chain
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.simulator.onnx_frontend.reader import read_onnx
from donna_hw.spaces.cells import Classifier, InvertedResidual

CONV = [node("Conv", "x w")]
W = {"w": zeros(4, 3, 1, 1)}


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        (model_of(CONV, {"x": (1, 3, 0, 5)}, W), ConfigError, "open dimensions"),
        (model_of(CONV, {"x": ("n", 3, 5, 5)}, W), ConfigError, r"\[n, 3, 5, 5\].*--input-shape x=1,3,5,5"),
        (
            model_of([node("Conv", "x v")], {"x": (1, 3, 4, 5, 5)}, {"v": zeros(4, 3, 1, 1, 1)}),
            ConfigError,
            r"must be \[batch, channels, \(height,\) width\]",
        ),
        (model_of([node("Conv", "x w", group=2)], {"x": (1, 3, 5, 5)}, W), FileFormatError, "groups"),
        (model_of([node("Conv", "x w", strides=[0, 1])], {"x": (1, 3, 5, 5)}, W), DonnaError, "."),
        (model_of([node("MatMul", "x b")], {"x": (2, 3), "b": (4, 5)}), DonnaError, "."),
        (
            model_of([node("Relu", "nowhere")], {"x": (2,)}),
            FileFormatError,
            "reads a tensor that no earlier operator writes",
        ),
        (
            model_of([node("Relu", "y", "z"), node("Relu", "z")], {"x": (2,)}),
            FileFormatError,
            "reads a tensor that no earlier operator writes",
        ),
        (model_of([node("Relu", "x", "x")], {"x": (2,)}), FileFormatError, "writes a tensor that exists already"),
        (model_of([node("Relu", "x")], {"x": (2,)}, output="nothing"), FileFormatError, "output"),
        (model_of([node("Odd", "x", domain="own")], {"x": (2,)}), ConfigError, "Odd.*--input-shape"),
        (model_of([node("NonZero", "x")], {"x": (2, 3)}), ConfigError, "NonZero"),
        (model_of([node("Relu", "x")], {"x": (2**40, 2**40)}), FileFormatError, "2\\*\\*40"),
        (model_of([node("Slice", "x a a")], {"x": (4,)}, {"a": np.zeros(1, np.int64)}), FileFormatError, "elements"),
    ],
)
def test_models_that_are_refused(model: onnx.ModelProto, error: type[DonnaError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        read_onnx(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"z": (1, 3, 5, 5)}, UnknownNameError, "unknown input of the model 'z'; expected x"),
        ({"x": (1, 3, 5)}, ConfigError, "as many dimensions"),
        ({"x": (1, 4, 5, 5)}, ConfigError, r"\[n, 3, n, 5\]"),
        ({"x": (1, 3, 2, 5)}, ConfigError, r"\[n, 3, n, 5\]"),
        ({"x": (0, 3, 0, 5)}, ConfigError, "at least 1"),
        ({"x": ()}, ConfigError, "at least 1"),
    ],
)
def test_input_shapes_that_are_refused(given: dict[str, tuple[int, ...]], error: type[DonnaError], says: str) -> None:
    with pytest.raises(error, match=says):
        read_onnx(model_of(CONV, {"x": ("n", 3, "n", 5)}, W), given)


def test_a_symbol_has_one_size_in_all_inputs() -> None:
    model = model_of([node("Add", "a b")], {"a": ("n", 3), "b": ("n", 3)})
    assert len(checked(read_onnx(model, {"a": (4, 3)})).tensors) == 3
    with pytest.raises(ConfigError, match="fit"):
        read_onnx(model, {"a": (4, 3), "b": (5, 3)})


def test_stated_shapes_help_where_inference_ends() -> None:
    model = model_of([node("Odd", "x", "o", domain="own"), node("Relu", "o")], {"x": ("n", 3)})
    model.graph.value_info.append(helper.make_tensor_value_info("o", 1, ("n", 6)))
    assert checked(read_onnx(model, {"x": (4, 3)})).nodes[1].work == 24


def test_functions_that_call_themselves_or_explode() -> None:
    opset = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    model = model_of([node("F0", "x", domain="own")], {"x": (2,)})
    model.functions.append(helper.make_function("own", "F0", ["x"], ["y"], [node("F0", "x", domain="own")], opset))
    with pytest.raises(FileFormatError, match="calls itself"):
        read_onnx(model)
    del model.functions[:]
    for level in range(30):
        twice = [node(f"F{level + 1}", "x", "a", domain="own"), node(f"F{level + 1}", "a", domain="own")]
        model.functions.append(helper.make_function("own", f"F{level}", ["x"], ["y"], twice, opset))
    with pytest.raises(FileFormatError, match="1,000,000"):
        read_onnx(model)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x07", b"\xff" * 100, bytes(1000)])
@pytest.mark.parametrize("name", ["m.onnx", "m.textproto", "m.json"])
def test_files_that_are_no_models(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match="ONNX model"):
        read_onnx(tmp_path / name)
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_onnx(tmp_path / "missing.onnx")


def small() -> bytes:
    graph = lower_chain(
        [("a", InvertedResidual(4, expand=1, attention="se", activation="swish")), ("b", Classifier(3))], (4, 4, 4)
    )
    return to_onnx(graph).SerializeToString()


SMALL = small()
QUANTISED = model_of(
    [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        node("ReduceMean", "d", "m"),
        node("Sub", "d m", "e"),
        node("Pow", "e two", "p"),
        node("ReduceMean", "p", "v"),
        node("Add", "v s", "a"),
        node("Sqrt", "a", "r"),
        node("Div", "e r", "n"),
        node("MatMul", "n w", "t"),
        node("Shape", "t", "shape"),
        node("Reshape", "t shape", "u"),
        node("Attention", "u u u", "o", q_num_heads=1, kv_num_heads=1),
        node("Clip", "o s s"),
    ],
    {"x": (1, 3, 4)},
    {"s": np.float32(1), "z": np.uint8(0), "two": np.float32(2), "w": zeros(4, 4)},
    opset=23,
).SerializeToString()


def read_or_refuse(model: onnx.ModelProto) -> None:
    try:
        checked(read_onnx(model))
    except DonnaError as error:
        assert "\n" not in str(error)  # noqa: PT017 - it may also be read


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([SMALL, QUANTISED]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    st.integers(0, 10**6),
)
@example(SMALL, [], 0)
def test_spoiled_bytes(content: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    spoiled = bytearray(content if cut % 4 else content[: cut % len(content)])
    for place, value in changes:
        if spoiled:
            spoiled[place % len(spoiled)] = value
    try:
        model = onnx.load_from_string(bytes(spoiled))
    except Exception:  # what `load` turns into BadFile
        return
    read_or_refuse(model)


ODD_NUMBERS = (-(2**63), -1, 0, 1, 2, 3, 2**31, 2**62)
OPERATORS = (
    "Conv",
    "Gemm",
    "MatMul",
    "Mul",
    "Clip",
    "Reshape",
    "Transpose",
    "Einsum",
    "Attention",
    "QLinearConv",
    "ConvTranspose",
    "If",
    "Loop",
)
OTHERS = (
    "LSTM",
    "TopK",
    "Split",
    "Concat",
    "DequantizeLinear",
    "QuantizeLinear",
    "BatchNormalization",
    "Expand",
    "Resize",
    "GlobalAveragePool",
)


def edit(model: onnx.ModelProto, rng: Random) -> None:  # noqa: PLR0912 - a kind of change a branch
    """Change one thing of a model, by a seeded generator."""
    graph = model.graph
    nodes = list(graph.node)
    op = rng.choice(nodes)
    names = [name for other in nodes for name in (*other.input, *other.output)] + ["", "new"]
    kind = rng.randrange(10)
    if kind == 0:
        op.op_type = rng.choice(OPERATORS + OTHERS)
    elif kind == 1 and op.input:
        op.input[rng.randrange(len(op.input))] = rng.choice(names)
    elif kind == 2 and op.output:
        op.output[rng.randrange(len(op.output))] = rng.choice(names)
    elif kind == 3:
        del (op.input if rng.random() < 0.7 else op.output)[rng.randrange(2) :]
    elif kind == 4:
        (op.input if rng.random() < 0.7 else op.output).append(rng.choice(names))
    elif kind == 5 and op.attribute:
        attribute = rng.choice(list(op.attribute))
        attribute.i = rng.choice(ODD_NUMBERS)
        del attribute.ints[rng.randrange(3) :]
        attribute.ints.append(rng.choice(ODD_NUMBERS))
        attribute.type = rng.choice([attribute.type, 1, 2, 3, 4, 5, 7])
    elif kind == 6:
        name = rng.choice(
            ["group", "axis", "perm", "strides", "equation", "kernel_shape", "keepdims", "transA", "to", "min"]
        )
        value: object = rng.choice([*ODD_NUMBERS, [rng.choice(ODD_NUMBERS)] * rng.randrange(1, 4), "ab,bc->ac", 1.5])
        op.attribute.append(helper.make_attribute(name, value))
    elif kind == 7 and graph.initializer:
        tensor = rng.choice(list(graph.initializer))
        if tensor.dims and rng.random() < 0.7:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(ODD_NUMBERS)
        else:
            tensor.data_type = rng.randrange(30)
    elif kind == 8:
        dims = graph.input[0].type.tensor_type.shape.dim
        if dims and rng.random() < 0.8:
            rng.choice(list(dims)).dim_value = rng.choice(ODD_NUMBERS)
        else:
            graph.input[0].type.Clear()
    else:
        op.domain = rng.choice(["own", "com.microsoft", "ai.onnx.ml"])
        graph.node.extend(graph.node[:1])


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([SMALL, QUANTISED]), st.integers(0, 2**32), st.integers(1, 4))
def test_edited_models(content: bytes, seed: int, edits: int) -> None:
    model, rng = onnx.load_from_string(content), Random(seed)
    for _ in range(edits):
        edit(model, rng)
    read_or_refuse(model)


def test_a_model_of_views_only_is_no_work() -> None:
    workload = read_onnx(model_of([node("Identity", "x")], {"x": (2, 3)}, types={"x": TensorProto.FLOAT}))
    assert (workload.nodes, workload.inputs, workload.outputs, workload.free_ops) == ((), (0,), (0,), ("Identity_0",))
