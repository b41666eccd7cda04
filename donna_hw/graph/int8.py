"""INT8: which numbers of a layer are stored in 8 bits, and on which grids; the torch and the ONNX form share it.

A number x is stored as round(x / scale) + zero, clipped to 0..255, with halves rounded to even, as ONNX's QuantizeLinear does. Weights are
uint8 as well: some processors saturate in 8-bit products of unlike signedness, and are exact only for equal ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from donna_hw.graph.graph import INPUT, Graph, Layer

QUANT_MAX = 255  # of a uint8
# What a runtime does within an 8-bit convolution; other activations read and write 8-bit numbers.
FUSED_ACTIVATIONS = ("none", "relu", "relu6")
LINEAR, GATE, OUTPUT = "linear", "gate", "output"  # before the activation, of swish's sigmoid, after the activation
RANGE_PRESERVING = ("max_pool", "flatten")  # the outputs are among the inputs, so that they share a grid

Range = tuple[float, float]
UNIT_RANGE: Range = (0.0, 1.0)  # of a gate


class Grid(NamedTuple):
    """The 256 numbers of an 8-bit tensor: scale * (code - zero_point)."""

    scale: np.float32
    zero_point: int


def slots(layer: Layer) -> tuple[str, ...]:
    """Return the 8-bit tensors of a layer other than its weights, in order: the inputs, the input of its activation, the output."""
    inputs = tuple(f"input{number}" for number in range(len(layer.inputs)))
    if layer.activation in FUSED_ACTIVATIONS:
        return (*inputs, OUTPUT)
    return (*inputs, LINEAR, *((GATE,) if layer.activation == "swish" else ()), OUTPUT)


def fit_grid(low: float, high: float) -> Grid:
    """Return the finest grid over a range that includes zero, which it represents exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / QUANT_MAX)
    if not np.isfinite(scale) or scale < np.finfo(np.float32).tiny:
        return Grid(np.float32(1), 0)  # zero is the only number
    return Grid(scale, int(np.clip(np.rint(-low / float(scale)), 0, QUANT_MAX)))


def symmetric_grids(largest: np.ndarray) -> list[Grid]:
    """Return a grid with zero in the middle for each largest absolute value, float [n]: the form of grids per channel in runtimes."""
    middle = (QUANT_MAX + 1) // 2
    tiny = np.finfo(np.float32).tiny
    scales = np.where(largest / (middle - 1) < tiny, 1, largest / (middle - 1)).astype(np.float32)
    return [Grid(scale, middle) for scale in scales]


def assumed_ranges(graph: Graph, normal: float = 4.0) -> dict[str, dict[str, Range]]:
    """Return {int8 layer: {slot: range}} for random weights, whose values lie within `normal` of zero before an activation.

    The ranges serve models that are only timed. As in a trained one, a layer reads on the grid that was written, and a ReLU's grid begins
    at 0.
    """
    linear_range: Range = (-normal, normal)
    tensor_ranges: dict[str, Range] = {INPUT: linear_range}
    layer_ranges: dict[str, dict[str, Range]] = {}
    for layer in graph.layers:
        from_input = layer.operator in (*RANGE_PRESERVING, "global_pool", "scale")
        before = tensor_ranges[layer.inputs[0]] if from_input else linear_range
        tensor_ranges[layer.name] = activation_range(layer.activation, before)
        if layer.dtype == "int8":
            inputs = [tensor_ranges[name] for name in layer.inputs]
            ranges = slot_ranges(layer, inputs, before, tensor_ranges[layer.name])
            layer_ranges[layer.name] = dict(zip(slots(layer), ranges, strict=True))
    return layer_ranges


def slot_ranges(layer: Layer, inputs: list[Range], before: Range, output: Range) -> list[Range]:
    """Return the range of each slot of a layer, from those of its inputs, of the input of its activation, and of its output."""
    between = {LINEAR: before, GATE: UNIT_RANGE, OUTPUT: inputs[0] if layer.operator in RANGE_PRESERVING else output}
    return [*inputs, *(between[slot] for slot in slots(layer)[len(inputs) :])]


def activation_range(activation: str, before: Range) -> Range:
    """Return the range of an activation's output for a range of its input."""
    low, high = before
    points = np.array([low, high, np.clip(TURNING_POINTS.get(activation, low), low, high)])
    values = NUMPY_ACTIVATIONS[activation](points)
    return float(values.min()), float(values.max())


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


# The minima of the activations that are not monotone.
TURNING_POINTS: Mapping[str, float] = {"swish": -1.2784645, "hard_swish": -1.5}
NUMPY_ACTIVATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "swish": lambda x: x * _sigmoid(x),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "sigmoid": _sigmoid,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
}
