"""Random networks of a wanted cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_search import all_rows, found, tiny_problem

from donna_hw.errors import InsufficientDataError
from donna_hw.search.problem import SearchProblem
from donna_hw.search.random_search import sample_at_cost


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_random_networks_lie_within_the_tolerance_and_differ(seed: int) -> None:
    problem = tiny_problem(stages=5)
    cost = problem.costs[0]
    wanted = np.quantile(cost.mean(all_rows(problem)), [0.3, 0.5, 0.5, 0.7])
    rows = sample_at_cost(problem, cost, wanted, seed=seed, draws=5000)
    assert (np.abs(cost.mean(rows) / wanted - 1) <= 0.02).all()
    assert len(found(rows)) == 4


def test_a_seed_rules_the_draw() -> None:
    problem = tiny_problem(stages=5)
    wanted = np.quantile(problem.costs[0].mean(all_rows(problem)), [0.5])
    one, again, *others = (
        sample_at_cost(problem, problem.costs[0], wanted, seed=s, draws=5000) for s in (1, 1, 2, 3, 4)
    )
    assert found(one) == found(again)
    assert any(found(one) != found(other) for other in others)


def test_every_network_near_the_cost_is_drawn_sooner_or_later() -> None:
    problem = tiny_problem()
    cost, rows = problem.costs[0], all_rows(problem)
    wanted = np.quantile(cost.mean(rows), [0.5])
    near = found(rows[np.abs(cost.mean(rows) / wanted - 1) <= 0.05])
    drawn = [sample_at_cost(problem, cost, wanted, seed=s, tolerance=0.05, draws=2000) for s in range(60)]
    assert len(near) > 1
    assert set().union(*map(found, drawn)) == near


def test_diverged_blocks_are_never_drawn() -> None:
    free = tiny_problem()
    qualities = (np.array([np.inf, 0.1, 0.2, np.inf]), *free.qualities[1:])
    problem = SearchProblem(free.space, qualities, free.predictor, free.costs)
    wanted = problem.costs[0].mean(all_rows(problem)[[17, 25, 40]])
    rows = sample_at_cost(problem, problem.costs[0], wanted, seed=0, tolerance=0.5, draws=2000)
    assert set(rows[:, 0].tolist()) <= {1, 2}


def test_excluded_networks_are_never_drawn_and_the_others_as_before() -> None:
    problem = tiny_problem(stages=5)
    cost = problem.costs[0]
    wanted = np.quantile(cost.mean(all_rows(problem)), [0.5])
    near = all_rows(problem)[np.abs(cost.mean(all_rows(problem)) / wanted - 1) <= 0.02]
    drawn = sample_at_cost(problem, cost, wanted, seed=1, draws=5000)
    others = near[(near != drawn).any(axis=1)]
    assert found(sample_at_cost(problem, cost, wanted, seed=1, excluded=others, draws=5000)) == found(drawn)
    assert found(sample_at_cost(problem, cost, wanted, seed=1, excluded=drawn, draws=5000)) <= found(others)
    with pytest.raises(InsufficientDataError):
        sample_at_cost(problem, cost, wanted, seed=1, excluded=near, draws=5000)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_cost_outside_the_space_has_no_random_network(factor: float) -> None:
    problem = tiny_problem()
    costs = problem.costs[0].mean(all_rows(problem))
    edge = costs.min() if factor < 1 else costs.max()
    with pytest.raises(InsufficientDataError, match="within 2%"):
        sample_at_cost(problem, problem.costs[0], np.array([edge * factor]), seed=0, draws=2000)
