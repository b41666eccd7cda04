"""Dominance: which of many points no other beats, and how many are equal."""

from __future__ import annotations

from typing import NamedTuple

import moocore
import numpy as np

from donna_hw.errors import BadSetting

EXACT = 2**53  # whole numbers below it are exact as float64, in which the compiled filter compares


class Kept(NamedTuple):
    """The first of each group of equal points that no point dominates: numbers int [k] in rising order; equals: [k], counts summed."""

    numbers: np.ndarray
    equals: np.ndarray


def non_dominated(points: np.ndarray) -> np.ndarray:
    """Return bool [n]: rows of numbers [n, d], all minimised, that no other row dominates; of equal rows the first stays.

    A row dominates another when it is nowhere worse and somewhere better. O(n log n) up to three columns, O(n log^(d-2) n) beyond
    (Kung, Luccio and Preparata, 1975). Raises `BadSetting` for whole numbers of 2^53 or more.
    """
    keep = np.zeros(len(points), dtype=bool)
    if points.shape[1] > 2:
        return np.asarray(moocore.is_nondominated(_as_float(points))) if len(points) else keep
    order = np.lexsort(points.T[::-1])
    last = points[order, -1]
    # In the order of the first column a point stays when its second is below that of all before it.
    stays = np.r_[True, last[1:] < np.minimum.accumulate(last)[:-1]] if points.shape[1] == 2 else np.arange(len(last)) == 0
    keep[order[stays[: len(order)]]] = True
    return keep


def kept(points: np.ndarray, counts: np.ndarray) -> Kept:
    """Return which of int or float [n, d] no other dominates, equal ones merged, their counts [n] summed."""
    numbers = np.flatnonzero(_weakly(points))
    found = points[numbers]
    order = np.lexsort(found.T[::-1])
    first = np.r_[True, (found[order[1:]] != found[order[:-1]]).any(axis=1)] if len(order) else np.empty(0, dtype=bool)
    starts = np.flatnonzero(first)
    equals = np.add.reduceat(counts[numbers[order]], starts) if len(starts) else counts[:0]
    heads = numbers[order[starts]]  # lexsort is stable: the first of equals
    rising = np.argsort(heads)
    return Kept(heads[rising], equals[rising])


def _weakly(points: np.ndarray) -> np.ndarray:
    """Return bool [n]: points that none dominates, all equal ones included."""
    if points.shape[1] > 2:
        return np.asarray(moocore.is_nondominated(_as_float(points), keep_weakly=True)) if len(points) else np.empty(0, bool)
    keep = non_dominated(points)
    front = points[keep]
    front = front[np.argsort(front[:, 0])]
    places = np.searchsorted(front[:, 0], points[:, 0]).clip(max=max(len(front) - 1, 0))
    return np.asarray((points == front[places]).all(axis=1))


def _as_float(points: np.ndarray) -> np.ndarray:
    if points.dtype.kind in "iu" and len(points) and max(-int(points.min()), int(points.max())) >= EXACT:
        raise BadSetting("sums must stay below 2^53 to be compared exactly", found=int(np.abs(points).max()))
    return np.ascontiguousarray(points, dtype=np.float64)
