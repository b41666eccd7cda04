"""Design: which networks to measure next, so that the costs of all others become known best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from donna_hw.costs.hierarchical import FittedCost
from donna_hw.spaces.space import Rows


def select_informative(cost: FittedCost, candidates: Rows, count: int) -> np.ndarray:
    """Return the numbers of `count` candidates, int [n, stages + global axes], whose measurement tells most of all of them together.

    Greedy: each next network is the one that lowers the mean variance of the candidates' log costs most, given those chosen before
    (A-optimal design, which needs no measured value). Candidates should be drawn uniformly from what will be searched.
    """
    return select_a_optimal(*cost.covariance(candidates), count)


def select_a_optimal(covariance: np.ndarray, noise: np.ndarray, count: int) -> np.ndarray:
    """Return the numbers of `count` candidates, int [count], whose measurement lowers the mean variance of all of them most.

    covariance: float [n, n], of what is to be known; noise: float [n], the variance of one measurement. Greedy.
    """
    return np.array([number for number, _ in iter_a_optimal(covariance, noise, count)], np.int64)


def iter_a_optimal(covariance: np.ndarray, noise: np.ndarray, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each choice of `select_a_optimal` with the covariance, float [n, n], that remains after its measurement."""
    remaining = covariance
    selected: list[int] = []
    for _ in range(min(count, len(covariance))):
        gains = (remaining**2).sum(axis=0) / (np.diag(remaining) + noise)
        gains[selected] = -np.inf
        best = int(np.argmax(gains))
        selected.append(best)
        column = remaining[:, best] / np.sqrt(remaining[best, best] + noise[best])
        remaining = remaining - np.outer(column, column)
        yield best, remaining
