"""The exact second-order front against every network, one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.predictors.factory import fit_predictor
from donna_hw.predictors.quadratic import Quadratic
from donna_hw.search.branch_and_bound import Front, second_order_front
from donna_hw.search.branch_and_bound_bounds import GRID_PERCENT

Costs = tuple[np.ndarray, ...]
Problem = tuple[Quadratic, Costs]


def every_network(quadratic: Quadratic, costs: Costs, highest: int | None = None) -> list[tuple[int, int]]:
    """Brute force: (cost, accuracy in steps of the grid) of the front, each network compared with those that cost no more."""
    rows = np.array(list(product(*(range(len(values)) for values in costs))))
    cost = sum(values[rows[:, i]] for i, values in enumerate(costs))
    steps = np.rint(quadratic(rows) / GRID_PERCENT)
    points = {(int(c), int(s)) for c, s in zip(cost, steps, strict=True) if np.isfinite(s)}
    points = {point for point in points if highest is None or point[0] <= highest}
    return sorted(p for p in points if not any(o != p and o[0] <= p[0] and o[1] >= p[1] for o in points))


def points_of(front: Front) -> list[tuple[int, int]]:
    steps = np.rint(front.accuracy / GRID_PERCENT)
    return [(int(c), int(s)) for c, s in zip(front.cost, steps, strict=True)]


def assert_exact(quadratic: Quadratic, costs: Costs, highest: int | None = None) -> None:
    front = second_order_front(quadratic, costs, highest)
    assert points_of(front) == every_network(quadratic, costs, highest)
    np.testing.assert_array_equal(sum(values[front.rows[:, i]] for i, values in enumerate(costs)), front.cost)
    np.testing.assert_allclose(quadratic(front.rows), front.accuracy, rtol=0, atol=GRID_PERCENT)


def drawn(seed: int, sizes: list[int], *, coarse: bool = False, diverged: bool = False) -> Problem:
    """A problem of random numbers; coarse: few values, so that many networks are equal in cost, in accuracy or in both."""
    rng = np.random.default_rng(seed)

    def numbers(shape: int | tuple[int, int], high: float) -> np.ndarray:
        return rng.integers(0, 4, shape) * (high / 4) if coarse else rng.uniform(0, high, shape)

    t = tuple(numbers(size, 3.0) for size in sizes)
    linear = tuple(numbers(size, 2.0) - 1.0 for size in sizes)
    if diverged:
        linear = tuple(np.where(np.arange(len(one)) == rng.integers(len(one) + 1), -np.inf, one) for one in linear)
    if not all(np.isfinite(one).any() for one in linear):
        linear = tuple(np.where(np.isfinite(one), one, 0.0) for one in linear)
    half = np.triu(numbers((len(sizes), len(sizes)), 1.0), 1)
    costs = tuple(rng.integers(1, 4 if coarse else 10**10, size) for size in sizes)
    return Quadratic(t=t, linear=linear, interactions=half + half.T, intercept=70.0), costs


SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31), SIZES, st.booleans(), st.booleans(), st.none() | st.floats(0, 1))
def test_the_front_is_that_of_every_network(
    seed: int, sizes: list[int], coarse: bool, diverged: bool, limited: float | None
) -> None:
    quadratic, costs = drawn(seed, sizes, coarse=coarse, diverged=diverged)
    usable = [values[np.isfinite(one)] for values, one in zip(costs, quadratic.linear, strict=True)]
    least, most = sum(int(v.min()) for v in usable), sum(int(v.max()) for v in usable)
    assert_exact(quadratic, costs, None if limited is None else round(least + limited * (most - least)))


@pytest.mark.parametrize("seed", range(6))
def test_the_front_of_larger_spaces_is_that_of_every_network(seed: int) -> None:
    """Costs rise with the accuracy here, so that no block is dropped at once and the boxes hold many ways to finish."""
    rng = np.random.default_rng(seed)
    (quadratic, costs), sizes = drawn(seed, [9] * 5), [9] * 5
    t = tuple(np.sort(one) for one in quadratic.t)
    linear = tuple(rng.uniform(0, 1) * one for one in t)
    rising = Quadratic(linear, t, quadratic.interactions, 70.0)
    costs = tuple(np.sort(values) for values in costs)
    rows = np.stack(np.unravel_index(np.arange(9**5), sizes), axis=1)
    cost, steps = sum(values[rows[:, i]] for i, values in enumerate(costs)), np.rint(rising(rows) / GRID_PERCENT)
    order = np.lexsort((-steps, cost))
    before = np.concatenate([[-np.inf], np.maximum.accumulate(steps[order])[:-1]])
    best = order[steps[order] > before]
    front = second_order_front(rising, costs)
    assert points_of(front) == [(int(cost[i]), int(steps[i])) for i in best]


@pytest.mark.parametrize("seed", range(4))
def test_a_fitted_predictor_is_searched_exactly(seed: int) -> None:
    """From qualities to the front, diverged blocks included, by the predictor itself."""
    rng = np.random.default_rng(seed)
    library = rng.uniform(0.01, 1.0, (25, 3))
    top1 = 60 - np.log(library) @ [1, 2, 3] + np.log(library[:, 0]) * np.log(library[:, 2]) + rng.normal(size=25)
    predictor = fit_predictor(library, top1, "ridge2_monotone")
    qualities = [np.where(rng.uniform(size=5) < 0.2, np.inf, rng.uniform(0.0, 1.5, 5)) for _ in range(3)]
    for values in qualities:
        values[0] = 0.5
    quadratic = predictor.quadratic(qualities)
    assert quadratic is not None
    costs = tuple(rng.integers(1, 30, 5) for _ in range(3))
    assert_exact(quadratic, costs)
    front = second_order_front(quadratic, costs)
    picked = np.stack([values[front.rows[:, i]] for i, values in enumerate(qualities)], axis=1)
    np.testing.assert_allclose(predictor(picked)[0], front.accuracy, rtol=0, atol=GRID_PERCENT)


def test_without_interactions_every_block_counts_by_itself() -> None:
    """Closed form: each stage sells one unit of accuracy for a price of its own, so the front buys the cheapest first."""
    linear = tuple(np.array([0.0, 1.0]) for _ in range(3))
    costs = (np.array([0, 5]), np.array([0, 1]), np.array([0, 3]))
    front = second_order_front(Quadratic(linear, linear, np.zeros((3, 3)), 70.0), costs)
    assert points_of(front) == [
        (cost, round(accuracy / GRID_PERCENT)) for cost, accuracy in zip((0, 1, 4, 9), (70, 71, 72, 73), strict=True)
    ]
    assert front.rows.tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 1], [1, 1, 1]]


def test_equal_networks_are_one_point_of_the_front() -> None:
    same = (np.full(4, 0.5),) * 3
    front = second_order_front(Quadratic(same, same, 1.0 - np.eye(3), 0.0), (np.full(4, 7),) * 3)
    assert points_of(front) == [(21, round((1.5 + 0.75) / GRID_PERCENT))]


def test_a_limit_that_no_network_keeps_is_named_with_the_least_that_one_can() -> None:
    quadratic, costs = drawn(0, [3, 3])
    least = sum(int(values.min()) for values in costs)
    assert points_of(second_order_front(quadratic, costs, least))[0][0] == least
    with pytest.raises(
        InsufficientDataError,
        match=f"no network satisfies the constraint; got {least - 1}; raise it to {least} or more",
    ):
        second_order_front(quadratic, costs, least - 1)


def test_a_stage_without_a_usable_block_is_named() -> None:
    quadratic, costs = drawn(0, [3, 3])
    broken = replace(quadratic, linear=(quadratic.linear[0], np.full(3, -np.inf)))
    with pytest.raises(InsufficientDataError, match="stage 1 has no usable block"):
        second_order_front(broken, costs)


def test_terms_that_are_no_such_numbers_are_refused() -> None:
    quadratic, costs = drawn(0, [3, 3])
    negative = tuple(-1.0 - values for values in quadratic.t)
    for wrong, rule in (
        ((replace(quadratic, t=negative), costs), "every t"),
        ((replace(quadratic, interactions=-quadratic.interactions), costs), "interactions"),
        ((replace(quadratic, interactions=np.triu(quadratic.interactions)), costs), "symmetric"),
        ((replace(quadratic, linear=(np.full(3, np.nan), quadratic.linear[1])), costs), "linear terms"),
        ((quadratic, tuple(values / 3 for values in costs)), "costs must be integers"),
        ((quadratic, (costs[0][:2], costs[1])), "one cost"),
    ):
        with pytest.raises(ConfigError, match=rule):
            second_order_front(*wrong)
