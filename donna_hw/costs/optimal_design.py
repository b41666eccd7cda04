"""Design: which networks to measure next, so that the costs of all others become known best."""

from __future__ import annotations

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

    covariance: float [n, n], of what is to be known; noise: float [n], the variance of one measurement beside it. Greedy.
    """
    left = covariance
    chosen: list[int] = []
    for _ in range(min(count, len(covariance))):
        gains = (left**2).sum(axis=0) / (np.diag(left) + noise)
        gains[chosen] = -np.inf
        best = int(np.argmax(gains))
        chosen.append(best)
        column = left[:, best] / np.sqrt(left[best, best] + noise[best])
        left = left - np.outer(column, column)
    return np.array(chosen, np.int64)
