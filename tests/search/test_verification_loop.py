"""Fronts that stand, on made devices whose truth is known; and one on this machine's CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_front import Lined
from line_front import line as through
from tiny_search import Sum, all_rows, best, blocks_of, found, tiny_problem, with_blocks, with_errors

from donna_hw.costs.base import CostModel
from donna_hw.costs.serialization import load_correction
from donna_hw.costs.table_sum import TableCost
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.search.pareto_front import ParetoFront, build_front
from donna_hw.search.problem import Constraint, SearchProblem
from donna_hw.search.verification import verify_on_device
from donna_hw.search.verification_loop import Refit, VerificationConfig, select_for_measurement, verify_until_stable
from donna_hw.spaces import load_space

STAGES = 5  # 1024 networks, all of which can be looked at


@dataclass(frozen=True)
class Noisy:
    """A device on which each network is dearer than a cost says by a factor of its own, the same whenever it is measured."""

    cost: TableCost
    sigma: float
    seed: int = 0
    name: str = "noisy"
    unit: str = "s"

    def mean(self, rows: np.ndarray) -> np.ndarray:
        normal = np.random.default_rng(self.seed).standard_normal(4**STAGES)
        numbers = np.ravel_multi_index(tuple(rows.T), (4,) * STAGES)
        return np.asarray(self.cost.mean(rows) * np.exp(self.sigma * normal[numbers]))

    def std(self, rows: np.ndarray) -> np.ndarray:
        return np.zeros(len(rows))

    def std_of_difference(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.zeros(len(a))

    def additive_terms(self, settings: tuple[int, ...] = ()) -> None:
        return None


def exhaustive(problem: SearchProblem) -> ParetoFront:
    return build_front(problem, all_rows(problem), 4**STAGES)


def line(cost: TableCost) -> Refit:
    """Return the refit that brings a table to whole networks by a line."""
    return lambda rows, measured: through(cost, rows, measured)


def table_of(problem: SearchProblem) -> TableCost:
    cost = problem.costs[0]
    assert isinstance(cost, TableCost)
    return cost


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 2))
def test_a_front_by_a_true_cost_stands_at_once_and_stays(seed: int, costs: int) -> None:
    problem = tiny_problem(seed, costs=costs, stages=STAGES)
    result = verify_until_stable(
        problem, exhaustive, table_of(problem), line(table_of(problem)), VerificationConfig(networks_per_round=6)
    )
    assert result.is_stable
    assert len(result.history) == 1
    assert result.history[0].coverage == 1
    assert result.history[0].dominated == 0
    assert result.history[0].mape_percent == pytest.approx(0, abs=1e-9)
    assert result.front.cost_stds["chip"].max() < 2e-5
    np.testing.assert_allclose(
        result.cost.mean(all_rows(problem)), table_of(problem).mean(all_rows(problem)), rtol=1e-9
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 2), st.floats(1e-4, 1e-3))
def test_a_front_stands_on_a_device_with_an_offset_once_it_is_corrected(seed: int, scale: float, offset: float) -> None:
    problem = tiny_problem(seed, stages=STAGES)
    truth = Lined(table_of(problem), scale, offset)
    if np.abs(truth.mean(all_rows(problem)) / table_of(problem).mean(all_rows(problem)) - 1).min() < 0.02:
        return  # the line crosses the truth: some networks would be right by chance
    result = verify_until_stable(
        problem, exhaustive, truth, line(table_of(problem)), VerificationConfig(networks_per_round=4)
    )
    assert [one.is_stable for one in result.history] == [False, True]
    assert result.history[0].coverage == 0
    assert result.history[1].mape_percent < 1e-6
    assert result.history[0].mape_percent > 1
    np.testing.assert_allclose(result.cost.mean(all_rows(problem)), truth.mean(all_rows(problem)), rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_pure_noise_never_stands_and_ends_at_the_limit(seed: int) -> None:
    problem = tiny_problem(seed, stages=STAGES)
    flat = with_blocks(table_of(problem), [np.zeros(4) for _ in range(STAGES)], fixed=1e-3)
    result = verify_until_stable(
        problem,
        exhaustive,
        Noisy(flat, 0.8, seed),
        line(table_of(problem)),
        VerificationConfig(networks_per_round=4, max_rounds=3),
    )
    assert not result.is_stable
    assert len(result.history) == 3


@pytest.mark.parametrize("seed", range(5))
def test_a_few_per_cent_of_noise_are_found_and_stated(seed: int) -> None:
    problem = tiny_problem(seed, stages=STAGES)
    result = verify_until_stable(
        problem,
        exhaustive,
        Noisy(table_of(problem), 0.02, seed),
        line(table_of(problem)),
        VerificationConfig(networks_per_round=8, max_rounds=5),
    )
    assert not result.history[0].is_stable
    assert result.is_stable
    assert 0.005 < (result.cost.std(result.front.rows) / result.cost.mean(result.front.rows)).max() < 0.05
    assert len(result.rows) == len(np.unique(result.rows, axis=0)), "a network is measured once"


def test_a_block_that_a_table_has_wrong_leaves_the_front() -> None:
    problem = tiny_problem(3, stages=STAGES)
    table, rows = table_of(problem), all_rows(problem)
    block = int(np.bincount(exhaustive(problem).rows[:, 0]).argmax())  # the front's favourite of the first stage
    wrong = [values.copy() for values in blocks_of(table)]
    wrong[0][block] += table.mean(rows).max()  # worse than anything
    truth = with_blocks(table, wrong)

    def by_blocks(picked: np.ndarray, measured: np.ndarray) -> CostModel:
        """Fit every block of the first stage, from the table's cost on."""
        ones = np.eye(4)[picked[:, 0]]
        change = np.linalg.lstsq(
            np.vstack([ones, 1e-6 * np.eye(4)]), [*(measured - table.mean(picked)), *[0] * 4], rcond=None
        )[0]
        return with_blocks(table, (blocks_of(table)[0] + change, *blocks_of(table)[1:]))

    result = verify_until_stable(
        problem, exhaustive, truth, by_blocks, VerificationConfig(networks_per_round=4, max_rounds=6)
    )
    assert result.is_stable
    assert result.history[0].overlap < 1
    assert result.history[0].dominated > 0
    true_front = exhaustive(replace(problem, costs=[truth]))
    for accuracy, cost in zip(result.front.accuracy, truth.mean(result.front.rows), strict=True):
        rivals = true_front.costs["chip"][true_front.accuracy >= accuracy]
        assert cost <= rivals.min() * (1 + 1e-3), "no network of the space is as accurate and cheaper"
    assert len(rows) > 10 * len(result.rows), "and few were measured"


