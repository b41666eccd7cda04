"""Networks within the noise of a better one: against every pair compared by hand, and robust searches against the quantile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from tiny_search import all_rows, best, found, tiny_aim

from donna_hw._core.units import format_quantity
from donna_hw.costs.quantile import QuantileCost
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.measurement.intervals import Z90
from donna_hw.search import pareto_front
from donna_hw.search.pareto_front import build_front, within_noise
from donna_hw.search.problem import Constraint, SearchProblem


def noisy(aim: SearchProblem, scale: float, seed: int = 0) -> SearchProblem:
    """Return the aim with standard errors of very different sizes."""
    rng, costs = np.random.default_rng(seed), []
    for cost in aim.costs:
        assert isinstance(cost, TableCost)
        costs.append(
            replace(
                cost,
                errors=(
                    (tuple(scale * rng.uniform(0, 1, values.size) for values in cost.terms_by_setting[0].terms[0]),),
                ),
            )
        )
    return replace(aim, costs=costs)


def by_hand(aim: SearchProblem, rows: np.ndarray, accuracy: np.ndarray, std: np.ndarray) -> list[bool]:
    def worse(j: int, i: int) -> bool:
        """Whether j is significantly worse than i in anything."""
        if accuracy[i] - accuracy[j] > Z90 * np.hypot(std[i], std[j]):
            return True
        one, other = rows[[i]], rows[[j]]
        return any(
            cost.mean(other)[0] - cost.mean(one)[0] > Z90 * cost.std_of_difference(other, one)[0] for cost in aim.costs
        )

    return [any(j != i and not worse(j, i) for j in range(len(rows))) for i in range(len(rows))]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 2), st.sampled_from([0.0, 1e-5, 1e-4, 1e-3]), st.floats(0.01, 1))
def test_the_marked_are_those_of_every_pair_compared(seed: int, costs: int, scale: float, std: float) -> None:
    aim = noisy(tiny_aim(seed, costs=costs), scale, seed)
    front = build_front(aim, all_rows(aim), evaluations=64)
    stds = np.full(len(front), std)
    marked = within_noise(front.rows, front.accuracy, stds, aim.costs)
    assert marked.tolist() == by_hand(aim, front.rows, front.accuracy, stds)


def test_pairs_compared_in_many_portions_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    aim = noisy(tiny_aim(costs=2), 1e-4)
    front = build_front(aim, all_rows(aim), evaluations=64)
    assert front.within_noise.any()
    monkeypatch.setattr(pareto_front, "PAIRS", 3)
    again = within_noise(front.rows, front.accuracy, front.accuracy_std, aim.costs)
    assert again.tolist() == front.within_noise.tolist()


def test_without_noise_none_is_marked_and_in_endless_noise_all_are() -> None:
    aim = tiny_aim()
    front = build_front(aim, all_rows(aim), evaluations=64)
    exact = noisy(aim, 0.0)
    assert not within_noise(front.rows, front.accuracy, np.zeros(len(front)), exact.costs).any()
    assert within_noise(front.rows, front.accuracy, np.full(len(front), 1e6), noisy(aim, 1e3).costs).all()
    assert not within_noise(front.rows[:1], front.accuracy[:1], np.ones(1), aim.costs).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.51, 0.999))
def test_a_robust_cost_is_the_quantile_and_keeps_its_deviation(seed: int, quantile: float) -> None:
    aim = noisy(tiny_aim(seed), 1e-4, seed)
    cost, rows = aim.costs[0], all_rows(aim)
    robust = QuantileCost(cost, quantile)
    np.testing.assert_allclose(norm.cdf(robust.mean(rows), cost.mean(rows), cost.std(rows)), quantile, rtol=1e-9)
    np.testing.assert_array_equal(robust.std(rows), cost.std(rows))
    np.testing.assert_array_equal(robust.std_of_difference(rows, rows[::-1]), cost.std_of_difference(rows, rows[::-1]))
    assert robust.additive_terms() is None
    assert robust.unit == cost.unit


def test_a_robust_front_is_that_of_the_quantiles_and_its_limit_holds_there() -> None:
    aim = noisy(tiny_aim(), 1e-3, seed=1)
    robust = QuantileCost(aim.costs[0], 0.9)
    limit = float(np.quantile(robust.mean(all_rows(aim)), 0.4))
    wary = replace(aim, costs=[robust], constraints=[Constraint(robust, limit)])
    front = build_front(wary, all_rows(aim), evaluations=64)
    assert found(front.rows) == best(wary) != best(aim)
    assert (aim.costs[0].mean(front.rows) + norm.ppf(0.9) * aim.costs[0].std(front.rows) <= limit).all()
    assert list(front.costs) == ["chip_q90"]
    assert "chip_q90_s" in front.to_frame().columns


@pytest.mark.parametrize("quantile", [0.5, 1.0, 0.1, 90, float("nan")])
def test_a_quantile_that_is_none_above_the_middle_is_refused(quantile: float) -> None:
    with pytest.raises(ConfigError, match=r"above 0\.5 and below 1"):
        QuantileCost(tiny_aim().costs[0], quantile)


def lowest_of(aim: SearchProblem) -> float:
    return float(aim.costs[0].mean(all_rows(aim)[aim.usable(all_rows(aim))]).min())


def test_a_limit_out_of_reach_is_named_with_the_lowest_of_all_networks_though_few_were_looked_at() -> None:
    free = tiny_aim(costs=2)
    qualities = (np.where(np.arange(4) == free.costs[0].parts().terms[0][0].argmin(), np.inf, 0.5), *free.qualities[1:])
    aim = replace(free, qualities=qualities)
    cheap = lowest_of(aim)
    limited = replace(aim, limits=[Constraint(aim.costs[1], 1e12), Constraint(aim.costs[0], cheap * 0.99)])
    with pytest.raises(InsufficientDataError) as caught:
        build_front(limited, all_rows(aim)[-3:], evaluations=3)
    assert f"the limit chip {format_quantity(cheap * 0.99, 's')} must be within reach" in str(caught.value)
    assert f"the lowest of all networks is chip {format_quantity(cheap, 's')}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_limits_that_only_together_are_out_of_reach_say_so_with_the_nearest() -> None:
    aim = tiny_aim(costs=2)
    rows = all_rows(aim)
    limits = [Constraint(cost, float(cost.mean(rows).min() * 1.0001)) for cost in aim.costs]
    limited = replace(aim, limits=limits)
    with pytest.raises(InsufficientDataError) as caught:
        build_front(limited, rows, evaluations=64)
    nearest = rows[[int(limited.violations(rows).max(axis=1).argmin())]]
    assert "each limit can be reached alone" in str(caught.value)
    for cost in aim.costs:
        assert f"{cost.name} {format_quantity(cost.mean(nearest)[0], cost.unit)}" in str(caught.value)


def test_the_lowest_of_a_cost_that_is_no_sum_is_that_of_those_looked_at() -> None:
    aim = noisy(tiny_aim(), 1e-4)
    robust, rows = QuantileCost(aim.costs[0], 0.9), all_rows(aim)[:10]
    with pytest.raises(InsufficientDataError, match="the lowest of 10 networks looked at is chip_q90") as caught:
        build_front(replace(aim, costs=[robust], constraints=[Constraint(robust, 1e-6)]), rows, evaluations=10)
    assert format_quantity(robust.mean(rows).min(), "s") in str(caught.value)


def test_a_stage_without_a_trained_block_is_named() -> None:
    aim = tiny_aim()
    with pytest.raises(InsufficientDataError, match="every stage needs a trained block; found 'none in s1'"):
        build_front(replace(aim, qualities=(aim.qualities[0], np.full(4, np.inf), aim.qualities[2])), all_rows(aim), 64)
