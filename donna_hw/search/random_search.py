"""Random networks, the baseline of a search (paper, section E)."""

from __future__ import annotations

import numpy as np

from donna_hw.costs.base import CostModel
from donna_hw.errors import InsufficientDataError
from donna_hw.search.pareto_front import ParetoFront, build_front
from donna_hw.search.problem import SearchProblem
from donna_hw.spaces.encoding import is_member
from donna_hw.spaces.space import Rows

DRAWS = 200_000


def random_front(problem: SearchProblem, samples: int = 2500, seed: int = 0) -> ParetoFront:
    """Return the front of `samples` different networks drawn uniformly: predictor-based random search (paper, section E), never exact.

    A space that has no more networks is evaluated completely. Raises `InsufficientDataError` where none satisfies the constraints.
    """
    rows = problem.space.random_rows(min(samples, problem.space.size), seed)
    return build_front(problem, rows, evaluations=len(rows))


def sample_at_cost(
    problem: SearchProblem,
    cost: CostModel,
    targets: np.ndarray,
    *,
    seed: int,
    excluded: Rows | None = None,
    tolerance: float = 0.02,
    draws: int = DRAWS,
) -> Rows:
    """Return one random network for each target cost, all different, drawn uniformly from those within a tolerance.

    Args:
        problem: Its space and its usable blocks are drawn from.
        cost: The cost of the targets.
        targets: The costs, float [k], in the unit of `cost`.
        seed: Seed of the draws.
        excluded: Networks that must not be drawn, int [m, stages].
        tolerance: How far from a target a network may lie, as a share of it.
        draws: Networks to draw.

    Returns:
        The networks, int [k, stages].

    Raises:
        InsufficientDataError: No drawn network lies that near a target.
    """
    picks = np.empty((0, len(problem.space.columns)), np.int64)
    groups = sample_near_cost(problem, cost, targets, seed=seed, excluded=excluded, tolerance=tolerance, draws=draws)
    for value, near in zip(targets, groups, strict=True):
        new = near[~is_member(near, picks)]
        if not len(new):
            raise InsufficientDataError(
                f"none of {draws} random networks lies within {tolerance:.0%} of {value:.4g} {cost.unit}",
                hint="choose a cost nearer the middle of the space",
            )
        picks = np.concatenate([picks, new[:1]])
    return picks


def sample_near_cost(
    problem: SearchProblem,
    cost: CostModel,
    targets: np.ndarray,
    *,
    seed: int,
    excluded: Rows | None = None,
    tolerance: float = 0.02,
    draws: int = DRAWS,
) -> list[Rows]:
    """Return for each target cost the networks within a tolerance of it, among uniform draws, in random order, int [n, stages] each.

    See `sample_at_cost` for the arguments.
    """
    rng = np.random.default_rng(seed)
    rows = np.unique(rng.integers(0, problem.space.column_sizes, (draws, len(problem.space.columns))), axis=0)
    rows = rng.permutation(rows[problem.usable(rows)])
    if excluded is not None:
        rows = rows[~is_member(rows, excluded)]
    costs = cost.mean(rows)
    return [rows[np.abs(costs / value - 1) <= tolerance] for value in targets]
