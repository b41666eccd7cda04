"""Costs of several devices: against each device's own, and their parts against their means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_search import all_rows, best, found, table_cost, tiny_problem, tiny_space, with_errors

from donna_hw.costs.base import CostModel
from donna_hw.costs.multi_device import MaxCost, WeightedSumCost
from donna_hw.costs.quantile import QuantileCost
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import ConfigError
from donna_hw.search.pareto_front import build_front

SPACE = tiny_space()
ROWS = SPACE.random_rows(64, 0)
OTHERS = ROWS[::-1]


def devices(seed: int, count: int = 3) -> tuple[TableCost, ...]:
    rng = np.random.default_rng(seed)
    models = (table_cost(SPACE, f"d{i}", "s", rng) for i in range(count))
    return tuple(with_errors(m, [rng.uniform(0, 1e-5, 4) for _ in range(3)]) for m in models)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_the_worst_case_is_the_largest_and_its_parts_join_to_it_exactly(seed: int, count: int) -> None:
    costs = devices(seed, count)
    worst = MaxCost("worst", costs)
    means = np.stack([cost.mean(ROWS) for cost in costs])
    np.testing.assert_array_equal(worst.mean(ROWS), means.max(axis=0))
    assert worst.unit == "s"
    parts = worst.additive_terms()
    assert parts is not None
    np.testing.assert_allclose(parts.combine(parts.sums(ROWS)), worst.mean(ROWS), rtol=1e-12)


def test_the_worst_case_has_the_deviation_of_the_device_that_is_the_worst() -> None:
    costs = devices(1, 2)
    worst = MaxCost("worst", costs)
    which = np.stack([cost.mean(ROWS) for cost in costs]).argmax(axis=0)
    assert set(which) == {0, 1}
    stds = np.stack([cost.std(ROWS) for cost in costs])
    np.testing.assert_array_equal(worst.std(ROWS), np.where(which == 0, stds[0], stds[1]))
    assert (worst.std_of_difference(ROWS, ROWS) == 0).all()
    same = which == which[::-1]
    own = np.stack([cost.std_of_difference(ROWS, OTHERS) for cost in costs])
    expected = np.where(same, np.where(which == 0, own[0], own[1]), np.hypot(worst.std(ROWS), worst.std(OTHERS)))
    np.testing.assert_allclose(worst.std_of_difference(ROWS, OTHERS), expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.floats(0.01, 10), min_size=2, max_size=4))
def test_a_weighted_sum_adds_means_variances_and_parts(seed: int, weights: list[float]) -> None:
    costs = devices(seed, len(weights))
    total = WeightedSumCost("sum", costs, tuple(weights))
    pairs = list(zip(weights, costs, strict=True))
    np.testing.assert_allclose(total.mean(ROWS), sum(w * c.mean(ROWS) for w, c in pairs))
    np.testing.assert_allclose(total.std(ROWS) ** 2, sum(w**2 * c.std(ROWS) ** 2 for w, c in pairs))
    difference = sum(w**2 * c.std_of_difference(ROWS, OTHERS) ** 2 for w, c in pairs)
    np.testing.assert_allclose(total.std_of_difference(ROWS, OTHERS) ** 2, difference, atol=1e-25)
    parts = total.additive_terms()
    assert parts is not None
    assert len(parts.terms) == 1
    np.testing.assert_allclose(parts.combine(parts.sums(ROWS)), total.mean(ROWS), rtol=1e-12)


def test_a_cost_that_is_no_sum_leaves_no_parts() -> None:
    costs: tuple[CostModel, ...] = (devices(0)[0], QuantileCost(devices(0)[1], 0.9))
    assert MaxCost("worst", costs).additive_terms() is None
    assert WeightedSumCost("sum", costs, (1.0, 1.0)).additive_terms() is None
    smooth = MaxCost("worst", (devices(0)[0], MaxCost("inner", devices(1, 2))))
    assert smooth.additive_terms() is None


def test_one_device_different_units_or_a_weight_of_nothing_are_refused() -> None:
    one = devices(0)[0]
    for bad in ((one,), (one, replace(one, unit="J"))):
        with pytest.raises(ConfigError, match="only two or more costs of the same unit can be combined"):
            MaxCost("worst", bad)
    with pytest.raises(ConfigError, match="above zero; got 0"):
        WeightedSumCost("sum", (one, one), (1.0, 0.0))


def test_a_front_of_the_worst_case_is_the_compared_one() -> None:
    problem = replace(tiny_problem(), costs=[MaxCost("worst", devices(5))])
    assert found(build_front(problem, all_rows(problem), evaluations=64).rows) == best(problem)
