"""Random networks: what a search must beat (paper, section E)."""

from __future__ import annotations

import numpy as np

from donna_hw.costs.base import CostModel
from donna_hw.errors import InsufficientDataError
from donna_hw.search.pareto_front import ParetoFront, build_front
from donna_hw.search.problem import SearchProblem
from donna_hw.spaces.space import Rows

DRAWS = 200_000


def random_front(aim: SearchProblem, samples: int = 2500, seed: int = 0) -> ParetoFront:
    """Return the front of `samples` different networks drawn uniformly: predictor-based random search (paper, section E), never exact.

    A space that has no more networks is looked at whole. Raises `InsufficientDataError` when none lies within the limits.
    """
    rows = aim.space.random_rows(min(samples, aim.space.size), seed)
    return build_front(aim, rows, evaluations=len(rows))


def sample_at_cost(
    aim: SearchProblem,
    cost: CostModel,
    targets: np.ndarray,
    *,
    seed: int,
    excluded: Rows | None = None,
    tolerance: float = 0.02,
    draws: int = DRAWS,
) -> Rows:
    """Return one random network for each wanted cost, int [k, stages], all different, drawn uniformly from those within `tolerance`.

    excluded: networks that must not be drawn, int [m, stages]. Raises `InsufficientDataError` when no drawn network lies that near.
    """
    picks: list[np.ndarray] = []
    found = sample_near_cost(aim, cost, targets, seed=seed, excluded=excluded, tolerance=tolerance, draws=draws)
    for value, near in zip(targets, found, strict=True):
        new = [row for row in near if not any((row == pick).all() for pick in picks)]
        if not new:
            raise InsufficientDataError(
                f"random networks within {tolerance:.0%} of {value:.4g} {cost.unit} must exist",
                got=f"none in {draws}",
                hint="choose a cost nearer the middle of the space",
            )
        picks.append(new[0])
    return np.array(picks)


def sample_near_cost(
    aim: SearchProblem,
    cost: CostModel,
    targets: np.ndarray,
    *,
    seed: int,
    excluded: Rows | None = None,
    tolerance: float = 0.02,
    draws: int = DRAWS,
) -> list[Rows]:
    """Return for each wanted cost, in random order, all networks within `tolerance` of it of `draws` uniform ones, int [n, stages]."""
    rng = np.random.default_rng(seed)
    rows = np.unique(rng.integers(0, aim.space.column_sizes, (draws, len(aim.space.columns))), axis=0)
    rows = rng.permutation(rows[aim.usable(rows)])
    if excluded is not None:
        rows = rows[~(rows[:, None] == excluded[None]).all(axis=2).any(axis=1)]
    costs = cost.mean(rows)
    return [rows[np.abs(costs / value - 1) <= tolerance] for value in targets]
