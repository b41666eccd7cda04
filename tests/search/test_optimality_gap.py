"""The gap of an inexact front against the true one of every network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_search import all_rows, best, found, tiny_problem

from donna_hw.costs.quantile import QuantileCost
from donna_hw.predictors.base import FittedPredictor
from donna_hw.predictors.factory import fit_predictor
from donna_hw.predictors.linear import LinearPredictor
from donna_hw.search.api import SearchSettings, search
from donna_hw.search.optimality_gap import (
    add_optimality_gap,
    additive_upper_bound,
    nearest_exact_problem,
    relax_problem,
)
from donna_hw.search.pareto_front import ParetoFront, build_front
from donna_hw.search.problem import Constraint, SearchProblem
from donna_hw.training.block_metrics import gather_qualities


def second_order(seed: int, kind: str = "ridge2") -> FittedPredictor:
    rng = np.random.default_rng(seed)
    seen = rng.uniform(0.01, 0.95, (40, 3))
    top1 = (
        70 - 9 * seen.sum(axis=1) + 8 * seen[:, 0] * seen[:, 1] - 7 * seen[:, 1] * seen[:, 2] + rng.normal(0, 0.2, 40)
    )
    return fit_predictor(seen, top1, kind)


def curved_problem(seed: int, kind: str = "ridge2", costs: int = 1) -> SearchProblem:
    return replace(tiny_problem(seed, costs=costs), predictor=second_order(seed, kind))


def true_gap(problem: SearchProblem, front: ParetoFront) -> float:
    """Return the largest lead, at no higher costs, of any network within the limits that costs no less than one of the front."""
    rows = all_rows(problem)
    rows = rows[(problem.violations(rows) <= 0).all(axis=1)]
    points, own = problem.objectives(rows), problem.objectives(front.rows)
    worst = 0.0
    for point in points:
        affordable = own[(own[:, 1:] <= point[1:]).all(axis=1)]
        if len(affordable):
            worst = max(worst, float(affordable[:, 0].min() - point[0]))
    return worst


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["ridge2", "ridge2_monotone"]))
@pytest.mark.long
def test_the_bound_is_above_the_accuracy_of_every_network(seed: int, kind: str) -> None:
    problem = curved_problem(seed, kind)
    qualities = tuple(values.copy() for values in problem.qualities)
    qualities[1][2] = np.inf
    bound = additive_upper_bound(problem.predictor, qualities)
    assert bound is not None
    rows = all_rows(problem)
    rows = rows[np.isfinite(gather_qualities(qualities, rows)).all(axis=1)]
    highest = bound.constant + sum(term[rows[:, i]] for i, term in enumerate(bound.terms))
    assert (highest >= problem.predictor(gather_qualities(qualities, rows))[0] - 1e-9).all()
    assert bound.terms[1][2] == -np.inf


@pytest.mark.parametrize("kind", ["ridge2", "ridge2_monotone"])
def test_a_second_order_sum_is_what_the_predictor_says(kind: str) -> None:
    problem = curved_problem(1, kind)
    assert isinstance(problem.predictor, LinearPredictor)
    quadratic, rows = problem.predictor.second_order(problem.qualities), all_rows(problem)
    assert quadratic is not None
    np.testing.assert_allclose(quadratic(rows), problem.predictor(gather_qualities(problem.qualities, rows))[0])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["ridge2", "ridge2_monotone"]), st.integers(1, 2), st.booleans())
@pytest.mark.long
def test_the_gap_is_no_less_than_the_true_one(seed: int, kind: str, costs: int, limited: bool) -> None:
    problem = curved_problem(seed, kind, costs)
    if limited:
        problem = replace(
            problem,
            constraints=[
                Constraint(problem.costs[0], float(np.quantile(problem.costs[0].mean(all_rows(problem)), 0.5)))
            ],
        )
    feasible = all_rows(problem)[(problem.violations(all_rows(problem)) <= 0).all(axis=1)]
    few = build_front(problem, np.random.default_rng(seed).permutation(feasible)[:4], 4)
    front = add_optimality_gap(problem, few)
    assert front.gap is not None
    assert front.gap >= true_gap(problem, front) - 1e-9
    assert not front.exact
    assert front.evaluations > 4


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_robust_search_has_the_gap_about_its_means(seed: int) -> None:
    problem = tiny_problem(seed)
    problem = replace(problem, costs=[QuantileCost(problem.costs[0], 0.9)])
    front = add_optimality_gap(problem, build_front(problem, problem.space.random_rows(4, seed), 4))
    assert front.gap is not None
    assert front.gap >= true_gap(problem, front) - 1e-9


def test_where_the_easier_problem_is_the_same_nothing_is_left_open() -> None:
    problem = tiny_problem(costs=2)
    front = add_optimality_gap(problem, build_front(problem, all_rows(problem)[:3], 3))
    assert front.gap == pytest.approx(0, abs=1e-9)
    assert found(front.rows) == best(problem)
    assert not front.exact


def test_a_search_by_nsga2_begins_from_the_nearest_exact_front_and_says_its_gap() -> None:
    problem = curved_problem(3, costs=2)
    assert nearest_exact_problem(problem) is not None
    front = search(problem, SearchSettings("auto", samples=100, population=10))
    assert found(front.rows) == best(problem)
    assert front.gap is not None
    assert front.gap >= 0
    assert not front.exact


def test_a_cost_that_is_no_sum_has_no_gap_and_is_left_out_of_the_seeds() -> None:
    class Measured:
        name, unit = "measured", "s"

        def __init__(self, problem: SearchProblem) -> None:
            self.mean, self.std, self.std_of_difference = (
                getattr(problem.costs[0], name) for name in ("mean", "std", "std_of_difference")
            )

        def additive_terms(self, settings: tuple[int, ...] = ()) -> None:
            return None

    problem = tiny_problem(costs=2)
    measured = replace(problem, costs=[problem.costs[0], Measured(problem)])
    near = nearest_exact_problem(measured)
    assert near is not None
    assert list(near.costs) == [problem.costs[0]]
    assert relax_problem(measured) is None
    assert search(measured, SearchSettings("auto", samples=40, population=10)).gap is None
    assert nearest_exact_problem(replace(problem, costs=[Measured(problem)])) is None


def test_of_too_many_costs_the_last_are_left_out_of_the_seeds() -> None:
    problem = tiny_problem()
    many = [replace(problem.costs[0], name=f"cost{i}") for i in range(7)]  # type: ignore[type-var]
    near = nearest_exact_problem(replace(problem, costs=many))
    assert near is not None
    assert [cost.name for cost in near.costs] == ["cost0", "cost1", "cost2", "cost3"]
    assert relax_problem(replace(problem, costs=many)) is None
