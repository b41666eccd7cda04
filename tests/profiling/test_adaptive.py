"""Adaptive rounds: the rule of each row, the same after a kill; a budget that is kept; a retry of what is in doubt and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakes import Killed, fake_device, tiny_space
from noisy_backend import NoisyBackend

from donna_hw.errors import ConfigError
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.stopping import stopping_rule
from donna_hw.profiling.calibration import build_measurements, calibrate_table
from donna_hw.profiling.jobs import MeasurementJob, unique_jobs
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import BlockRecord, SampleJournal
from donna_hw.profiling.scheduler import Scheduler
from donna_hw.profiling.table_setup import select_sentinel
from donna_hw.profiling.timed_costs import ProfilingBudget
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import list_parts

SPACE = tiny_space()
PARTS = {part.layers_hash: part for part in list_parts(SPACE)}
KEYS = sorted(PARTS)
SENTINEL = select_sentinel(list(PARTS.values()))
PROTOCOL = Protocol(
    "fake", 20, 1, 2, "median", sentinel_samples=1, precision=0.015, min_rounds=8, trial_s=1.0, limit_s=1e3
)
NOISE = dict(zip(KEYS, [0.0, 0.0, 0.004, 0.01, 0.02, 0.025, 0.1, 0.2, 0.3, 0.4], strict=True))


def noisy_backend(noise: dict[str, float] | None = None) -> NoisyBackend:
    costs_s = {key: 0.001 * (n + 1) for n, key in enumerate(KEYS)}
    return NoisyBackend(costs_s, NOISE if noise is None else noise, PARTS_SENTINEL)


PARTS_SENTINEL = next(key for key, part in PARTS.items() if part.graph == SENTINEL)


def profiled(root: Path, backend: NoisyBackend, effort: ProfilingBudget | None = None) -> LatencyTable:
    return profile_space(SPACE, fake_device(backend), root, PROTOCOL, workers=create_in_process_workers, budget=effort)


def journal_of(table: LatencyTable) -> SampleJournal:
    return SampleJournal(table.path.with_suffix(".samples.csv"))


def test_each_row_ends_with_the_rule_that_fires_first_and_says_which(tmp_path: Path) -> None:
    backend = noisy_backend()
    table = profiled(tmp_path, backend)
    records = journal_of(table).read()
    rules: dict[str, list[str | None]] = {key: [] for key in records}
    for count in range(1, PROTOCOL.rounds + 1):  # what was known after each round
        known = {key: record.before_round(count) for key, record in records.items()}
        scale = calibrate_table(known, PROTOCOL, backend.environment())
        for key, measurement in build_measurements(known, PROTOCOL, backend.environment(), scale).items():
            if len(records[key].trials) >= count:
                rules[key].append(stopping_rule(measurement))
    for row in table.frame.to_dict("records"):
        visits = records[row["layers_hash"]].trials
        assert rules[row["layers_hash"]] == [None] * (len(visits) - 1) + [row["stop_rule"]]
        assert row["rounds"] == len(visits)
    assert set(table.frame["stop_rule"]) == {"precise", "stable", "limit"}


@pytest.mark.parametrize("seed", range(5))
def test_a_profile_that_is_killed_again_and_again_ends_with_the_same_rows(tmp_path: Path, seed: int) -> None:
    rng, whole, broken = np.random.default_rng(seed), noisy_backend(), noisy_backend()
    table = profiled(tmp_path / "whole", whole)
    kills = 0
    while True:
        broken.breaks_at = len(broken.visits) + int(rng.integers(1, 60))
        try:
            again = profiled(tmp_path / "broken", broken)
        except Killed:
            kills += 1
            continue
        break
    assert kills > 1
    pd.testing.assert_frame_equal(again.frame, table.frame)
    visited = Counter(whole.visits)
    assert sum(broken.finished.values()) == sum(visited.values())
    assert broken.finished == visited


def scheduled(
    tmp_path: Path, backend: NoisyBackend, deadline: float, protocol: Protocol = PROTOCOL
) -> dict[str, BlockRecord]:
    """Measure with a clock that shows the visits begun so far."""
    jobs = unique_jobs([MeasurementJob(part.name, part.graph) for part in PARTS.values()])
    schedule = Scheduler(
        create_in_process_workers(fake_device(backend), protocol),
        backend.environment(),
        protocol,
        SENTINEL,
        SampleJournal(tmp_path / "s.csv"),
        deadline_unix_s=deadline,
        clock=lambda: float(len(backend.visits)),
    )
    return schedule.run(jobs)


@pytest.mark.parametrize("deadline", [0.0, 7.0, 29.0])
def test_every_block_has_three_rounds_whatever_the_budget(tmp_path: Path, deadline: float) -> None:
    records = scheduled(tmp_path, noisy_backend(), deadline)
    assert {len(record.trials) for record in records.values()} == {3}


@pytest.mark.parametrize("deadline", [30.0, 33.0, 35.0, 41.0, 58.0])
def test_no_visit_begins_after_the_deadline(tmp_path: Path, deadline: float) -> None:
    backend = noisy_backend(dict.fromkeys(KEYS, 0.4))  # never precise, so that there is always more to do
    scheduled(tmp_path, backend, deadline)
    assert len(backend.visits) == int(deadline) + 1, "the last one begins when the clock shows the deadline itself"


def test_time_left_goes_to_the_widest_half(tmp_path: Path) -> None:
    first = scheduled(tmp_path / "three", noisy_backend(), 0.0)
    environment = noisy_backend().environment()
    scale = calibrate_table(first, PROTOCOL, environment)
    widths = {
        key: one.relative_half_width for key, one in build_measurements(first, PROTOCOL, environment, scale).items()
    }
    widest = {key for key in KEYS if widths[key] >= np.median(list(widths.values()))}
    more = scheduled(tmp_path / "four", noisy_backend(), 30.0 + len(widest) - 1)
    assert {key for key in KEYS if len(more[key].trials) == 4} == widest


def test_a_budget_that_is_short_is_named_in_the_rows_and_filled_up_by_a_later_start(tmp_path: Path) -> None:
    short, backend = ProfilingBudget(budget_s=1e-6), noisy_backend()
    table = profiled(tmp_path, backend, short)
    assert set(table.frame["rounds"]) == {3}
    assert set(table.frame["stop_rule"]) == {"budget"}
    pd.testing.assert_frame_equal(
        profiled(tmp_path, backend).frame, profiled(tmp_path / "whole", noisy_backend()).frame, check_exact=True
    )


def test_a_budget_that_lasts_leaves_no_block_unfinished(tmp_path: Path) -> None:
    table = profiled(tmp_path, noisy_backend(), ProfilingBudget(budget_s=1e6))
    assert set(table.frame["stop_rule"]) == {"precise", "stable", "limit"}


@pytest.mark.parametrize("budget", [0.0, -1.0, inf, float("nan")])
def test_a_budget_is_a_time(budget: float) -> None:
    with pytest.raises(ConfigError, match="budget_s must be a finite time above 0 s"):
        ProfilingBudget(budget_s=budget)


def test_a_retry_measures_what_is_not_trusted_and_nothing_else(tmp_path: Path) -> None:
    table = profiled(tmp_path, noisy_backend())
    doubtful = set(table.frame.loc[table.frame["verdict"] != "trusted", "layers_hash"])
    assert 0 < len(doubtful) < len(KEYS)
    before = journal_of(table).path.read_bytes()
    calm = noisy_backend(dict.fromkeys(KEYS, 0.0))
    again = profiled(tmp_path, calm, ProfilingBudget(remeasure=True))
    assert set(calm.visits) == doubtful
    assert Counter(calm.visits) == dict.fromkeys(doubtful, PROTOCOL.min_rounds)
    assert journal_of(again).path.read_bytes().startswith(before)
    assert {key for key, record in journal_of(again).read().items() if record.attempt == 1} == doubtful
    assert set(again.frame["verdict"]) == {"trusted"}
    idle = noisy_backend()
    pd.testing.assert_frame_equal(profiled(tmp_path, idle, ProfilingBudget(remeasure=True)).frame, again.frame)
    assert idle.visits == []


def test_a_visit_takes_as_many_runs_as_fit_into_its_time(tmp_path: Path) -> None:
    backend = noisy_backend(dict.fromkeys(KEYS, 0.0))
    protocol = replace(PROTOCOL, samples=20, trial_s=0.02)
    records = scheduled(tmp_path, backend, inf, protocol)
    for number, key in enumerate(KEYS, start=1):  # a cost of `number` ms
        expected = min(max(20 // number, 3), 20)
        assert {visit.samples.wall_s.size for visit in records[key].trials} == {expected}, number
