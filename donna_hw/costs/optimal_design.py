"""Optimal design: which networks to measure next, so that the costs of all others become known best."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from donna_hw.costs.hierarchical import FittedCost
    from donna_hw.spaces.space import Rows


def select_informative(cost: FittedCost, candidates: Rows, count: int) -> np.ndarray:
    """Return the indices of the candidates whose measurement is most informative about all of them together.

    Args:
        cost: The cost as fitted so far.
        candidates: Networks, int [n, stages + global axes]. They should be drawn uniformly from the space that will be searched.
        count: How many to select.

    Returns:
        Indices, int [count], in the order of selection; see `iter_a_optimal`.
    """
    return select_a_optimal(*cost.covariance(candidates), count)


def select_a_optimal(covariance: np.ndarray, noise: np.ndarray, count: int) -> np.ndarray:
    """Return the indices, int [count], of the candidates whose measurement lowers the mean variance of all of them most."""
    return np.array([index for index, _ in islice(iter_a_optimal(covariance, noise), count)], np.int64)


def iter_a_optimal(covariance: np.ndarray, noise: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield candidates in the order of a greedy A-optimal design, each with the covariance of all after its measurement.

    Each next candidate lowers the mean variance most, given those before. No measured value is needed.

    Args:
        covariance: Of the quantities of interest, float [n, n].
        noise: Variance of one measurement of each in addition to that, float [n].

    Yields:
        Index of a candidate, and the remaining covariance, float [n, n].
    """
    remaining = covariance
    selected: list[int] = []
    for _ in range(len(covariance)):
        gains = (remaining**2).sum(axis=0) / (np.diag(remaining) + noise)
        gains[selected] = -np.inf
        best = int(np.argmax(gains))
        selected.append(best)
        column = remaining[:, best] / np.sqrt(remaining[best, best] + noise[best])
        remaining = remaining - np.outer(column, column)
        yield best, remaining
