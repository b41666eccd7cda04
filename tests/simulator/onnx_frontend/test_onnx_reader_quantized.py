"""Quantized models: integers where the model has them, and no cost of the operators that mark them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_examples import arrays, checked, functions, macs, model_of, node, zeros
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

from donna_hw.graph.builder import lower_chain
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.simulator.onnx_frontend.reader import read_onnx
from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual

QUANTISED = {"s": np.float32(0.1), "z": np.zeros((), np.uint8), "w": np.zeros((4, 3, 1, 1), np.uint8)}


def chain(*middle: onnx.NodeProto, ends: str = "m") -> list[onnx.NodeProto]:
    """Return x -> quantized convolution `c` -> middle -> quantized `ends` -> float y."""
    return [
        node("QuantizeLinear", "x s z", "xq"),
        node("DequantizeLinear", "xq s z", "xd"),
        node("DequantizeLinear", "w s z", "wd"),
        node("Conv", "xd wd", "c"),
        *middle,
        node("QuantizeLinear", f"{ends} s z", "mq"),
        node("DequantizeLinear", "mq s z", "y"),
    ]


@pytest.mark.parametrize(
    ("zero", "precision"), [(np.uint8, "int8"), (np.int8, "int8"), (np.int16, "int16"), (np.uint16, "int16")]
)
def test_a_convolution_between_dequantize_and_quantize_is_of_integers(zero: type, precision: str) -> None:
    constants = QUANTISED | {"z": np.zeros((), zero), "w": np.zeros((4, 3, 1, 1), zero)}
    workload = checked(read_onnx(model_of(chain(node("Relu", "c", "m")), {"x": (1, 3, 5, 5)}, constants)))
    assert functions(workload) == ["quantize", "array", "relu", "dequantize"]
    assert [op.precision for op in workload.nodes] == ["", precision, precision, ""]
    assert [tensor.precision for tensor in workload.tensors] == ["", precision, precision, precision, ""]
    assert (arrays(workload)[0].weights, macs(workload)) == (12, 300)
    assert len(workload.free_ops) == 3  # the weights' and the input's dequantize, the relu's quantize


def test_what_is_read_as_a_float_runs_as_one() -> None:
    middle = [
        node("Softmax", "c", "soft"),
        node("Relu", "soft", "m"),
    ]  # softmax is fed by the convolution, not by integers
    workload = checked(read_onnx(model_of(chain(*middle), {"x": (1, 3, 5, 5)}, QUANTISED)))
    assert functions(workload) == ["quantize", "dequantize", "array", "softmax", "relu", "quantize", "dequantize"]
    assert {op.precision for op in workload.nodes} == {""}


def test_one_integer_tensor_read_both_ways_is_dequantized_once() -> None:
    nodes = [*chain(node("Relu", "c", "m")), node("Softmax", "xd", "a"), node("Relu", "xd", "b")]
    workload = checked(
        read_onnx(model_of([*nodes, node("Add", "a b", "out")], {"x": (1, 3, 5, 5)}, QUANTISED, output="out"))
    )
    assert functions(workload).count("dequantize") == 1 + (functions(workload)[-1] != "add")
    product, (add,) = arrays(workload)[0], [op for op in workload.nodes if op.function == "add"]
    assert product.precision == "int8"
    assert [workload.tensors[x].precision for x in (*product.inputs, *add.inputs)] == ["int8", "", ""]


def test_a_swish_in_several_operators_with_quantized_steps_is_one_node() -> None:
    steps = [
        node("QuantizeLinear", "c s z", "cq"),
        node("DequantizeLinear", "cq s z", "cd"),
        node("Sigmoid", "cd", "g"),
        node("QuantizeLinear", "g s z", "gq"),
        node("DequantizeLinear", "gq s z", "gd"),
        node("Mul", "cd gd", "m"),
    ]
    workload = checked(read_onnx(model_of(chain(*steps), {"x": (1, 3, 5, 5)}, QUANTISED)))
    assert functions(workload) == ["quantize", "array", "swish", "dequantize"]
    assert [op.precision for op in workload.nodes] == ["", "int8", "int8", ""]


def test_reshaped_between_quantized_products() -> None:
    more = {"t": np.array([1, -1]), "v": np.zeros((100, 2), np.uint8)}
    steps = [
        node("QuantizeLinear", "c s z", "cq"),
        node("DequantizeLinear", "cq s z", "cd"),
        node("Reshape", "cd t", "flat"),
        node("DequantizeLinear", "v s z", "vd"),
        node("MatMul", "flat vd", "m"),
    ]
    workload = checked(read_onnx(model_of(chain(*steps), {"x": (1, 3, 5, 5)}, QUANTISED | more)))
    assert functions(workload) == ["quantize", "array", "array", "dequantize"]
    assert [op.precision for op in arrays(workload)] == ["int8", "int8"]


class Calibration(CalibrationDataReader):
    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._rows: Iterator[dict[str, np.ndarray]] = iter(
            [{"input": rng.standard_normal((1, 3, 16, 16), np.float32)} for _ in range(2)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rows, None)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = [
        ("stem", ConvNormAct(8, 3, 2)),
        ("block", InvertedResidual(8, attention="se", activation="relu")),
        ("end", Classifier(10)),
    ]
    path = tmp_path_factory.mktemp("models") / "float.onnx"
    onnx.save(to_onnx(lower_chain(parts, (3, 16, 16))), path)
    return path


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
def test_a_network_quantized_by_onnxruntime(form: QuantFormat, network: Path, tmp_path: Path) -> None:
    logging.disable(logging.WARNING)  # it advises to preprocess
    try:
        quantize_static(network, tmp_path / "q.onnx", Calibration(), quant_format=form)
    finally:
        logging.disable(logging.NOTSET)
    before, after = read_onnx(network), checked(read_onnx(tmp_path / "q.onnx"))
    assert macs(after) == macs(before)
    assert {op.precision for op in arrays(after)} == {"int8"}
    assert sum(op.weights for op in arrays(after)) == sum(op.weights for op in arrays(before))
    assert functions(after)[0] == "quantize"
    assert functions(after)[-1] == "dequantize"
    assert functions(after).count("quantize") == functions(after).count("dequantize") == 1
    assert after.unknown_ops == ()
    kept = [name for name in functions(after) if name not in {"quantize", "dequantize", "relu"}]
    assert kept == [
        name for name in functions(before) if name != "relu"
    ]  # it drops a relu whose scale has the same effect


def test_a_dynamically_quantized_product(tmp_path: Path) -> None:
    onnx.save(model_of([node("MatMul", "x w")], {"x": (5, 8)}, {"w": zeros(8, 4)}), tmp_path / "f.onnx")
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(tmp_path / "f.onnx", tmp_path / "q.onnx")
    finally:
        logging.disable(logging.NOTSET)
    workload = checked(read_onnx(tmp_path / "q.onnx"))
    (product,) = arrays(workload)
    assert (product.precision, product.weights, macs(workload)) == ("int8", 32, 160)
    assert functions(workload)[0] == "quantize"
    assert workload.unknown_ops == ()


def test_integer_inputs_have_their_precision() -> None:
    model = model_of(
        [node("Cast", "x", "f", to=TensorProto.FLOAT), node("Relu", "f")],
        {"x": (1, 3, 4, 4)},
        types={"x": TensorProto.UINT8},
    )
    workload = checked(read_onnx(model))
    assert ([tensor.precision for tensor in workload.tensors], functions(workload)) == (
        ["int8", "", ""],
        ["move", "relu"],
    )
