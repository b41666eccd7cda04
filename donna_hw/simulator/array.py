"""Cycles of a systolic array: the closed forms of strict and pipelined timing for the three dataflows, over arrays of products.

A product has m rows, n columns and a depth of `taps` times `channels`; `groups` of them are independent. Strict timing is that of SCALE-Sim
3.0.0, to the cycle. `docs/tensor_unit.md` has the forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from donna_hw.simulator.hardware import SystolicArray

FloatArray = np.ndarray  # float64 holding whole numbers, any shape that broadcasts
Folds = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class Product:
    """Matrix products as the array sees them; every field broadcasts with the others."""

    m: FloatArray
    n: FloatArray
    taps: FloatArray
    channels: FloatArray
    groups: FloatArray

    @cached_property
    def k(self) -> FloatArray:
        """The depth of the product."""
        return np.asarray(self.taps * self.channels)


@dataclass(frozen=True)
class OperandCounts:
    """Operands that cross the edge of the array: of the map, the weights, and outputs or partial sums."""

    maps: FloatArray
    weights: FloatArray
    sums: FloatArray


def ceil_div(value: FloatArray, by: FloatArray | float) -> FloatArray:
    """Return the quotient, rounded up."""
    return np.ceil(value / by)


def map_to_array(product: Product, array: SystolicArray, mode: str) -> Product:
    """Return the products that a grouped convolution is laid out as on the array.

    `dense_padded`: one product whose weights are zero between groups. `diagonal`: as many groups along the array's diagonal as fit, zeros
    beside them; where outputs stay, every column needs inputs of its own, and it is `per_group`. `per_group`: one after another.
    """
    if mode == "dense_padded":
        return Product(product.m, product.n * product.groups, product.taps, product.channels * product.groups, _ONE)
    if mode == "diagonal" and array.dataflow != "os":
        packed = np.minimum(_groups_per_array(product, array), product.groups)
        wide, tall = (1, packed) if array.dataflow == "is" else (packed, 1)
        return Product(
            product.m * tall,
            product.n * wide,
            product.taps,
            product.channels * packed,
            ceil_div(product.groups, packed),
        )
    return product


_ONE = np.array(1.0)


def _groups_per_array(product: Product, array: SystolicArray) -> FloatArray:
    depth = product.channels if array.row_axis == "channels" else product.k
    by_rows = np.floor(array.rows / depth)
    by_columns = np.floor(array.cols / (product.m if array.dataflow == "is" else product.n))
    return np.maximum(np.minimum(by_rows, by_columns), 1)


def count_folds(product: Product, array: SystolicArray) -> Folds:
    """Return how many times the array is laid over the operand that stays, by rows and by columns."""
    if array.dataflow == "os":
        return ceil_div(product.m, array.rows), ceil_div(product.n, array.cols)
    taps, depth = (product.taps, product.channels) if array.row_axis == "channels" else (1, product.k)
    return taps * ceil_div(depth, array.rows), ceil_div(product.n if array.dataflow == "ws" else product.m, array.cols)


def count_cycles(
    product: Product,
    array: SystolicArray,
    macs: float = 1.0,
    whole_layer: FloatArray | bool = True,
    folds: Folds | None = None,
) -> FloatArray:
    """Return the cycles of all groups.

    macs: multiply-accumulates an element and cycle, below 1 for a wider precision. whole: whether this is all of a layer: SCALE-Sim tells
    the index of its last cycle, one less than there are; a tile among others has all its cycles. folded: the folds, where they are known.
    """
    r, c = array.rows, array.cols
    by_rows, by_columns = folds or count_folds(product, array)
    streamed = {"os": product.k, "ws": product.m, "is": product.n}[array.dataflow]
    fill = 0 if array.dataflow == "os" else r
    skew = r + c - 2
    if array.timing == "strict":
        found = product.groups * (by_rows * by_columns * (streamed + fill + skew) - np.where(whole_layer, 1, 0))
    else:
        found = fill + product.groups * by_rows * by_columns * np.maximum(streamed, r) + skew
    return np.asarray(np.ceil(found / macs))


def count_operands(product: Product, array: SystolicArray, folds: Folds | None = None) -> OperandCounts:
    """Return the operands that are read and written, of all groups."""
    by_rows, by_columns = folds or count_folds(product, array)
    maps, weights, sums = (
        product.groups * size for size in (product.m * product.k, product.k * product.n, product.m * product.n)
    )
    if array.dataflow == "os":
        return OperandCounts(maps * by_columns, weights * by_rows, sums)
    if array.dataflow == "ws":
        return OperandCounts(maps * by_columns, weights, sums * by_rows)
    return OperandCounts(maps, weights * by_columns, sums * by_rows)


def count_partial_sums(product: Product, array: SystolicArray, folds: Folds | None = None) -> FloatArray:
    """Return how many partial sums wait in the accumulators at a time; with `os` they wait in the array itself."""
    by_rows, _ = folds or count_folds(product, array)
    if array.dataflow == "os":
        return np.zeros_like(product.m)
    wide, streamed = (product.n, product.m) if array.dataflow == "ws" else (product.m, product.n)
    return np.where(by_rows > 1, np.minimum(wide, array.cols) * streamed, 0.0)
