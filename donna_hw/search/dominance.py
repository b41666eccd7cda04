"""Dominance: which of many points no other beats, fast; exact for whole numbers."""

from __future__ import annotations

import moocore
import numpy as np

from donna_hw.errors import BadSetting

LARGEST = 2**53  # whole numbers beyond it are not exact as floats, which the filter works on


def non_dominated(points: np.ndarray) -> np.ndarray:
    """Return bool [n]: rows of [n, d], all minimised, that no other row dominates; of equal rows the first stays.

    A row dominates another when it is nowhere worse and somewhere better.
    """
    kept = undominated(points)
    _, first = np.unique(points[kept], axis=0, return_index=True)
    found = np.zeros(len(points), bool)
    found[np.flatnonzero(kept)[first]] = True
    return found


def undominated(points: np.ndarray) -> np.ndarray:
    """Return bool [n]: rows of [n, d], all minimised, that no other row dominates; equal rows all stay."""
    if len(points) == 0:
        return np.zeros(0, bool)
    if points.shape[1] == 1:
        return np.asarray(points[:, 0] == points[:, 0].min())
    if points.shape[1] == 2:
        return _of_two(points)
    return np.asarray(moocore.is_nondominated(points.astype(np.float64), keep_weakly=True), bool)


def merged(points: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the undominated rows of int [n, d], one of each that are equal, in ascending order, and their counts' sums."""
    kept = np.flatnonzero(undominated(points))
    order = kept[np.lexsort(points[kept].T[::-1])]
    ordered = points[order]
    first = np.ones(len(order), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(first)
    return order[starts], np.add.reduceat(counts[order], starts) if len(order) else counts[:0]


def checked(points: np.ndarray) -> np.ndarray:
    """Return int points; raises `BadSetting` where one is too large to be compared exactly."""
    if len(points) and np.abs(points).max() >= LARGEST:
        raise BadSetting(
            "sums of an exact search must stay below 2^53 of their grid",
            found=int(np.abs(points).max()),
            cure="use larger units",
        )
    return points


def _of_two(points: np.ndarray) -> np.ndarray:
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
