"""How much more accurate than an inexact front another network may be, by a relaxed problem whose front is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from donna_hw.costs.base import CostModel, gather_terms
from donna_hw.costs.quantile import QuantileCost
from donna_hw.errors import InsufficientDataError
from donna_hw.predictors.base import AccuracyPredictor
from donna_hw.predictors.linear import LinearPredictor
from donna_hw.predictors.quadratic import Quadratic
from donna_hw.search.exact_search import exact_front, exact_search_obstacle
from donna_hw.search.exact_sums import TooManySumsError
from donna_hw.search.pareto_front import ParetoFront, build_front
from donna_hw.search.problem import Constraint, SearchProblem
from donna_hw.spaces.space import Rows

PIECES = 12  # of a front, each with its own tangent
CELLS = 2**24  # comparisons at a time
RELATIVE_TOLERANCE = 1e-9  # between a cost on a grid and the same cost as a float


@dataclass(frozen=True)
class UpperBoundPredictor:
    """A predictor whose scores plus a constant are no lower than the accuracy of any network.

    Args:
        predictor: The predictor itself.
        terms: The scores [stage][block] in per cent.
        constant: What is added to their sum, in per cent.
    """

    predictor: AccuracyPredictor
    terms: tuple[np.ndarray, ...]
    constant: float

    def __call__(self, qualities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the accuracy and its deviation of the predictor itself."""
        return self.predictor(qualities)

    def extrapolates(self, qualities: np.ndarray) -> np.ndarray:
        """Return where the predictor itself extrapolates."""
        return self.predictor.extrapolates(qualities)

    def scores(self, qualities: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return the terms."""
        return self.terms

    def quadratic(self, qualities: Sequence[np.ndarray]) -> None:
        """Return None: it has no second-order terms."""


def additive_upper_bound(predictor: AccuracyPredictor, qualities: tuple[np.ndarray, ...]) -> UpperBoundPredictor | None:
    """Return an additive upper bound on the accuracy of blocks with these NSR [stage][block]; None where none is known.

    Each product of two stages in a second-order predictor is replaced by the mean of the two planes that bound it over their ranges
    (McCormick, 1976). An additive score whose accuracy is no sum has no such bound.
    """
    quadratic = _second_order(predictor, qualities)
    if quadratic is None:
        return None
    terms = [linear.copy() for linear in quadratic.linear]
    usable = [np.isfinite(linear) for linear in terms]
    if not all(blocks.any() for blocks in usable):
        return None
    low = [float(t[blocks].min()) for t, blocks in zip(quadratic.t, usable, strict=True)]
    high = [float(t[blocks].max()) for t, blocks in zip(quadratic.t, usable, strict=True)]
    constant = quadratic.intercept
    for i, j in zip(*np.triu_indices(len(terms), k=1), strict=True):
        half = quadratic.interactions[i, j] / 2
        terms[i] += half * (low[j] + high[j]) * np.where(usable[i], quadratic.t[i], 0.0)
        terms[j] += half * (low[i] + high[i]) * np.where(usable[j], quadratic.t[j], 0.0)
        crossed = low[i] * high[j] + high[i] * low[j] if half > 0 else low[i] * low[j] + high[i] * high[j]
        constant -= half * crossed
    return UpperBoundPredictor(predictor, tuple(terms), float(constant))


def tangent_predictor(
    predictor: AccuracyPredictor, qualities: tuple[np.ndarray, ...], rows: Rows
) -> UpperBoundPredictor | None:
    """Return the tangent of a second-order predictor at the mean of some networks; it approximates the predictor and is no bound."""
    quadratic = _second_order(predictor, qualities)
    if quadratic is None:
        return None
    means = gather_terms(quadratic.t, rows).mean(axis=0)
    slopes = quadratic.interactions @ means - quadratic.interactions.diagonal() * means
    terms = tuple(linear + slope * t for linear, slope, t in zip(quadratic.linear, slopes, quadratic.t, strict=True))
    return UpperBoundPredictor(predictor, terms, quadratic.intercept)


def find_initial_rows(problem: SearchProblem) -> Rows | None:
    """Return the networks to start a search from, the nearest exact front; None where there is none.

    For a second-order predictor they are the exact fronts of its tangents at pieces of that front, all together.
    """
    near = nearest_exact_problem(problem)
    try:
        rows = None if near is None else exact_front(near).rows
        if near is None or rows is None or not isinstance(near.predictor, UpperBoundPredictor):
            return rows
        rows = _tangent_fronts(problem, near, rows)
        return _tangent_fronts(problem, near, rows)  # once more: the front of the bound may lie elsewhere
    except (InsufficientDataError, TooManySumsError):
        return None  # the search itself reports constraints that cannot be satisfied, with the requested costs


def _tangent_fronts(problem: SearchProblem, near: SearchProblem, rows: Rows) -> Rows:
    """Return the exact fronts of the tangents at pieces of a front, int [n, stages + global axes] in its order, each near its piece."""
    fronts, edges = [], np.linspace(0, len(rows) - 1, min(PIECES, len(rows)) + 1).round().astype(int)
    levels = near.costs[0].mean(rows)
    for k in range(len(edges) - 1):
        tangent = tangent_predictor(problem.predictor, problem.qualities, rows[edges[k] : edges[k + 1] + 1])
        assert tangent is not None  # noqa: S101  the bound is that of a second-order predictor
        front = exact_front(replace(near, predictor=tangent))
        cost = front.costs[near.costs[0].name]
        first = -np.inf if k < 2 else levels[edges[k - 1]]
        last = np.inf if k > len(edges) - 4 else levels[edges[k + 2]]
        fronts.append(front.rows[(cost >= first) & (cost <= last)])
    union = np.unique(np.concatenate(fronts), axis=0)
    return union[np.argsort(near.costs[0].mean(union), kind="stable")]


def relax_problem(problem: SearchProblem) -> SearchProblem | None:
    """Return a problem whose exact front bounds that of `problem`: accuracies no lower, costs no higher; None where there is none.

    A quantile of a cost is replaced by its mean, which is no higher. A cost that is no sum over blocks has no bound.
    """
    predictor = _additive_bound(problem)
    costs = [mean_cost(cost) for cost in problem.costs]
    constraints = [Constraint(mean_cost(limit.cost), limit.upper_bound) for limit in problem.constraints]
    relaxed = replace(problem, predictor=predictor or problem.predictor, costs=costs, constraints=constraints)
    return relaxed if exact_search_obstacle(relaxed) is None else None


def nearest_exact_problem(problem: SearchProblem) -> SearchProblem | None:
    """Return the problem nearest to `problem` that has an exact front; None where none has.

    The accuracy is bounded by a sum, and a quantile of a cost is replaced by its mean. Costs that are no sums are dropped, then the last
    ones until the rest have few enough dimensions.
    """
    costs = [cost for cost in map(mean_cost, problem.costs) if _is_sum(problem, cost)]
    constraints = [
        Constraint(mean_cost(limit.cost), limit.upper_bound)
        for limit in problem.constraints
        if _is_sum(problem, mean_cost(limit.cost))
    ]
    for count in range(len(costs), 0, -1):
        predictor = _additive_bound(problem) or problem.predictor
        near = replace(problem, predictor=predictor, costs=costs[:count], constraints=constraints)
        if exact_search_obstacle(near) is None:
            return near
    return None


def add_optimality_gap(problem: SearchProblem, front: ParetoFront) -> ParetoFront:
    """Return a front with its gap, merged with the networks of the relaxed front; unchanged where no bound is known.

    The gap holds for every network whose costs are all no lower than those of some network of the front.
    """
    relaxed = relax_problem(problem)
    if relaxed is None:
        return front
    try:
        bound = exact_front(relaxed)
    except (InsufficientDataError, TooManySumsError):
        return front
    rows = np.unique(np.concatenate([front.rows, bound.rows]), axis=0)
    merged = build_front(problem, rows, front.evaluations + len(bound))
    return replace(merged, gap=compute_gap(problem, merged, relaxed, bound))


def compute_gap(problem: SearchProblem, front: ParetoFront, relaxed: SearchProblem, bound: ParetoFront) -> float:
    """Return by how much a network may be more accurate than the best network of a front that costs no more.

    For every network there is one in `bound` that costs no more and whose bound on the accuracy is no lower. The gap is the largest step
    from the front's best accuracy within those costs to that bound.

    Args:
        problem: What was searched for.
        front: The front found.
        relaxed: The relaxed problem (`relax_problem`).
        bound: Its exact front.

    Returns:
        The gap in per cent, 0 or above.
    """
    highest = bound.accuracy
    if isinstance(relaxed.predictor, UpperBoundPredictor):
        highest = relaxed.predictor.constant + gather_terms(relaxed.predictor.terms, bound.rows).sum(axis=1)
    costs = np.stack([cost.mean(bound.rows) for cost in relaxed.costs], axis=1)
    front_costs = np.stack([front.costs[cost.name] for cost in problem.costs], axis=1)
    gap, step = 0.0, max(1, CELLS // len(front_costs))
    for start in range(0, len(costs), step):
        part = slice(start, start + step)
        affordable = (front_costs[None] <= costs[part, None] * (1 + RELATIVE_TOLERANCE)).all(axis=2)
        best = np.where(affordable, front.accuracy, front.accuracy.min()).max(axis=1)
        gap = max(gap, float((highest[part] - best).max()))
    return gap


def mean_cost(cost: CostModel) -> CostModel:
    """Return the cost whose quantile a cost is; any other cost unchanged."""
    return cost.cost if isinstance(cost, QuantileCost) else cost


def _second_order(predictor: AccuracyPredictor, qualities: tuple[np.ndarray, ...]) -> Quadratic | None:
    if isinstance(predictor, LinearPredictor):
        return predictor.second_order(qualities)
    return predictor.quadratic(qualities)


def _additive_bound(problem: SearchProblem) -> UpperBoundPredictor | None:
    return (
        None
        if problem.predictor.scores(problem.qualities) is not None
        else additive_upper_bound(problem.predictor, problem.qualities)
    )


def _is_sum(problem: SearchProblem, cost: CostModel) -> bool:
    return cost.additive_terms((0,) * len(problem.space.global_axes)) is not None
