"""The ONNX form of 8-bit layers: QuantizeLinear and DequantizeLinear around each operator (QDQ), which runtimes fuse into 8-bit ones."""

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

    A tensor that several layers read on one grid has one pair of nodes. grids: of the tensors that 8-bit layers have written.
    """

    def __init__(self, body: onnx.GraphProto, main: MainNode) -> None:
        self._body, self._main = body, main
        self._grids: dict[str, Grid] = {}
        self._read: dict[tuple[str, Grid], str] = {}

    def write(self, layer: Layer, buffers: Int8Buffers, inputs: Sequence[str], target: str) -> None:
        """Add a layer that reads the tensors `inputs` and writes the tensor `target`, which holds float32 numbers of its grid."""
        grids = {
            slot: Grid(np.float32(scale), int(zero))
            for slot, scale, zero in zip(slots(layer), buffers["scales"], buffers["zeros"], strict=True)
        }
        read = [self._requantize(x, grids[f"input{number}"]) for number, x in enumerate(inputs)]
        if layer.weight_shape:
            read += self._add_weights(layer, buffers, grids["input0"])
        name, kind = layer.name, layer.activation
        plain = f"{name}.plain"
        self._body.node.append(self._main(layer, read, plain))
        if kind == "swish":
            plain = self._add_qdq(plain, grids[LINEAR], f"{name}.{LINEAR}")
            self._add_node("Sigmoid", [plain], f"{name}.sigmoid")
            gate = self._add_qdq(f"{name}.sigmoid", grids[GATE], f"{name}.{GATE}")
            self._add_node("Mul", [plain, gate], f"{name}.active")
        elif kind == "relu":
            self._add_node("Relu", [plain], f"{name}.active")
        elif kind == "relu6":
            self._add_node("Clip", [plain, "relu6.low", "relu6.high"], f"{name}.active")
        elif kind != "none":
            plain = self._add_qdq(plain, grids[LINEAR], f"{name}.{LINEAR}")
            of = {"hard_swish": "HardSwish", "sigmoid": "Sigmoid", "hard_sigmoid": "HardSigmoid"}[kind]
            settings: dict[str, Any] = {"alpha": 1 / 6, "beta": 0.5} if kind == "hard_sigmoid" else {}
            self._add_node(of, [plain], f"{name}.active", **settings)
        self._add_qdq(plain if kind == "none" else f"{name}.active", grids[OUTPUT], target)
        self._grids[target] = grids[OUTPUT]

    def _requantize(self, x: str, grid: Grid) -> str:
        """Return the tensor that holds x on a grid: itself where an 8-bit layer has written it on that one."""
        if self._grids.get(x) == grid:
            return x
        if (x, grid) not in self._read:
            name = f"{x}.held{sum(of == x for of, _ in self._read)}"
            self._read[x, grid] = self._add_qdq(x, grid, name)
        return self._read[x, grid]

    def _add_qdq(self, x: str, grid: Grid, target: str) -> str:
        scale = self._add_tensor(f"{target}.scale", np.asarray(grid.scale, np.float32))
        zero = self._add_tensor(f"{target}.zero", np.asarray(grid.zero_point, np.uint8))
        self._add_node("QuantizeLinear", [x, scale, zero], f"{target}.codes")
        self._add_node("DequantizeLinear", [f"{target}.codes", scale, zero], target)
        return target

    def _add_weights(self, layer: Layer, held: Int8Buffers, read: Grid) -> list[str]:
        """Add the weights and the bias, on one grid where all channels share it."""
        scales, zeros = held["weight_scales"].astype(np.float32), held["weight_zeros"]
        alike = (scales == scales[0]).all() and (zeros == zeros[0]).all()
        steps = (read.scale.astype(np.float64) * scales.astype(np.float64)).astype(np.float32)
        names = []
        for part, codes, scale, zero in (
            ("weight", held["codes"], scales, zeros),
            ("bias", held["bias"], steps, np.zeros(len(steps), np.int32)),
        ):
            name = f"{layer.name}.{part}"
            each = (scale[0], zero[0]) if alike else (scale, zero)
            tensors = [self._add_tensor(f"{name}.codes", codes)]
            tensors += [
                self._add_tensor(f"{name}.{word}", np.asarray(values))
                for word, values in zip(("scale", "zero"), each, strict=True)
            ]
            self._add_node("DequantizeLinear", tensors, name, **({} if alike else {"axis": 0}))
            names.append(name)
        return names

    def _add_node(self, kind: str, inputs: Sequence[str], output: str, **settings: Any) -> None:
        self._body.node.append(helper.make_node(kind, inputs, [output], name=f"{output}.node", **settings))

    def _add_tensor(self, name: str, values: np.ndarray) -> str:
        kinds = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8, "int32": TensorProto.INT32}
        tensor = self._body.initializer.add(name=name, dims=values.shape, data_type=kinds[values.dtype.name])
        little = values.dtype.newbyteorder("<")
        tensor.raw_data = np.ascontiguousarray(values, little).tobytes()  # ONNX holds little-endian numbers
        return name


def random_int8_buffers(graph: Graph, layer: Layer, weight: np.ndarray | None) -> Int8Buffers:
    """Return what stands for the buffers of a trained layer in a model to be timed: grids of assumed ranges, random weights."""
    assumed = assumed_ranges(graph)[layer.name]
    grids = [fit_grid(*assumed[slot]) for slot in slots(layer)]
    held: Int8Buffers = {
        "scales": np.array([grid.scale for grid in grids], np.float32),
        "zeros": np.array([grid.zero_point for grid in grids], np.uint8),
    }
    if weight is None:
        return held
    scale, zero = fit_grid(float(weight.min()), float(weight.max()))
    codes = np.clip(np.rint(weight / scale) + zero, 0, 255).astype(np.uint8)
    channels = len(codes)
    each = {"weight_scales": np.full(channels, scale, np.float32), "weight_zeros": np.full(channels, zero, np.uint8)}
    return held | {"codes": codes, "bias": np.zeros(channels, np.int32)} | each
