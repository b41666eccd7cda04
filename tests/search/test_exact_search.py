"""The exact front against every network compared with every other: ties, limits, floors, settings, diverged blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_search import Sum, all_rows, best, tiny_problem, tiny_space

from donna_hw.costs.base import CostTerms
from donna_hw.costs.multi_device import MaxCost
from donna_hw.costs.quantile import QuantileCost
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.predictors.factory import fit_predictor
from donna_hw.search.exact_search import exact_front, exact_search_obstacle
from donna_hw.search.nsga2 import nsga2
from donna_hw.search.problem import Constraint, SearchProblem
from donna_hw.spaces.stage import Axis


def coarse_cost(
    name: str, unit: str, seed: int, *, parts: int = 1, sharpness: float | None = None, values: int = 6
) -> TableCost:
    """Return a cost of few different whole values, so that ties are many."""
    rng, step = np.random.default_rng(seed), {"s": 1e-6, "MAC": 1.0, "parameter": 1.0}[unit]
    terms = tuple(tuple(rng.integers(1, values, 4) * step for _ in range(3)) for _ in range(parts))
    errors = tuple(tuple(np.zeros(4) for _ in range(3)) for _ in range(parts))
    return TableCost(name, unit, (CostTerms(terms, (2 * step,) * parts, sharpness),), (errors,), np.zeros((1, parts)))


def coarse_problem(seed: int, costs: list[TableCost], limits: list[Constraint] | None = None) -> SearchProblem:
    rng = np.random.default_rng(seed)
    return SearchProblem(tiny_space(), tuple(rng.integers(1, 5, 4) / 8 for _ in range(3)), Sum(), costs, limits or [])


def compared(problem: SearchProblem) -> dict[tuple[float, ...], int]:
    """Return the vectors of the front, on the grids, and how many networks have each: by comparing all with all."""
    rows = all_rows(problem)
    rows = rows[(problem.violations(rows) <= 1e-9).all(axis=1)]
    points = [
        tuple(point)
        for point in np.round(
            problem.objectives(rows) / [1e-9, *({"s": 1e-12}.get(c.unit, 1.0) for c in problem.costs)]
        )
    ]
    undominated = [
        p for p in set(points) if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points)
    ]
    return {point: Counter(points)[point] for point in undominated}


def found(problem: SearchProblem) -> dict[tuple[float, ...], int]:
    front = exact_front(problem)
    assert front.exact
    assert front.multiplicity is not None
    points = np.round(problem.objectives(front.rows) / [1e-9, *({"s": 1e-12}.get(c.unit, 1.0) for c in problem.costs)])
    assert (np.diff(problem.costs[0].mean(front.rows)) >= -1e-15).all()
    return {tuple(point): int(count) for point, count in zip(points, front.multiplicity, strict=True)}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(3, 40))
def test_the_front_and_its_equals_are_the_compared_ones(seed: int, costs: int, values: int) -> None:
    units = ["s", "MAC", "parameter"]
    problem = coarse_problem(seed, [coarse_cost(units[i], units[i], seed + i, values=values) for i in range(costs)])
    assert found(problem) == compared(problem)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.9), st.booleans())
def test_limits_on_costs_or_on_others_are_kept(seed: int, share: float, other: bool) -> None:
    cost, limited = coarse_cost("chip", "s", seed), coarse_cost("macs", "MAC", seed + 1)
    on = limited if other else cost
    problem = coarse_problem(seed, [cost])
    highest = float(np.quantile(on.mean(all_rows(problem)), share))
    problem = replace(problem, constraints=[Constraint(on, highest)])
    truth = compared(problem)
    front = found(problem)
    assert front.keys() == truth.keys()
    assert all(1 <= front[point] <= truth[point] for point in truth)  # equal in the limit's cost too


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(2, 40), st.booleans())
@example(seed=882, sharpness=8.0, limited=True)  # a network exactly at the limit, between two points of the grid
def test_a_launch_floor_has_its_parts_as_dimensions(seed: int, sharpness: float, limited: bool) -> None:
    cost = coarse_cost("chip", "s", seed, parts=2, sharpness=sharpness)
    problem = coarse_problem(seed, [cost])
    if limited:
        problem = replace(
            problem, constraints=[Constraint(cost, float(np.quantile(cost.mean(all_rows(problem)), 0.4)))]
        )
    assert found(problem).keys() == compared(problem).keys()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_diverged_blocks_are_never_in_it(seed: int) -> None:
    problem = coarse_problem(seed, [coarse_cost("chip", "s", seed)])
    qualities = tuple(values.copy() for values in problem.qualities)
    qualities[0][1] = qualities[2][3] = np.inf
    broken = replace(problem, qualities=qualities)
    assert found(broken) == compared(broken)
    with pytest.raises(InsufficientDataError):
        exact_front(replace(problem, qualities=(np.full(4, np.inf), *problem.qualities[1:])))


@dataclass(frozen=True)
class Sized:
    """A cost that grows with the images."""

    base: TableCost
    name: str = "chip"
    unit: str = "s"

    def mean(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.base.mean(rows) * (1 + rows[:, 3]))

    def std(self, rows: np.ndarray) -> np.ndarray:
        return 0 * self.mean(rows)

    def std_of_difference(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 0 * self.mean(a)

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms:
        scale, parts = 1 + settings[0], self.base.additive_terms()
        return CostTerms(
            tuple(tuple(v * scale for v in term) for term in parts.terms), tuple(c * scale for c in parts.constants)
        )


def test_every_setting_of_the_global_axes_is_searched() -> None:
    cost = Sized(coarse_cost("chip", "s", 0))
    problem = coarse_problem(0, [coarse_cost("chip", "s", 0)])
    wide = replace(problem.space, global_axes=(Axis("resolution", (4, 8)),))
    problem = replace(problem, space=wide, costs=[cost])
    front = exact_front(problem)
    assert front.rows.shape[1] == 4
    assert (front.rows[:, 3] == 0).all()  # the smaller images cost less and, in this predictor, lose nothing


def test_why_a_front_cannot_be_exact_is_said() -> None:
    problem = tiny_problem(costs=2)
    assert exact_search_obstacle(problem) is None
    robust = replace(problem, costs=[QuantileCost(problem.costs[0], 0.9)])
    assert "is no sum over blocks" in str(exact_search_obstacle(robust))
    with pytest.raises(ConfigError, match="no exact search is possible: chip_q90 is no sum over blocks"):
        exact_front(robust)
    many = [coarse_cost(f"c{i}", "s", i) for i in range(5)]
    assert exact_search_obstacle(replace(problem, costs=many)) == "6 dimensions of dominance; at most 5 are searched"


def test_no_search_by_samples_finds_better() -> None:
    problem = tiny_problem(3, stages=6, costs=1)
    exact, sampled = exact_front(problem), nsga2(problem, 600, 20)
    for accuracy, cost in zip(sampled.accuracy, sampled.costs["chip"], strict=True):
        assert (exact.accuracy[exact.costs["chip"] <= cost * (1 + 1e-9)] >= accuracy - 1e-6).any()


@pytest.mark.parametrize("shift", [0.0, 1e-3, 100.0])
def test_scores_of_either_sign_give_the_same_front(shift: float) -> None:
    class Shifted(Sum):
        def scores(self, qualities: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
            return tuple(shift - values for values in qualities)

    problem = coarse_problem(1, [coarse_cost("chip", "s", 1)])
    assert found(replace(problem, predictor=Shifted())) == compared(problem)


def test_the_predictor_that_runs_fit_has_the_compared_front() -> None:
    rng = np.random.default_rng(0)
    seen = rng.uniform(0.01, 0.9, (30, 3))
    predictor = fit_predictor(seen, 70 - 3 * np.log(seen).sum(axis=1) + rng.normal(0, 0.1, 30))
    problem = replace(
        coarse_problem(2, [coarse_cost("chip", "s", 2), coarse_cost("macs", "MAC", 3)]), predictor=predictor
    )
    assert found(problem).keys() == compared(problem).keys()


def test_macs_that_a_correction_scaled_are_not_rounded_away() -> None:
    problem = tiny_problem(5, costs=2)  # both costs a ten-thousandth to a thousandth of their unit
    assert {tuple(row) for row in exact_front(problem).rows.tolist()} == best(problem)


def test_the_tighter_of_two_limits_on_a_cost_holds() -> None:
    problem = coarse_problem(0, [coarse_cost("chip", "s", 0)])
    tight, loose = np.quantile(problem.costs[0].mean(all_rows(problem)), [0.3, 0.8])
    for limits in ([tight, loose], [loose, tight]):
        front = exact_front(
            replace(problem, constraints=[Constraint(problem.costs[0], float(limit)) for limit in limits])
        )
        assert (front.costs["chip"] <= tight + 1e-12).all()


def test_a_limit_that_all_networks_meet_changes_no_count() -> None:
    problem = coarse_problem(4, [coarse_cost("chip", "s", 4)])
    assert (
        found(replace(problem, constraints=[Constraint(coarse_cost("macs", "MAC", 5), 1e6)]))
        == found(problem)
        == compared(problem)
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_the_worst_of_two_devices_is_an_objective_or_a_limit(seed: int, limited: bool) -> None:
    worst = MaxCost("max(a,b)", (coarse_cost("a", "s", seed), coarse_cost("b", "s", seed + 1)))
    problem = coarse_problem(seed, [coarse_cost("chip", "s", seed + 2)])
    highest = float(np.quantile(worst.mean(all_rows(problem)), 0.4))
    problem = replace(problem, constraints=[Constraint(worst, highest)]) if limited else replace(problem, costs=[worst])
    assert found(problem).keys() == compared(problem).keys()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_a_second_order_accuracy_with_one_cost_is_exact_too(seed: int, limited: bool) -> None:
    rng, cost = np.random.default_rng(seed), coarse_cost("chip", "s", seed)
    predictor = fit_predictor(rng.uniform(0.01, 0.6, (25, 3)), rng.uniform(80, 90, 25), "ridge2_monotone")
    problem = replace(coarse_problem(seed, [cost]), predictor=predictor)
    if limited:
        problem = replace(
            problem, constraints=[Constraint(cost, float(np.quantile(cost.mean(all_rows(problem)), 0.5)))]
        )
    assert exact_search_obstacle(problem) is None
    assert found(problem).keys() == compared(problem).keys()
    two = replace(problem, costs=[cost, coarse_cost("macs", "MAC", seed)])
    assert exact_search_obstacle(two) == "the accuracy has second-order terms, and that needs one cost that is a sum"
