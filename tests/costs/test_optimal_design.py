"""Which networks to measure: the greedy choice by the textbook's formula, and better than chance."""

from __future__ import annotations

import numpy as np
from cost_examples import made_basis, random_rows

from donna_hw.costs.hierarchical import FittedCost
from donna_hw.costs.optimal_design import select_informative


def left_after(left: np.ndarray, noise: np.ndarray, chosen: list[int]) -> float:
    """Return the mean variance of all once `chosen` are measured, by the formula of a Gaussian process."""
    block = left[np.ix_(chosen, chosen)] + np.diag(noise[chosen])
    return float((np.diag(left) - np.einsum("ij,ji->i", left[:, chosen], np.linalg.solve(block, left[chosen]))).mean())


def test_each_choice_lowers_the_mean_variance_most_and_beats_chance() -> None:
    basis = made_basis(errors=True)
    candidates = random_rows(basis, 60, 0)
    cost = FittedCost.from_prior(("made", "s"), basis, candidates)
    assert cost is not None
    left, noise = cost.covariance(candidates)
    chosen = select_informative(cost, candidates, 6).tolist()
    assert len(set(chosen)) == 6
    for number in range(1, 7):
        before, best = chosen[: number - 1], chosen[number - 1]
        tried = {i: left_after(left, noise, [*before, i]) for i in range(60) if i not in before}
        assert tried[best] <= min(tried.values()) * (1 + 1e-9)
    rng = np.random.default_rng(0)
    chance = [left_after(left, noise, rng.choice(60, 6, replace=False).tolist()) for _ in range(50)]
    assert left_after(left, noise, chosen) < min(chance)


def test_more_than_there_are_gives_them_all() -> None:
    basis = made_basis(errors=True)
    candidates = random_rows(basis, 5, 0)
    cost = FittedCost.from_prior(("made", "s"), basis, candidates)
    assert cost is not None
    assert sorted(select_informative(cost, candidates, 9)) == [0, 1, 2, 3, 4]
