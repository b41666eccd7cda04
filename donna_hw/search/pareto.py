"""Dominance: which of many points no other point dominates; fast, and exact for integers."""

from __future__ import annotations

import moocore
import numpy as np

from donna_hw.errors import ConfigError

MAX_EXACT_INT = 2**53  # from here on integers are not exact as floats, which the compiled filter compares


def unique_non_dominated_mask(points: np.ndarray) -> np.ndarray:
    """Return bool [n]: rows of [n, d], all minimized, that no other row dominates; of equal rows the first remains.

    A row dominates another when it is nowhere worse and somewhere better.
    """
    mask = np.zeros(len(points), bool)
    mask[unique_non_dominated(points, np.ones(len(points), np.int64))[0]] = True
    return mask


def non_dominated_mask(points: np.ndarray) -> np.ndarray:
    """Return bool [n]: rows of [n, d], all minimized, that no other row dominates; equal rows all remain.

    One or two dimensions are sorted; more are filtered by moocore (Kung, Luccio and Preparata, 1975). Raises `ConfigError` for integers
    of 2^53 or more, NaN, or points without a dimension.
    """
    if not points.shape[1] or (points.dtype.kind == "f" and np.isnan(points).any()):
        raise ConfigError("points must have at least one dimension and no NaN", got=f"an array of shape {points.shape}")
    if len(points) == 0:
        return np.zeros(0, bool)
    if points.shape[1] == 1:
        return np.asarray(points[:, 0] == points[:, 0].min())
    if points.shape[1] == 2:
        return _non_dominated_2d(points)
    return np.asarray(moocore.is_nondominated(_as_float(points), keep_weakly=True), bool)


def unique_non_dominated(points: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the non-dominated rows of [n, d], the first of equal rows, sorted by row, and the sums of their counts."""
    picks = np.flatnonzero(non_dominated_mask(points))
    order = picks[np.lexsort(points[picks].T[::-1])]  # stable: the first of equal rows stays first
    ordered = points[order]
    first = np.ones(len(order), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(first)
    return order[starts], np.add.reduceat(counts[order], starts) if len(order) else counts[:0]


def _as_float(points: np.ndarray) -> np.ndarray:
    if points.dtype.kind in "iu" and max(-int(points.min()), int(points.max())) >= MAX_EXACT_INT:
        largest = max(-int(points.min()), int(points.max()))
        raise ConfigError("integers must stay below 2^53 to be compared exactly", got=largest, hint="use larger units")
    return points.astype(np.float64)


def _non_dominated_2d(points: np.ndarray) -> np.ndarray:
    """Return bool [n] of points [n, 2]: in order of the first number, each must be lower in the second than all before it."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    x, y = points[order, 0], points[order, 1]
    before = np.minimum.accumulate(y)
    better = np.ones(len(order), bool)
    better[1:] = y[1:] < before[:-1]
    starts = np.flatnonzero(better)
    last = starts[np.cumsum(better) - 1]  # the latest that was better; points equal to it remain too
    mask = np.zeros(len(points), bool)
    mask[order] = (x == x[last]) & (y == y[last])
    return mask
