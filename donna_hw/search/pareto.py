"""Dominance: which of many points no other beats, fast; exact for whole numbers."""

from __future__ import annotations

import moocore
import numpy as np

from donna_hw.errors import ConfigError

MAX_EXACT_INT = 2**53  # whole numbers from it on are not exact as floats, which the compiled filter compares


def unique_non_dominated_mask(points: np.ndarray) -> np.ndarray:
    """Return bool [n]: rows of [n, d], all minimised, that no other row dominates; of equal rows the first stays.

    A row dominates another when it is nowhere worse and somewhere better.
    """
    found = np.zeros(len(points), bool)
    found[unique_non_dominated(points, np.ones(len(points), np.int64))[0]] = True
    return found


def non_dominated_mask(points: np.ndarray) -> np.ndarray:
    """Return bool [n]: rows of [n, d], all minimised, that no other row dominates; equal rows all stay.

    By sorting in up to two dimensions; in more by moocore (Kung, Luccio and Preparata, 1975). Raises `ConfigError` for whole numbers of
    2^53 or more, NaN or no dimension at all.
    """
    if not points.shape[1] or (points.dtype.kind == "f" and np.isnan(points).any()):
        raise ConfigError("points are compared by numbers, one at least", got=f"NaN or none, of shape {points.shape}")
    if len(points) == 0:
        return np.zeros(0, bool)
    if points.shape[1] == 1:
        return np.asarray(points[:, 0] == points[:, 0].min())
    if points.shape[1] == 2:
        return _non_dominated_2d(points)
    return np.asarray(moocore.is_nondominated(_as_float(points), keep_weakly=True), bool)


def unique_non_dominated(points: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the undominated rows of [n, d], the first of each that are equal, sorted by row, and their counts' sums."""
    kept = np.flatnonzero(non_dominated_mask(points))
    order = kept[np.lexsort(points[kept].T[::-1])]  # stable: the first of equals stays first
    ordered = points[order]
    first = np.ones(len(order), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(first)
    return order[starts], np.add.reduceat(counts[order], starts) if len(order) else counts[:0]


def _as_float(points: np.ndarray) -> np.ndarray:
    if points.dtype.kind in "iu" and max(-int(points.min()), int(points.max())) >= MAX_EXACT_INT:
        largest = max(-int(points.min()), int(points.max()))
        raise ConfigError(
            "whole numbers must stay below 2^53 to be compared exactly", got=largest, hint="use larger units"
        )
    return points.astype(np.float64)


def _non_dominated_2d(points: np.ndarray) -> np.ndarray:
    """Return the undominated of points [n, 2]: in the order of the first number, each must be lower in the second than all before it."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    x, y = points[order, 0], points[order, 1]
    before = np.minimum.accumulate(y)
    better = np.ones(len(order), bool)
    better[1:] = y[1:] < before[:-1]
    starts = np.flatnonzero(better)
    last = starts[np.cumsum(better) - 1]  # the latest that was better; equal to it stays too
    found = np.zeros(len(points), bool)
    found[order] = (x == x[last]) & (y == y[last])
    return found