def test_networks_known_from_before_are_not_chosen_but_are_fitted_to() -> None:
    problem = tiny_problem(1, stages=STAGES)
    first = exhaustive(problem).rows[::2]
    known = (first, table_of(problem).mean(first))
    seen: list[np.ndarray] = []

    def refit(rows: np.ndarray, measured: np.ndarray) -> CostModel:
        seen.append(rows)
        return line(table_of(problem))(rows, measured)

    result = verify_until_stable(
        problem, exhaustive, table_of(problem), refit, VerificationConfig(networks_per_round=4), known=known
    )
    assert len(seen[0]) == len(first) + result.history[0].new_networks
    assert len(np.unique(result.rows, axis=0)) == len(result.rows)


def test_a_front_that_was_measured_whole_is_judged_by_what_was_measured() -> None:
    problem = tiny_problem(1, stages=STAGES)
    front = exhaustive(problem).rows
    table = table_of(problem)
    result = verify_until_stable(
        problem,
        exhaustive,
        table,
        line(table),
        VerificationConfig(networks_per_round=4),
        known=(front, table.mean(front)),
    )
    assert result.history[0].new_networks == 4, "random ones, to fit to"
    assert len(found(result.rows)) == len(front) + 4
    assert result.is_stable
    wrong = Lined(table, 2.0)
    result = verify_until_stable(
        problem,
        exhaustive,
        wrong,
        line(table),
        VerificationConfig(networks_per_round=4),
        known=(front, wrong.mean(front)),
    )
    assert [one.is_stable for one in result.history] == [False, True]


def test_a_front_of_one_network_is_corrected_by_others() -> None:
    problem = tiny_problem(1, stages=STAGES)
    table, seen = table_of(problem), exhaustive(problem).rows[:1]
    truth = Lined(table, 2.0, 1e-4)

    def search(asked: SearchProblem) -> ParetoFront:
        return build_front(asked, seen, 1)

    result = verify_until_stable(problem, search, truth, line(table), VerificationConfig(networks_per_round=4))
    assert [(one.new_networks, one.is_stable) for one in result.history] == [(4, False), (4, True)]
    assert len(found(result.rows)) == len(result.rows) == 8
    assert found(seen) <= found(result.rows)


