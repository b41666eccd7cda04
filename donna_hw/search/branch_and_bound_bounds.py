"""Bounds of a search by branch and bound: boxes of completions, and the accuracy that a network must exceed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

GRID_PERCENT = 1e-9  # accuracies that round to the same multiple are equal
PAIRS = 1 << 18  # of partial networks and boxes at a time: what stays in the processor's cache
BINS = 1 << 15  # of the cost, in which the best known accuracy is looked up

Array = np.ndarray


class CompletionBoxes(NamedTuple):
    """Boxes of completions: the lowest cost int [m], the highest value float [m] and the highest t float [m, remaining stages] of each."""

    cost: Array
    value: Array
    t: Array


class IncumbentBounds:
    """The accuracy that a network must exceed, by its cost in bins: a bin has the best known accuracy at its lower edge.

    Args:
        known: Costs, ascending, and accuracies on the grid of the known networks.
        lowest: The lowest cost of any network.
        highest: The highest cost that is allowed.
        rounding: The largest rounding error of a bound in per cent.
    """

    def __init__(self, known: tuple[Array, Array], lowest: int, highest: int, rounding: float) -> None:
        costs, accuracies = known
        self.lowest = lowest
        self.shift = max(0, (highest - lowest).bit_length() - BINS.bit_length() + 1)
        edges = lowest + (np.arange(((highest - lowest) >> self.shift) + 2, dtype=np.int64) << self.shift)
        self.last = len(edges) - 1
        best = np.concatenate([[-np.inf], accuracies + GRID_PERCENT / 2 - rounding])
        self.accuracy = best[np.searchsorted(costs, edges, side="right")]
        self.accuracy[-1] = np.inf  # the bin of all networks that cost too much

    def may_improve(self, cost: Array, value: Array, slopes: Array, boxes: CompletionBoxes) -> Array:
        """Return which partial networks some box might complete to a network that no known one dominates.

        Args:
            cost: Cost of each partial network, int [n].
            value: Its accuracy so far, float [n].
            slopes: What a unit of each remaining t adds to it, float [n, remaining stages].
            boxes: The completions.

        Returns:
            Bool [n].
        """
        improves = np.zeros(len(cost), dtype=bool)
        size = max(1, PAIRS // len(boxes.cost))
        offsets = boxes.cost - self.lowest
        for start in range(0, len(improves), size):
            part = slice(start, start + size)
            bins = np.minimum((cost[part, None] + offsets) >> self.shift, self.last)
            best = slopes[part] @ boxes.t.T
            best += value[part, None]
            best += boxes.value
            improves[part] = (best > self.accuracy[bins]).any(axis=1)
        return improves


def coarsen_boxes(boxes: CompletionBoxes, typical: Array, count: int) -> CompletionBoxes:
    """Return at most `count` boxes around many completions, halved repeatedly where they are widest.

    Args:
        boxes: The completions.
        typical: Slopes of the remaining stages, float [remaining stages], which convert a width in t to one in accuracy.
        count: A power of two.

    Returns:
        The boxes, unchanged where there are no more than `count`.
    """
    if len(boxes.cost) <= count:
        return boxes
    points = np.column_stack([boxes.cost, boxes.value, boxes.t * typical])
    points[:, 0] *= np.ptp(points[:, 1:].sum(axis=1)) / max(np.ptp(points[:, 0]), 1.0)
    order = np.minimum(np.arange(-(-len(points) // count) * count), len(points) - 1)[None]
    while len(order) < count:
        widest = np.ptp(points[order], axis=1).argmax(axis=1)
        ranks = np.argsort(points[order, widest[:, None]], axis=1, kind="stable")
        order = np.take_along_axis(order, ranks, axis=1).reshape(2 * len(order), -1)
    return CompletionBoxes(boxes.cost[order].min(axis=1), boxes.value[order].max(axis=1), boxes.t[order].max(axis=1))
