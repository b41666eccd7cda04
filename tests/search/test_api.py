"""Which search is used, the random one, a thinned front, and section E's arithmetic."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_search import all_rows, best, found, tiny_problem

from donna_hw.costs.quantile import QuantileCost
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.experiments import search_cost as arithmetic
from donna_hw.search import api
from donna_hw.search.api import SearchSettings, search
from donna_hw.search.exact_search import exact_search_obstacle
from donna_hw.search.optimality_gap import nearest_exact_problem
from donna_hw.search.pareto_front import build_front, select_diverse
from donna_hw.search.random_search import random_front


def test_an_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown search method 'luck'; expected auto, exact, nsga2 or random"):
        SearchSettings("luck")


def test_the_command_line_offers_every_method() -> None:
    from donna_hw.cli.search import search as command

    [option] = [parameter for parameter in command.params if parameter.name == "method"]
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == api.METHODS


@pytest.mark.parametrize("method", ["auto", "nsga2", "random"])
def test_every_method_finds_the_front_of_a_space_that_it_looks_at_whole(method: str) -> None:
    problem = tiny_problem(costs=2)
    assert found(search(problem, SearchSettings(method, samples=1000, population=20)).rows) == best(problem)


def test_auto_is_exact_where_that_is_possible() -> None:
    problem = tiny_problem(costs=2)
    assert search(problem, SearchSettings(samples=1000, population=20)).exact == (
        exact_search_obstacle(problem) is None
    )


def test_a_robust_search_is_no_exact_one_and_says_why() -> None:
    problem = tiny_problem()
    problem = replace(problem, costs=[QuantileCost(problem.costs[0], 0.9)])
    with pytest.raises(ConfigError, match="no exact search is possible: chip_q90 is no sum over blocks"):
        search(problem, SearchSettings("exact"))
    front = search(problem, SearchSettings("auto", samples=400, population=20))
    assert not front.exact
    assert found(front.rows) == best(problem)


def test_the_nearest_sums_of_a_robust_problem_are_its_means() -> None:
    problem = tiny_problem(costs=2)
    near = nearest_exact_problem(replace(problem, costs=[QuantileCost(problem.costs[0], 0.9), problem.costs[1]]))
    assert near is not None
    assert list(near.costs) == list(problem.costs)


def test_a_random_search_looks_at_as_many_as_asked_and_gives_the_front_of_them() -> None:
    problem = tiny_problem(stages=5)
    front = random_front(problem, 100, seed=3)
    assert front.evaluations == 100
    assert not front.exact
    rows = problem.space.random_rows(100, 3)
    assert found(front.rows) == found(build_front(problem, rows, 100).rows)
    assert random_front(tiny_problem(), 1000).evaluations == 64
    assert not random_front(problem, 100, seed=4).to_frame().equals(front.to_frame())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.99))
def test_no_two_of_a_diverse_front_share_more_and_each_one_left_out_would(seed: int, share: float) -> None:
    problem = tiny_problem(seed, costs=2, stages=5)
    front = build_front(problem, all_rows(problem), evaluations=1024)
    thin = select_diverse(front, share)
    assert not thin.exact
    assert found(thin.rows) <= found(front.rows)
    assert thin.accuracy.max() == front.accuracy.max()
    equal = (thin.rows[:, None] == thin.rows[None]).mean(axis=2)
    assert (equal[~np.eye(len(thin), dtype=bool)] <= share + 1e-9).all()
    for row, accuracy in zip(front.rows, front.accuracy, strict=True):
        near = (thin.rows == row).mean(axis=1) > share
        assert near.any(), "it could have been kept"
        assert thin.accuracy[near].max() >= accuracy
    assert select_diverse(thin, share).rows.tolist() == thin.rows.tolist()


def test_a_share_that_two_networks_have_exactly_is_allowed() -> None:
    problem = tiny_problem(costs=2, stages=5)
    front = build_front(problem, all_rows(problem), evaluations=1024)
    thin = select_diverse(front, 0.6).rows
    equal = (thin[:, None] == thin[None]).sum(axis=2)
    assert 3 in equal


@pytest.mark.parametrize("share", [-0.1, 1.0, 60, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    problem = tiny_problem()
    with pytest.raises(ConfigError, match="from 0 to below 1"):
        select_diverse(build_front(problem, all_rows(problem), 64), share)


def test_the_numbers_of_section_e() -> None:
    # "2% of the randomly sampled architectures will have an accuracy exceeding 77.6%", of mean 76.2 % and deviation 0.7 %
    share = arithmetic.share_exceeding(77.6, 76.2, 0.7)
    assert round(share, 2) == 0.02
    # "training 100 architectures for 450 epochs (45000 epochs in total) will likely yield 2 networks"
    assert arithmetic.random_epochs(100) == 45_000
    assert round(100 * share) == 2
    # "after building the accuracy predictor in 1500 epochs ... in just 50 epochs"; "close to a 900x advantage if the start up is ignored"
    assert arithmetic.donna_epochs() == 1_550
    assert arithmetic.epoch_ratio(100, start_up=0) == 900
    assert arithmetic.epoch_ratio(100) == pytest.approx(45_000 / 1_550)


def test_the_advantage_grows_to_that_without_the_start() -> None:
    found = [arithmetic.epoch_ratio(100, targets, platforms=4) for targets in (1, 10, 100, 10_000)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(900, rel=1e-3)


@settings(deadline=None)
@given(st.integers(1, 1000), st.integers(1, 50), st.integers(1, 50))
def test_both_costs_scale_with_targets_and_platforms(networks: int, targets: int, platforms: int) -> None:
    assert arithmetic.random_epochs(networks, targets, platforms) == networks * 450 * targets * platforms
    assert arithmetic.donna_epochs(targets, platforms) == 1500 + 50 * targets * platforms


@settings(deadline=None)
@given(st.floats(0.01, 0.9), st.floats(0.1, 0.99))
def test_networks_needed_are_the_fewest_by_the_binomial(share: float, certainty: float) -> None:
    count = arithmetic.networks_needed(share, certainty)

    def at_least_one(n: int) -> float:
        return sum(comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(1, n + 1))

    assert at_least_one(count) >= certainty - 1e-9
    assert count == 1 or at_least_one(count - 1) < certainty + 1e-9


def test_a_count_below_one_and_accuracies_without_spread_are_refused() -> None:
    for call in (lambda: arithmetic.random_epochs(0), lambda: arithmetic.donna_epochs(1, 0)):
        with pytest.raises(ConfigError, match="got 0"):
            call()
    with pytest.raises(ConfigError, match=r"standard deviation of .* must be above 0; got 0"):
        arithmetic.share_exceeding(77, 76, 0)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        arithmetic.networks_needed(1.0)
