"""Quadratic: an accuracy with second-order terms in the blocks, in the form that an exact search needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Quadratic:
    """Accuracy (top-1 %) = intercept + sum_i linear_i[b_i] + sum_(i<j) interactions_ij t_i[b_i] t_j[b_j].

    No interaction is negative, so the accuracy never falls as a block's `linear` or `t` grows.

    Args:
        linear: Float [stage][block], minus infinity for blocks that must not be used.
        t: Float [stage][block], zero or more.
        interactions: Symmetric float [stages, stages], zero or more, whose diagonal is ignored.
        intercept: In per cent.
    """

    linear: tuple[Array, ...]
    t: tuple[Array, ...]
    interactions: Array
    intercept: float

    def __call__(self, rows: Array) -> Array:
        """Return the accuracy in per cent, float [n], of block numbers int [n, stages].

        The sum runs stage by stage in one fixed order. Rounding preserves the order of sums and of products of positive numbers, so a
        row that is not worse than another before a stage is, to the last bit, not worse after it.
        """
        value = np.full(len(rows), self.intercept)
        slopes = np.zeros((len(rows), len(self.t)))  # what one unit of t adds in each later stage
        for stage, (linear, t) in enumerate(zip(self.linear, self.t, strict=True)):
            blocks = rows[:, stage]
            value = value + (linear[blocks] + slopes[:, stage] * t[blocks])
            slopes = slopes + t[blocks, None] * self.interactions[stage]
        return value
