"""What another hour would gain: closed forms on example tables, and the correction's posterior by another formula."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakes import tiny_space
from scipy import stats

from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.fit import fit_cost
from donna_hw.costs.hierarchical import FittedCost
from donna_hw.costs.serialization import load_cost, save_correction
from donna_hw.measurement.measurement import Samples, Trial
from donna_hw.profiling.sample_journal import BlockRecord, SampleJournal
from donna_hw.reporting.html.measurement_budget import (
    BudgetAnalysis,
    analyze_budget,
    irreducible_std,
    mean_trial_s,
    with_more_networks,
)
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import list_parts
from donna_hw.tables.table_info import TableInfo

SPACE = tiny_space()
ROUNDS, GAP_S, ERROR_S = 4, 3.0, 1e-6


def made_table(
    folder: Path, space: Space, *, rounds: int = ROUNDS, unmeasured: tuple[str, ...] = (), **says: object
) -> LatencyTable:
    """Return a table whose rows all have the standard error `ERROR_S`, its trials `GAP_S` apart; those of `unmeasured` parts have none."""
    quantile = stats.t.ppf(0.975, rounds - 1) if rounds > 1 else stats.norm.ppf(0.975)
    rows, journal, now = [], SampleJournal(folder / "made.samples.csv"), 1e9
    for number, part in enumerate(list_parts(space)):
        cost = 1e-4 * (1 + number)
        times = {"median_s": cost, "low_s": cost - quantile * ERROR_S, "high_s": cost + quantile * ERROR_S}
        rows.append(
            {
                "kernel": "",
                "activation": "",
                **part.key_cells,
                "layers_hash": part.layers_hash,
                **times,
                "rounds": rounds,
            }
        )
    for round_ in range(rounds):
        for part, row in zip(list_parts(space), rows, strict=True):
            if row["part"] in unmeasured:
                continue
            trial = Trial(round_, Samples(np.array([row["median_s"]])), np.empty(0), started_unix_s=now)
            journal.add(part.layers_hash, part.name, 0, trial)
            now += GAP_S
    facts = {"device": "made", "space": space.name, "quantity": "latency", "unit": "s", "origin": "measured"}
    facts |= {"column": "median_s", "donna_hw": "0", "created": "2026-01-01", "identity": {"device_model": "none"}}
    table = LatencyTable(TableInfo.model_validate(facts | says), pd.DataFrame(rows), folder / "made.csv")
    table.write()
    return LatencyTable.read(table.path)


def gain(table: LatencyTable, space: Space = SPACE, **more: float) -> BudgetAnalysis:
    rows = np.array([[0, 0], [1, 1], [3, 3]])
    return analyze_budget(space, table, rows, (np.array([90.0, 91.0, 99.0]), np.array([1.0, 1.0, 1.0])), **more)


def test_a_networks_error_shrinks_as_one_over_the_root_of_the_rounds(tmp_path: Path) -> None:
    table = made_table(tmp_path, SPACE)
    found = gain(table)
    parts = len(table.frame)
    assert found.current_std == pytest.approx(np.full(3, 2 * ERROR_S))  # of four rows: stem, two blocks, head
    (rounds,) = found.options
    assert rounds.duration_s == pytest.approx(GAP_S * parts)
    assert rounds.count == pytest.approx(3600 / (GAP_S * parts))
    assert rounds.std == pytest.approx(found.current_std / np.sqrt(1 + rounds.count / ROUNDS))
    assert found.irreducible_std == pytest.approx(0)
    # accuracies: 91 and 90 are one deviation of 1.41 apart, 99 and 91 over five
    assert (found.pairs, found.accuracy_pairs_within_noise) == (2, 1)


def test_twice_the_time_is_twice_the_rounds(tmp_path: Path) -> None:
    table = made_table(tmp_path, SPACE)
    one, two = (gain(table, budget_s=seconds).options[0] for seconds in (1800.0, 3600.0))
    assert two.count == pytest.approx(2 * one.count)


def test_neighbors_are_distinguished_when_the_error_is_small_enough(tmp_path: Path) -> None:
    table = made_table(tmp_path, SPACE)
    frame = table.frame.copy()
    for column in ("median_s", "low_s", "high_s"):  # neighbors differ by two blocks of 1e-6 each: 2e-6 in all
        place = [list(frame["part"]).index(part) + number for part in ("first", "second") for number in range(4)]
        offset = {"median_s": 0.0, "low_s": -1.0, "high_s": 1.0}[column] * (frame["high_s"] - frame["median_s"])[0]
        frame.loc[place, column] = 1e-4 + 1e-6 * np.tile(np.arange(4), 2) + offset
    replace(table, frame=frame).write()
    found = gain(LatencyTable.read(table.path))
    # the difference's deviation is that of four rows, 2e-6: 1.645 of it are more than 2e-6, less than the 4e-6 of the second pair
    assert found.pairs_within_noise == 1
    assert found.options[0].pairs_within_noise == 0


def test_a_row_without_trials_keeps_its_error(tmp_path: Path) -> None:
    found = gain(made_table(tmp_path, SPACE, unmeasured=("first", "second")))
    shrunk = 1 / (1 + found.options[0].count / ROUNDS)
    assert found.options[0].std == pytest.approx(ERROR_S * np.sqrt(2 + 2 * shrunk))


def test_the_seconds_of_a_trial_exclude_pauses() -> None:
    def record(*trials: tuple[int, float]) -> BlockRecord:
        made = [Trial(round_, Samples(np.array([1.0])), np.empty(0), started_unix_s=start) for round_, start in trials]
        return BlockRecord("made", trials=made)

    steady = [record((0, 100.0), (1, 104.0)), record((0, 102.0), (1, 106.0))]
    assert mean_trial_s(steady) == pytest.approx(2.0)
    assert mean_trial_s([*steady, record((1, 5000.0), (1, 5002.0))]) == pytest.approx(2.0)  # a pause
    assert mean_trial_s([*steady, record((0, 130.0), (0, 132.0))]) == pytest.approx(
        2.0
    )  # another sitting begins at round 0
    assert mean_trial_s([record((0, 0.0), (1, 100.0))]) is None
    assert mean_trial_s([record((0, 0.0), (1, 100.0))], cool_down_s=60) == pytest.approx(100.0)
    assert mean_trial_s([]) is mean_trial_s([record((0, 1.0))]) is None


def test_one_round_does_not_tell_how_rounds_differ(tmp_path: Path) -> None:
    found = gain(made_table(tmp_path, SPACE, rounds=1))
    assert found.options == ()
    assert "how rounds differ" in found.reason


def test_what_is_computed_gains_nothing(tmp_path: Path) -> None:
    found = gain(made_table(tmp_path, SPACE, origin="simulated"))
    assert found.options == ()
    assert "more measurements gain nothing" in found.reason


@pytest.fixture(scope="module")
def corrected() -> tuple[Space, FittedCost]:
    """A cost corrected by twelve networks that cost a sum of their blocks and two per cent of noise."""
    space = load_space("small_8px")
    basis, rows = FeatureBasis.from_layers(space), space.random_rows(40, 1)
    costs = basis.sums(rows)[:, :3].sum(axis=1) * 1e-9 * np.exp(0.02 * np.random.default_rng(0).standard_normal(40))
    return space, fit_cost("made", basis, rows[:12], costs[:12], kind="sum").cost


def test_further_networks_take_from_the_posterior_what_conditioning_takes(corrected: tuple[Space, FittedCost]) -> None:
    space, cost = corrected
    front, more = space.random_rows(6, 2), space.random_rows(30, 3)
    joint, noise = cost.covariance(np.concatenate([front, more]))
    own, cross, theirs = joint[:6, :6], joint[:6, 6:], joint[6:, 6:] + np.diag(noise[6:])
    expected = own - cross @ np.linalg.solve(theirs, cross.T)
    found = with_more_networks(cost, more).covariance(front)[0]
    # not exactly: the fit takes the noise at the cost before it, the posterior at the cost after it
    assert np.abs(found - expected).max() < 0.005 * np.diag(expected).min()


def test_what_stays_is_approached_and_never_passed(corrected: tuple[Space, FittedCost]) -> None:
    space, cost = corrected
    front = space.random_rows(6, 2)
    now, never = cost.std(front), irreducible_std(cost, front)
    few, many = (with_more_networks(cost, space.random_rows(count, 3)).std(front) for count in (10, 250))
    for before, after in ((now, few), (few, many), (many, never)):
        assert (after < before).all()
    assert (many - never < 0.5 * (now - never)).all()


def test_networks_measured_beside_the_table_say_how_many_an_hour_holds(tmp_path: Path) -> None:
    space = tiny_space((1, 3, 5, 7))
    table = made_table(tmp_path, space)
    rows = space.random_rows(12, 0)
    plain = load_cost(space, table).mean(rows) * np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    save_correction(space, table, fit_cost("made", FeatureBasis.from_table(space, table), rows, plain, kind="sum"))
    journal, now = SampleJournal(tmp_path / "made.networks.samples.csv"), 1e9
    for round_ in range(2):
        for number in range(12):
            trial = Trial(round_, Samples(np.array([1e-3])), np.empty(0), started_unix_s=now)
            journal.add(f"{number:016x}", str(number), 0, trial)
            now += 40.0
    found = gain(table, space)
    rounds, networks = found.options
    assert (networks.duration_s, networks.capacity, networks.count) == (pytest.approx(80.0), 45, 45)
    for way in (rounds, networks):
        assert (way.std < found.current_std).all()
    assert found.best in found.options
