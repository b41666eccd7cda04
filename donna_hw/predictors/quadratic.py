"""Quadratic: an accuracy with second-order terms, block by block, as an exact search needs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Quadratic:
    """Accuracy (top-1 %) = intercept + sum_i linear_i[b_i] + sum_(i<j) interactions_ij t_i[b_i] t_j[b_j].

    linear: float [stage][block], minus infinity for blocks that must not be used. t: float [stage][block], zero or more.
    interactions: symmetric float [stages, stages], zero or more; its diagonal counts for nothing. So the accuracy falls nowhere as a
    block's linear or t grows.
    """

    linear: tuple[Array, ...]
    t: tuple[Array, ...]
    interactions: Array
    intercept: float

    def __call__(self, rows: Array) -> Array:
        """Return the accuracy (%), float [n], of block numbers int [n, stages].

        Summed stage by stage in one fixed order: rounding keeps the order of sums and of products of numbers above zero, so that a row
        which is nowhere worse before a stage is, to the last bit, nowhere worse after it.
        """
        value = np.full(len(rows), self.intercept)
        slopes = np.zeros((len(rows), len(self.t)))  # what a unit of each later stage's t will add
        for stage, (linear, t) in enumerate(zip(self.linear, self.t, strict=True)):
            blocks = rows[:, stage]
            value = value + (linear[blocks] + slopes[:, stage] * t[blocks])
            slopes = slopes + t[blocks, None] * self.interactions[stage]
        return value
