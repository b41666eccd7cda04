"""Int8: which numbers of a layer are held in 8 bits, and on what grids; the torch and the ONNX form read it alike.

A number x is held as round(x / scale) + zero, cut to 0..255, halves rounded to the even number, as ONNX's QuantizeLinear does. Weights are
held in uint8, too: on processors whose 8-bit products of unlike signs saturate, only equal ones are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from donna_hw.graph.graph import INPUT, Graph, Layer

QUANT_MAX = 255  # of a uint8
FUSED_ACTIVATIONS = (
    "none",
    "relu",
    "relu6",
)  # what a runtime does within an 8-bit convolution; other activations read and write 8-bit numbers
LINEAR, GATE, OUTPUT = "linear", "gate", "output"  # before the activation, of swish's sigmoid, after the activation
RANGE_PRESERVING = ("max_pool", "flatten")  # what comes out is among what went in: no grid of its own

Range = tuple[float, float]
UNIT_RANGE: Range = (0.0, 1.0)  # of a gate


class Grid(NamedTuple):
    """Where the 256 numbers lie: scale * (code - zero)."""

    scale: np.float32
    zero_point: int


def slots(layer: Layer) -> tuple[str, ...]:
    """Return what a layer holds in 8 bits beside its weights, in order: each input, what it passes to its activation, its output."""
    inputs = tuple(f"input{number}" for number in range(len(layer.inputs)))
    if layer.activation in FUSED_ACTIVATIONS:
        return (*inputs, OUTPUT)
    return (*inputs, LINEAR, *((GATE,) if layer.activation == "swish" else ()), OUTPUT)


def fit_grid(low: float, high: float) -> Grid:
    """Return the finest grid over a range and zero, which it holds exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / QUANT_MAX)
    if not np.isfinite(scale) or scale < np.finfo(np.float32).tiny:
        return Grid(np.float32(1), 0)  # nothing but zero to hold
    return Grid(scale, int(np.clip(np.rint(-low / float(scale)), 0, QUANT_MAX)))


def symmetric_grids(largest: np.ndarray) -> list[Grid]:
    """Return a grid with zero in the middle for each largest absolute value, float [n]: what runtimes want of one grid a channel."""
    middle = (QUANT_MAX + 1) // 2
    tiny = np.finfo(np.float32).tiny
    scales = np.where(largest / (middle - 1) < tiny, 1, largest / (middle - 1)).astype(np.float32)
    return [Grid(scale, middle) for scale in scales]


def assumed_ranges(graph: Graph, normal: float = 4.0) -> dict[str, dict[str, Range]]:
    """Return {int8 layer: {slot: range}} for random weights, whose values lie within `normal` of zero before an activation.

    They make models to be timed: as in a real one, what a layer reads is on the grid that it was written on, and a ReLU's grid begins at 0.
    """
    plain: Range = (-normal, normal)
    tensors: dict[str, Range] = {INPUT: plain}
    found: dict[str, dict[str, Range]] = {}
    for layer in graph.layers:
        before = tensors[layer.inputs[0]] if layer.operator in (*RANGE_PRESERVING, "global_pool", "scale") else plain
        tensors[layer.name] = activation_range(layer.activation, before)
        if layer.dtype == "int8":
            inputs = [tensors[name] for name in layer.inputs]
            found[layer.name] = dict(
                zip(slots(layer), slot_ranges(layer, inputs, before, tensors[layer.name]), strict=True)
            )
    return found


def slot_ranges(layer: Layer, inputs: list[Range], before: Range, output: Range) -> list[Range]:
    """Return the range of each of a layer's slots, of its inputs', what is passed to the activation and the output's."""
    between = {LINEAR: before, GATE: UNIT_RANGE, OUTPUT: inputs[0] if layer.operator in RANGE_PRESERVING else output}
    return [*inputs, *(between[slot] for slot in slots(layer)[len(inputs) :])]


def activation_range(activation: str, before: Range) -> Range:
    """Return the range of an activation's output for a range of its input."""
    low, high = before
    where = np.array([low, high, np.clip(TURNING_POINTS.get(activation, low), low, high)])
    values = NUMPY_ACTIVATIONS[activation](where)
    return float(values.min()), float(values.max())


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


TURNING_POINTS: Mapping[str, float] = {
    "swish": -1.2784645,
    "hard_swish": -1.5,
}  # where the activations that are not monotone turn
NUMPY_ACTIVATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "swish": lambda x: x * _sigmoid(x),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "sigmoid": _sigmoid,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
}
