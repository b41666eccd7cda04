"""Writes an int8 MobileNetV2 of random weights as a .tflite, by the flatbuffer classes inside ethos-u-vela; run by a peers' interpreter.

    python benchmarks/peers/write_tflite.py mobilenet_v2.tflite

Scales and zero points are valid and made up: they change no estimate of time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ethosu.vela.tflite import (
    AddOptions,
    Buffer,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    Model,
    Operator,
    OperatorCode,
    Pool2DOptions,
    QuantizationParameters,
    SubGraph,
    Tensor,
)
from ethosu.vela.tflite.ActivationFunctionType import ActivationFunctionType
from ethosu.vela.tflite.BuiltinOperator import BuiltinOperator
from ethosu.vela.tflite.BuiltinOptions import BuiltinOptions
from ethosu.vela.tflite.Padding import Padding
from ethosu.vela.tflite.TensorType import TensorType
from mobilenet_v2 import Layer, layers

OPERATORS = ("conv", "depthwise", "add", "pool")
CODES = (
    BuiltinOperator.CONV_2D,
    BuiltinOperator.DEPTHWISE_CONV_2D,
    BuiltinOperator.ADD,
    BuiltinOperator.AVERAGE_POOL_2D,
)
OPTIONS = (
    BuiltinOptions.Conv2DOptions,
    BuiltinOptions.DepthwiseConv2DOptions,
    BuiltinOptions.AddOptions,
    BuiltinOptions.Pool2DOptions,
)
IMAGE_SCALE, WEIGHT_SCALE, MAP_SCALE = 1 / 128, 0.01, 0.05
RELU6 = (6 / 255, -128)


class Writer:
    """A model that grows by tensors and operators."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1 << 23)
        self.buffers = [self._table(Buffer)]  # the first must be empty
        self.tensors: list[int] = []
        self.operators: list[int] = []
        self.scales: list[float] = []

    def _table(self, kind: Any, **fields: Any) -> int:
        """Write a table of a flatbuffer module: `kind.Start`, an `Add...` for each field, `kind.End`."""
        kind.Start(self.builder)
        for name, value in fields.items():
            getattr(kind, f"Add{name}")(self.builder, value)
        return int(kind.End(self.builder))

    def _offsets(self, start: Callable[..., Any], offsets: Sequence[int]) -> int:
        start(self.builder, len(offsets))
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def _numbers(self, values: Sequence[float], dtype: str) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, dtype)))

    def tensor(
        self, name: str, shape: Sequence[int], scale: float, zero: int = 0, data: np.ndarray | None = None
    ) -> int:
        """Add a tensor, constant where it has data, and return its number."""
        buffer = 0
        if data is not None:
            content = self.builder.CreateNumpyVector(np.frombuffer(data.tobytes(), np.uint8))
            self.buffers.append(self._table(Buffer, Data=content))
            buffer = len(self.buffers) - 1
        quantization = self._table(
            QuantizationParameters, Scale=self._numbers([scale], "float32"), ZeroPoint=self._numbers([zero], "int64")
        )
        kind = TensorType.INT32 if data is not None and data.dtype == np.int32 else TensorType.INT8
        fields = {"Shape": self._numbers(shape, "int32"), "Name": self.builder.CreateString(name)}
        self.tensors.append(self._table(Tensor, **fields, Type=kind, Buffer=buffer, Quantization=quantization))
        self.scales.append(scale)
        return len(self.tensors) - 1

    def operator(self, layer: Layer, inputs: Sequence[int], output: int) -> None:
        """Add the operator of a layer."""
        index = OPERATORS.index(layer.kind)
        activation = ActivationFunctionType.RELU6 if layer.relu6 else ActivationFunctionType.NONE
        window = {"Padding": Padding.SAME, "StrideW": layer.stride, "StrideH": layer.stride}
        options = {
            "conv": lambda: self._table(Conv2DOptions, **window, FusedActivationFunction=activation),
            "depthwise": lambda: self._table(
                DepthwiseConv2DOptions, **window, DepthMultiplier=1, FusedActivationFunction=activation
            ),
            "add": lambda: self._table(AddOptions, FusedActivationFunction=activation),
            "pool": lambda: self._table(
                Pool2DOptions,
                **window | {"Padding": Padding.VALID},
                FilterWidth=layer.kernel,
                FilterHeight=layer.kernel,
            ),
        }[layer.kind]()
        fields = {"Inputs": self._numbers(inputs, "int32"), "Outputs": self._numbers([output], "int32")}
        self.operators.append(
            self._table(
                Operator, OpcodeIndex=index, **fields, BuiltinOptionsType=OPTIONS[index], BuiltinOptions=options
            )
        )

    def finish(self, image: int, output: int) -> bytes:
        """Return the file's content."""
        codes = [self._table(OperatorCode, DeprecatedBuiltinCode=code, BuiltinCode=code, Version=1) for code in CODES]
        graph = {
            "Tensors": self._offsets(SubGraph.StartTensorsVector, self.tensors),
            "Inputs": self._numbers([image], "int32"),
            "Outputs": self._numbers([output], "int32"),
            "Operators": self._offsets(SubGraph.StartOperatorsVector, self.operators),
            "Name": self.builder.CreateString("mobilenet_v2"),
        }
        model = {
            "OperatorCodes": self._offsets(Model.StartOperatorCodesVector, codes),
            "Subgraphs": self._offsets(Model.StartSubgraphsVector, [self._table(SubGraph, **graph)]),
            "Description": self.builder.CreateString("MobileNetV2, random weights"),
            "Buffers": self._offsets(Model.StartBuffersVector, self.buffers),
        }
        self.builder.Finish(self._table(Model, Version=3, **model), file_identifier=b"TFL3")
        return bytes(self.builder.Output())


def network() -> bytes:
    """Return MobileNetV2 as a .tflite."""
    writer, rng = Writer(), np.random.default_rng(0)
    image = writer.tensor("image", (1, 224, 224, 3), IMAGE_SCALE)
    outputs: list[int] = []
    for layer in layers():
        inputs = [outputs[number] if number >= 0 else image for number in layer.inputs]
        if layer.kind in ("conv", "depthwise"):
            last = (layer.kernel, layer.kernel, layer.in_channels)
            shape = (1, *last) if layer.kind == "depthwise" else (layer.out_channels, *last)
            weights = rng.integers(-127, 128, shape, dtype=np.int8)
            biases = rng.integers(-1000, 1000, layer.out_channels, dtype=np.int32)
            scale = WEIGHT_SCALE * writer.scales[inputs[0]]
            inputs += [
                writer.tensor(f"{layer.name} weights", shape, WEIGHT_SCALE, data=weights),
                writer.tensor(f"{layer.name} biases", biases.shape, scale, data=biases),
            ]
        # the pool has its input's scale, as TFLite demands
        quantization = (writer.scales[inputs[0]], -128) if layer.kind == "pool" else (MAP_SCALE, 0)
        out = writer.tensor(
            layer.name,
            (1, layer.out_size, layer.out_size, layer.out_channels),
            *(RELU6 if layer.relu6 else quantization),
        )
        writer.operator(layer, inputs, out)
        outputs.append(out)
    return writer.finish(image, outputs[-1])


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(network())
