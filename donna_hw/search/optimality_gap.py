"""Gap: how much more accurate than an inexact front another network may be, by an easier problem whose front is exact."""

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
from donna_hw.search.exact import exact_front, exact_search_obstacle
from donna_hw.search.exact_sums import TooManySumsError
from donna_hw.search.pareto_front import ParetoFront, build_front
from donna_hw.search.problem import Constraint, SearchProblem
from donna_hw.spaces.space import Rows

PIECES = 12  # of a front, each with a tangent of its own
CELLS = 2**24  # comparisons at a time
RELATIVE_TOLERANCE = 1e-9  # relative: what a cost on a grid may differ from itself as a float


@dataclass(frozen=True)
class UpperBoundPredictor:
    """A predictor whose scores, a constant added, are no lower than the accuracy of any network: [stage][block], in per cent."""

    predictor: AccuracyPredictor
    terms: tuple[np.ndarray, ...]
    constant: float

    def __call__(self, qualities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the predictor itself says."""
        return self.predictor(qualities)

    def extrapolates(self, qualities: np.ndarray) -> np.ndarray:
        """Return what the predictor itself says."""
        return self.predictor.extrapolates(qualities)

    def scores(self, qualities: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return the terms."""
        return self.terms

    def quadratic(self, qualities: Sequence[np.ndarray]) -> None:
        """Return None."""


def additive_upper_bound(predictor: AccuracyPredictor, qualities: tuple[np.ndarray, ...]) -> UpperBoundPredictor | None:
    """Return an additive bound from above on the accuracy of blocks of these NSR [stage][block]; None where none is known.

    Of a second-order predictor each product of two stages is replaced by the mean of the two planes that bound it over their ranges
    (McCormick, 1976). Of an additive score whose accuracy is no sum there is none.
    """
    quadratic = _second_order(predictor, qualities)
    if quadratic is None:
        return None
    terms = [linear.copy() for linear in quadratic.linear]
    usable = [np.isfinite(linear) for linear in terms]
    if not all(each.any() for each in usable):
        return None
    low = [float(t[each].min()) for t, each in zip(quadratic.t, usable, strict=True)]
    high = [float(t[each].max()) for t, each in zip(quadratic.t, usable, strict=True)]
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
    """Return the tangent of a second-order predictor at the mean of some networks: nearest to it around them, and no bound."""
    quadratic = _second_order(predictor, qualities)
    if quadratic is None:
        return None
    means = gather_terms(quadratic.t, rows).mean(axis=0)
    slopes = quadratic.interactions @ means - quadratic.interactions.diagonal() * means
    terms = tuple(own + slope * t for own, slope, t in zip(quadratic.linear, slopes, quadratic.t, strict=True))
    return UpperBoundPredictor(predictor, terms, quadratic.intercept)


def find_initial_rows(aim: SearchProblem) -> Rows | None:
    """Return the networks to begin a search from: the nearest exact front, None where there is none.

    Of a second-order predictor, the exact fronts of its tangents at pieces of that front, all together.
    """
    near = nearest_exact_problem(aim)
    try:
        rows = None if near is None else exact_front(near).rows
        if near is None or rows is None or not isinstance(near.predictor, UpperBoundPredictor):
            return rows
        rows = _tangent_fronts(aim, near, rows)
        return _tangent_fronts(aim, near, rows)  # once more: the bound's own front may lie aside
    except (InsufficientDataError, TooManySumsError):
        return None  # limits that the means miss are said by the search itself, of the costs that were asked for


def _tangent_fronts(aim: SearchProblem, near: SearchProblem, rows: Rows) -> Rows:
    """Return the exact fronts of the tangents at pieces of a front, int [n, stages + global axes] in its order, each about its piece."""
    found, edges = [], np.linspace(0, len(rows) - 1, min(PIECES, len(rows)) + 1).round().astype(int)
    levels = near.costs[0].mean(rows)
    for k in range(len(edges) - 1):
        tangent = tangent_predictor(aim.predictor, aim.qualities, rows[edges[k] : edges[k + 1] + 1])
        assert tangent is not None  # noqa: S101  its bound is one of a second-order predictor
        front = exact_front(replace(near, predictor=tangent))
        cost = front.costs[near.costs[0].name]
        first = -np.inf if k < 2 else levels[edges[k - 1]]
        last = np.inf if k > len(edges) - 4 else levels[edges[k + 2]]
        found.append(front.rows[(cost >= first) & (cost <= last)])
    both = np.unique(np.concatenate(found), axis=0)
    return both[np.argsort(near.costs[0].mean(both), kind="stable")]


def relax_problem(aim: SearchProblem) -> SearchProblem | None:
    """Return an aim whose exact front bounds that of `aim`: accuracies no lower, costs and limited costs no higher; None where none is.

    A robust cost is no lower than its mean; a cost that is no sum over blocks has no bound.
    """
    predictor = _additive_bound(aim)
    costs = [mean_cost(cost) for cost in aim.costs]
    limits = [Constraint(mean_cost(limit.cost), limit.upper_bound) for limit in aim.constraints]
    easier = replace(aim, predictor=predictor or aim.predictor, costs=costs, constraints=limits)
    return easier if exact_search_obstacle(easier) is None else None


def nearest_exact_problem(aim: SearchProblem) -> SearchProblem | None:
    """Return the aim nearest to `aim` that has an exact front; None where none has.

    The accuracy is bounded by a sum, a robust cost is its mean; costs that are no sums are left out, then the last ones until the rest
    have few enough dimensions.
    """
    costs = [cost for cost in map(mean_cost, aim.costs) if _is_sum(aim, cost)]
    limits = [
        Constraint(mean_cost(limit.cost), limit.upper_bound)
        for limit in aim.constraints
        if _is_sum(aim, mean_cost(limit.cost))
    ]
    for count in range(len(costs), 0, -1):
        near = replace(aim, predictor=_additive_bound(aim) or aim.predictor, costs=costs[:count], constraints=limits)
        if exact_search_obstacle(near) is None:
            return near
    return None


def add_optimality_gap(aim: SearchProblem, front: ParetoFront) -> ParetoFront:
    """Return a front with its gap, joined by the networks of the relaxed front, which are evaluated too; as it is where none is known.

    The gap holds for every network whose costs are all no lower than those of one of the front.
    """
    easier = relax_problem(aim)
    if easier is None:
        return front
    try:
        bound = exact_front(easier)
    except (InsufficientDataError, TooManySumsError):
        return front
    both = build_front(aim, np.unique(np.concatenate([front.rows, bound.rows]), axis=0), front.evaluations + len(bound))
    return replace(both, gap=compute_gap(aim, both, easier, bound))


def compute_gap(aim: SearchProblem, front: ParetoFront, easier: SearchProblem, bound: ParetoFront) -> float:
    """Return by how much, in per cent, a network may be more accurate than the best of a front that costs no more; 0 or above.

    easier, bound: the relaxed aim and its exact front. Any network has one in `bound` that costs no more and whose bound on the accuracy
    is no lower; what is left is the largest step from the front's best within those costs up to that bound.
    """
    highest = bound.accuracy
    if isinstance(easier.predictor, UpperBoundPredictor):
        highest = easier.predictor.constant + gather_terms(easier.predictor.terms, bound.rows).sum(axis=1)
    costs = np.stack([cost.mean(bound.rows) for cost in easier.costs], axis=1)
    own = np.stack([front.costs[cost.name] for cost in aim.costs], axis=1)
    worst, step = 0.0, max(1, CELLS // len(own))
    for start in range(0, len(costs), step):
        part = slice(start, start + step)
        affordable = (own[None] <= costs[part, None] * (1 + RELATIVE_TOLERANCE)).all(axis=2)
        best = np.where(affordable, front.accuracy, front.accuracy.min()).max(axis=1)
        worst = max(worst, float((highest[part] - best).max()))
    return worst


def mean_cost(cost: CostModel) -> CostModel:
    """Return the cost that a robust one is judged about, any other as it is."""
    return cost.cost if isinstance(cost, QuantileCost) else cost


def _second_order(predictor: AccuracyPredictor, qualities: tuple[np.ndarray, ...]) -> Quadratic | None:
    if isinstance(predictor, LinearPredictor):
        return predictor.second_order(qualities)
    return predictor.quadratic(qualities)


def _additive_bound(aim: SearchProblem) -> UpperBoundPredictor | None:
    return (
        None if aim.predictor.scores(aim.qualities) is not None else additive_upper_bound(aim.predictor, aim.qualities)
    )


def _is_sum(aim: SearchProblem, cost: CostModel) -> bool:
    return cost.additive_terms((0,) * len(aim.space.global_axes)) is not None
