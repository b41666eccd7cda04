"""Bounds of a search by branch and bound: boxes of ways to finish a network, and the accuracies that are to be beaten."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

GRID_PERCENT = 1e-9  # accuracies that round to the same multiple are equal
PAIRS = 1 << 18  # of beginnings and boxes at a time: what stays in the processor's cache
BINS = 1 << 15  # of the cost, in which the best known accuracy is looked up

Array = np.ndarray


class CompletionBoxes(NamedTuple):
    """Ways to finish: the lowest cost int [m], the highest value float [m] and t float [m, stages left] of what each box holds."""

    cost: Array
    value: Array
    t: Array


class IncumbentBounds:
    """What a network must be more accurate than, by its cost in bins: a bin has the accuracy known at its lower edge.

    known: the costs, ascending, and accuracies on the grid of networks that are known; rounding: by how much a bound may be off, %.
    """

    def __init__(self, known: tuple[Array, Array], least: int, highest: int, rounding: float) -> None:
        costs, accuracies = known
        self.least = least
        self.shift = max(0, (highest - least).bit_length() - BINS.bit_length() + 1)
        edges = least + (np.arange(((highest - least) >> self.shift) + 2, dtype=np.int64) << self.shift)
        self.last = len(edges) - 1
        best = np.concatenate([[-np.inf], accuracies + GRID_PERCENT / 2 - rounding])
        self.accuracy = best[np.searchsorted(costs, edges, side="right")]
        self.accuracy[-1] = np.inf  # the bin of all that costs too much

    def may_improve(self, cost: Array, value: Array, slopes: Array, boxes: CompletionBoxes) -> Array:
        """Return bool [n]: beginnings that some box might finish to a network which beats all that are known.

        cost int [n], value float [n]; slopes: what a unit of each t to come adds, float [n, stages left].
        """
        found = np.zeros(len(cost), dtype=bool)
        size = max(1, PAIRS // len(boxes.cost))
        done = boxes.cost - self.least
        for start in range(0, len(found), size):
            part = slice(start, start + size)
            places = np.minimum((cost[part, None] + done) >> self.shift, self.last)
            best = slopes[part] @ boxes.t.T
            best += value[part, None]
            best += boxes.value
            found[part] = (best > self.accuracy[places]).any(axis=1)
        return found


def coarsen_boxes(boxes: CompletionBoxes, typical: Array, count: int) -> CompletionBoxes:
    """Return at most `count` boxes (a power of two) around many ways to finish, halved time and again where they are widest.

    typical: slopes of the stages left, float [stages left], by which a width in t is compared with one in accuracy.
    """
    if len(boxes.cost) <= count:
        return boxes
    points = np.column_stack([boxes.cost, boxes.value, boxes.t * typical])
    points[:, 0] *= np.ptp(points[:, 1:].sum(axis=1)) / max(np.ptp(points[:, 0]), 1.0)
    order = np.minimum(np.arange(-(-len(points) // count) * count), len(points) - 1)[None]
    while len(order) < count:
        widest = np.ptp(points[order], axis=1).argmax(axis=1)
        places = np.argsort(points[order, widest[:, None]], axis=1, kind="stable")
        order = np.take_along_axis(order, places, axis=1).reshape(2 * len(order), -1)
    return CompletionBoxes(boxes.cost[order].min(axis=1), boxes.value[order].max(axis=1), boxes.t[order].max(axis=1))
