"""Cycles of a systolic array: the closed forms of strict and pipelined timing for the three dataflows, over arrays of products.

A product has m rows, n columns and a depth of `taps` times `channels`; `groups` of them are independent. Strict timing equals that of
SCALE-Sim 3.0.0 in every cycle. `docs/tensor_unit.md` has the equations.
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
    """Matrix products as laid out for the array; all fields broadcast with each other."""

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
    """Operands that enter or leave the array: of the map, of the weights, and outputs or partial sums."""

    maps: FloatArray
    weights: FloatArray
    sums: FloatArray


def ceil_div(value: FloatArray, divisor: FloatArray | float) -> FloatArray:
    """Return the quotient, rounded up."""
    return np.ceil(value / divisor)


def map_to_array(product: Product, array: SystolicArray, mode: str) -> Product:
    """Return the products into which a grouped convolution is mapped on the array.

    Args:
        product: The products of the groups.
        array: The array.
        mode: `dense_padded`: one product whose weights are zero between groups. `diagonal`: as many groups as fit along the array's
            diagonal, with zeros elsewhere; with the dataflow `os`, where every column needs separate inputs, it equals `per_group`.
            `per_group`: one group after another.

    Returns:
        The products that the array computes.
    """
    if mode == "dense_padded":
        return Product(product.m, product.n * product.groups, product.taps, product.channels * product.groups, _ONE)
    if mode == "diagonal" and array.dataflow != "os":
        packed = np.minimum(_groups_per_array(product, array), product.groups)
        n_factor, m_factor = (1, packed) if array.dataflow == "is" else (packed, 1)
        return Product(
            product.m * m_factor,
            product.n * n_factor,
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
    """Return how often the array must be reloaded to cover the stationary operand, by rows and by columns."""
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

    Args:
        product: The products.
        array: The array.
        macs: Multiply-accumulates per element and cycle, below 1 for a wider precision.
        whole_layer: Whether this is a whole layer. SCALE-Sim reports the index of its last cycle, one less than the number of cycles; a
            tile among others counts all its cycles.
        folds: The folds, if they are known.

    Returns:
        Whole cycles, float64.
    """
    r, c = array.rows, array.cols
    row_folds, col_folds = folds or count_folds(product, array)
    streamed = {"os": product.k, "ws": product.m, "is": product.n}[array.dataflow]
    fill = 0 if array.dataflow == "os" else r
    skew = r + c - 2
    if array.timing == "strict":
        cycles = product.groups * (row_folds * col_folds * (streamed + fill + skew) - np.where(whole_layer, 1, 0))
    else:
        cycles = fill + product.groups * row_folds * col_folds * np.maximum(streamed, r) + skew
    return np.asarray(np.ceil(cycles / macs))


def count_operands(product: Product, array: SystolicArray, folds: Folds | None = None) -> OperandCounts:
    """Return the operands that are read and written, of all groups."""
    row_folds, col_folds = folds or count_folds(product, array)
    maps, weights, sums = (
        product.groups * size for size in (product.m * product.k, product.k * product.n, product.m * product.n)
    )
    if array.dataflow == "os":
        return OperandCounts(maps * col_folds, weights * row_folds, sums)
    if array.dataflow == "ws":
        return OperandCounts(maps * col_folds, weights, sums * row_folds)
    return OperandCounts(maps, weights * col_folds, sums * row_folds)


def count_partial_sums(product: Product, array: SystolicArray, folds: Folds | None = None) -> FloatArray:
    """Return how many partial sums the accumulators hold at a time; with `os` they stay in the array itself."""
    row_folds, _ = folds or count_folds(product, array)
    if array.dataflow == "os":
        return np.zeros_like(product.m)
    stationary, streamed = (product.n, product.m) if array.dataflow == "ws" else (product.m, product.n)
    return np.where(row_folds > 1, np.minimum(stationary, array.cols) * streamed, 0.0)
