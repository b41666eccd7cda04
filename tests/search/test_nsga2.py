"""NSGA-II on spaces small enough to know the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_search import all_rows, best, found, tiny_problem

from donna_hw._core.units import format_quantity
from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.search.nsga2 import nsga2
from donna_hw.search.pareto_front import build_front
from donna_hw.search.problem import Constraint, SearchProblem


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 2))
def test_the_front_of_all_networks_is_the_compared_one(seed: int, costs: int) -> None:
    problem = tiny_problem(seed, costs=costs)
    assert found(build_front(problem, all_rows(problem), evaluations=64).rows) == best(problem)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("costs", [1, 2])
def test_many_more_samples_than_networks_find_the_whole_front(seed: int, costs: int) -> None:
    problem = tiny_problem(seed, costs=costs)
    assert found(nsga2(problem, samples=1000, population=20, seed=seed).rows) == best(problem)


def test_few_samples_give_the_best_of_what_was_looked_at() -> None:
    problem = tiny_problem(stages=5)
    front = nsga2(problem, samples=100, population=10)
    assert len(best(problem) & found(front.rows)) > 0
    points = problem.objectives(front.rows)
    for i, point in enumerate(points):
        assert not any((np.delete(points, i, 0) <= point).all(axis=1))
    assert not front.exact


@pytest.mark.parametrize(("samples", "population"), [(100, 20), (2500, 50), (100, 30), (8, 4), (50, 50), (53, 50)])
def test_exactly_as_many_networks_are_looked_at_as_asked(samples: int, population: int) -> None:
    assert nsga2(tiny_problem(stages=6), samples, population).evaluations == samples


def test_a_seed_gives_the_same_front_and_another_seed_another_search() -> None:
    problem = tiny_problem(stages=6)
    one, again, other = (nsga2(problem, 60, 10, seed) for seed in (1, 1, 2))
    assert one.to_frame().equals(again.to_frame())
    assert not one.to_frame().equals(other.to_frame())


def test_limits_are_respected_and_the_front_within_them_is_complete() -> None:
    free = tiny_problem(costs=2)
    limits = {cost.name: float(np.quantile(cost.mean(all_rows(free)), 0.4)) for cost in free.costs}
    limited = [Constraint(cost, limits[cost.name]) for cost in free.costs]
    problem = SearchProblem(free.space, free.qualities, free.predictor, free.costs, limited)
    front = nsga2(problem, 1000, 20)
    assert found(front.rows) == best(problem) != best(free)
    for name, limit in limits.items():
        assert (front.costs[name] <= limit).all()


def test_a_limit_below_the_cheapest_network_is_one_line_with_what_was_reached() -> None:
    free = tiny_problem()
    cheapest = free.costs[0].mean(all_rows(free)).min()
    with pytest.raises(InsufficientDataError) as caught:
        nsga2(
            SearchProblem(
                free.space, free.qualities, free.predictor, free.costs, [Constraint(free.costs[0], cheapest * 0.9)]
            ),
            1000,
            20,
        )
    assert f"chip {format_quantity(cheapest, 's')}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(3))
def test_diverged_blocks_are_never_in_the_front(seed: int) -> None:
    free = tiny_problem(seed, costs=2)
    qualities = tuple(values.copy() for values in free.qualities)
    for stage, number in ((0, 1), (1, 0), (1, 3), (2, 2)):
        qualities[stage][number] = np.inf
    problem = SearchProblem(free.space, qualities, free.predictor, free.costs)
    front = nsga2(problem, 1000, 20, seed)
    assert found(front.rows) == best(problem)
    assert problem.usable(front.rows).all()


def test_a_space_of_diverged_blocks_only_has_nothing_to_search() -> None:
    free = tiny_problem()
    qualities = (np.full(4, np.inf), *free.qualities[1:])
    with pytest.raises(InsufficientDataError, match=r"^[^\n]*$"):
        nsga2(SearchProblem(free.space, qualities, free.predictor, free.costs), 40, 20)


def test_a_search_needs_a_cost() -> None:
    free = tiny_problem()
    with pytest.raises(ConfigError, match="at least one cost"):
        SearchProblem(free.space, free.qualities, free.predictor, [])


@pytest.mark.parametrize(
    ("samples", "population", "says"),
    [
        (3, 4, "samples must be at least the population of 4; got 3"),
        (10, 3, "population must be at least 4; got 3"),
        (19, 20, "samples must be at least the population of 20; got 19"),
    ],
)
def test_samples_below_the_population_are_refused(samples: int, population: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        nsga2(tiny_problem(), samples, population)
