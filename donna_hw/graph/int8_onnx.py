"""The ONNX form of 8-bit layers: QuantizeLinear and DequantizeLinear around each operator (QDQ), which runtimes fuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from donna_hw.graph.graph import Graph, Layer
from donna_hw.graph.int8 import GATE, LINEAR, OUTPUT, Grid, assumed_ranges, fit_grid, slots

MainNode = Callable[[Layer, Sequence[str], str], onnx.NodeProto]
Int8Buffers = dict[str, np.ndarray]  # the buffers of an `Int8Layer`, by name


class Int8Writer:
    """Writes 8-bit layers into an ONNX graph, one after another.

    A tensor that several layers read on the same grid gets one pair of nodes.
    """

    def __init__(self, body: onnx.GraphProto, main_node: MainNode) -> None:
        self._body, self._main_node = body, main_node
        self._output_grids: dict[str, Grid] = {}  # of the tensors that 8-bit layers have written
        self._requantized: dict[tuple[str, Grid], str] = {}

    def write(self, layer: Layer, buffers: Int8Buffers, inputs: Sequence[str], target: str) -> None:
        """Add a layer.

        Args:
            layer: The layer.
            buffers: The buffers of its `Int8Layer`.
            inputs: Names of the tensors that it reads.
            target: Name of the tensor that it writes, float32 numbers of its grid.
        """
        grids = {
            slot: Grid(np.float32(scale), int(zero))
            for slot, scale, zero in zip(slots(layer), buffers["scales"], buffers["zeros"], strict=True)
        }
        operands = [self._requantize(x, grids[f"input{number}"]) for number, x in enumerate(inputs)]
        if layer.weight_shape:
            operands += self._add_weights(layer, buffers, grids["input0"])
        name, activation = layer.name, layer.activation
        linear = f"{name}.plain"
        self._body.node.append(self._main_node(layer, operands, linear))
        if activation == "swish":
            linear = self._add_qdq(linear, grids[LINEAR], f"{name}.{LINEAR}")
            self._add_node("Sigmoid", [linear], f"{name}.sigmoid")
            gate = self._add_qdq(f"{name}.sigmoid", grids[GATE], f"{name}.{GATE}")
            self._add_node("Mul", [linear, gate], f"{name}.active")
        elif activation == "relu":
            self._add_node("Relu", [linear], f"{name}.active")
        elif activation == "relu6":
            self._add_node("Clip", [linear, "relu6.low", "relu6.high"], f"{name}.active")
        elif activation != "none":
            linear = self._add_qdq(linear, grids[LINEAR], f"{name}.{LINEAR}")
            op_type = {"hard_swish": "HardSwish", "sigmoid": "Sigmoid", "hard_sigmoid": "HardSigmoid"}[activation]
            settings: dict[str, Any] = {"alpha": 1 / 6, "beta": 0.5} if activation == "hard_sigmoid" else {}
            self._add_node(op_type, [linear], f"{name}.active", **settings)
        self._add_qdq(linear if activation == "none" else f"{name}.active", grids[OUTPUT], target)
        self._output_grids[target] = grids[OUTPUT]

    def _requantize(self, x: str, grid: Grid) -> str:
        """Return the tensor that has x on a grid: x itself where an 8-bit layer has written it on that grid."""
        if self._output_grids.get(x) == grid:
            return x
        if (x, grid) not in self._requantized:
            name = f"{x}.held{sum(source == x for source, _ in self._requantized)}"
            self._requantized[x, grid] = self._add_qdq(x, grid, name)
        return self._requantized[x, grid]

    def _add_qdq(self, x: str, grid: Grid, target: str) -> str:
        scale = self._add_tensor(f"{target}.scale", np.asarray(grid.scale, np.float32))
        zero = self._add_tensor(f"{target}.zero", np.asarray(grid.zero_point, np.uint8))
        self._add_node("QuantizeLinear", [x, scale, zero], f"{target}.codes")
        self._add_node("DequantizeLinear", [f"{target}.codes", scale, zero], target)
        return target

    def _add_weights(self, layer: Layer, buffers: Int8Buffers, input_grid: Grid) -> list[str]:
        """Add the weights and the bias, on a single grid where all channels share it."""
        scales, zeros = buffers["weight_scales"].astype(np.float32), buffers["weight_zeros"]
        shared = (scales == scales[0]).all() and (zeros == zeros[0]).all()
        steps = (input_grid.scale.astype(np.float64) * scales.astype(np.float64)).astype(np.float32)
        names = []
        for part, codes, scale, zero in (
            ("weight", buffers["codes"], scales, zeros),
            ("bias", buffers["bias"], steps, np.zeros(len(steps), np.int32)),
        ):
            name = f"{layer.name}.{part}"
            grid = (scale[0], zero[0]) if shared else (scale, zero)
            tensors = [self._add_tensor(f"{name}.codes", codes)]
            tensors += [
                self._add_tensor(f"{name}.{part_name}", np.asarray(values))
                for part_name, values in zip(("scale", "zero"), grid, strict=True)
            ]
            self._add_node("DequantizeLinear", tensors, name, **({} if shared else {"axis": 0}))
            names.append(name)
        return names

    def _add_node(self, kind: str, inputs: Sequence[str], output: str, **settings: Any) -> None:
        self._body.node.append(helper.make_node(kind, inputs, [output], name=f"{output}.node", **settings))

    def _add_tensor(self, name: str, values: np.ndarray) -> str:
        data_types = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8, "int32": TensorProto.INT32}
        tensor = self._body.initializer.add(name=name, dims=values.shape, data_type=data_types[values.dtype.name])
        little_endian = values.dtype.newbyteorder("<")  # as ONNX stores numbers
        tensor.raw_data = np.ascontiguousarray(values, little_endian).tobytes()
        return name


def random_int8_buffers(graph: Graph, layer: Layer, weight: np.ndarray | None) -> Int8Buffers:
    """Return buffers of a layer for a model that is only timed: grids of assumed ranges, and the random weights given."""
    ranges = assumed_ranges(graph)[layer.name]
    grids = [fit_grid(*ranges[slot]) for slot in slots(layer)]
    buffers: Int8Buffers = {
        "scales": np.array([grid.scale for grid in grids], np.float32),
        "zeros": np.array([grid.zero_point for grid in grids], np.uint8),
    }
    if weight is None:
        return buffers
    scale, zero = fit_grid(float(weight.min()), float(weight.max()))
    codes = np.clip(np.rint(weight / scale) + zero, 0, 255).astype(np.uint8)
    channels = len(codes)
    weight_grids = {
        "weight_scales": np.full(channels, scale, np.float32),
        "weight_zeros": np.full(channels, zero, np.uint8),
    }
    return buffers | {"codes": codes, "bias": np.zeros(channels, np.int32)} | weight_grids