def test_a_cost_that_cannot_be_fitted_is_said_and_nothing_stands_on_it() -> None:
    problem = tiny_problem(2, stages=STAGES)

    def never(rows: np.ndarray, measured: np.ndarray) -> CostModel:
        raise InsufficientDataError("there must be more", got=len(rows))

    result = verify_until_stable(
        problem, exhaustive, table_of(problem), never, VerificationConfig(networks_per_round=4, max_rounds=2)
    )
    assert not result.is_stable
    assert [one.refit_error for one in result.history] == ["there must be more; got 4", "there must be more; got 8"]
    assert result.cost is problem.costs[0]


def test_a_limit_on_the_cost_goes_with_it() -> None:
    free = tiny_problem(4, stages=STAGES)
    table = table_of(free)
    truth = Lined(table, 1.5)
    highest = float(np.median(truth.mean(exhaustive(free).rows)))
    problem = replace(free, constraints=[Constraint(table, highest)])
    result = verify_until_stable(problem, exhaustive, truth, line(table), VerificationConfig(networks_per_round=4))
    assert result.is_stable
    assert result.history[0].dominated > 0, "networks of the first front pass the limit"
    assert (truth.mean(result.front.rows) <= highest * (1 + 1e-9)).all()
    assert found(result.front.rows) == best(replace(free, costs=[truth], constraints=[Constraint(truth, highest)]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(4, 20), st.integers(0, 30))
def test_networks_are_chosen_new_spread_and_uncertain_ones(seed: int, count: int, before: int) -> None:
    problem = tiny_problem(seed, stages=STAGES)
    rng = np.random.default_rng(seed)
    table = with_errors(table_of(problem), [rng.uniform(0, 1e-4, 4) for _ in range(STAGES)])
    front = exhaustive(problem)
    known = front.rows[rng.permutation(len(front))[:before]]
    rows = select_for_measurement(front, table, count, known)
    assert len(rows) == min(count, len(front) - len(known))
    assert found(rows) <= found(front.rows) - found(known)
    assert len(found(rows)) == len(rows)
    left = front.rows[[tuple(row) not in found(known) for row in front.rows.tolist()]]
    if len(left) > count >= 2:
        shares = table.std(left) / table.mean(left)
        assert tuple(left[shares.argmax()].tolist()) in found(rows)


def test_each_round_is_a_line_of_the_file() -> None:
    problem = tiny_problem(6, stages=STAGES)
    truth = Lined(table_of(problem), 2.0)
    frame = verify_until_stable(
        problem, exhaustive, truth, line(table_of(problem)), VerificationConfig(networks_per_round=4)
    ).to_frame()
    assert frame["round"].tolist() == [1, 2]
    assert frame["is_stable"].tolist() == [False, True]
    assert frame["mape_percent"].tolist() == pytest.approx([50, 0])
    assert frame["coverage"].tolist() == [0, 1]


@pytest.mark.parametrize("wrong", [{"networks_per_round": 3}, {"max_rounds": 0}])
def test_a_plan_that_shows_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must be at least"):
        VerificationConfig(**wrong)


def test_a_front_is_verified_on_this_cpu(tmp_path: Path) -> None:
    space, device = load_space("small_8px"), Device.load("onnxruntime_cpu")
    protocol = Protocol("quick", 3, 1, 4, "median", sentinel_samples=1)
    table = profile_space(space, device, tmp_path, protocol, workers=create_in_process_workers)
    rng = np.random.default_rng(0)
    qualities = tuple(rng.uniform(0, 1, size) for size in space.stage_sizes)
    problem = SearchProblem(space, qualities, Sum(), [TableCost.of(space, table)])
    every = np.array(list(product(*map(range, space.stage_sizes))))

    def search(asked: SearchProblem) -> ParetoFront:
        return build_front(asked, every, len(every))

    told: list[str] = []
    options = {"protocol": protocol, "workers": create_in_process_workers, "log": told.append}
    result = verify_on_device(problem, search, table, VerificationConfig(networks_per_round=4, max_rounds=2), **options)
    assert 4 <= len(result.rows) <= 8
    np.testing.assert_allclose(result.cost.mean(result.rows), result.measured, rtol=1)
    kept = load_correction(table)
    assert kept is not None
    assert len(kept.networks) == len(result.rows)
    listed = pd.read_csv(table.path.with_suffix(".networks.csv"))
    assert set(listed["median_s"]) == set(result.measured)
    rounds = pd.read_csv(table.path.with_suffix(".verification.csv"))
    assert rounds["new_networks"].sum() == len(result.rows)
    assert told[0].startswith("4 networks measured in")
    again = verify_on_device(problem, search, table, VerificationConfig(networks_per_round=4, max_rounds=1), **options)
    assert len(again.rows) == len(result.rows) + again.history[0].new_networks, "what was measured before is fitted to"
