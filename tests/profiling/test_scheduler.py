"""The scheduler on a fake machine with a clock of its own: order, sharing, resuming, sentinels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import QUICK, FakeBackend, FakeMachine, Killed, all_graphs, fake_device, fake_machine, tiny_space

from donna_hw._core.journal import Journal
from donna_hw.errors import FileFormatError, MeasurementError
from donna_hw.measurement.measurement import Trial
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.jobs import MeasurementJob, unique_jobs
from donna_hw.profiling.sample_journal import COLUMNS, BlockRecord, SampleJournal
from donna_hw.profiling.scheduler import Scheduler
from donna_hw.profiling.table_setup import select_sentinel
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.tables.parts import list_parts

SPACE = tiny_space()
JOBS = unique_jobs([MeasurementJob(f"block {n}", graph) for n, graph in enumerate(all_graphs(SPACE))])


def records(machine: FakeMachine, path: Path, protocol: Protocol = QUICK, **more: Any) -> dict[str, BlockRecord]:
    backend = FakeBackend(machine)
    workers = create_in_process_workers(fake_device(backend), protocol)
    sentinel, journal = select_sentinel(list_parts(SPACE)), SampleJournal(path)
    try:
        return Scheduler(workers, backend.environment(), protocol, sentinel, journal, **more).run(JOBS)
    finally:
        workers[0].close()


def run(machine: FakeMachine, path: Path, protocol: Protocol = QUICK) -> dict[str, list[Trial]]:
    return {key: record.trials for key, record in records(machine, path, protocol).items()}


def journaled(path: Path) -> list[tuple[str, int]]:
    return [(record["layers_hash"], int(record["round"])) for record in Journal(path, COLUMNS).records()]


def test_equal_layers_are_one_job_and_keep_the_first_name() -> None:
    graph = SPACE.fixed_graph("stem")
    jobs = unique_jobs(
        [
            MeasurementJob("first", graph),
            MeasurementJob("second", graph),
            MeasurementJob("other", SPACE.fixed_graph("head")),
        ]
    )
    assert [job.name for job in jobs.values()] == ["first", "other"]


def test_every_block_is_visited_once_a_round(tmp_path: Path) -> None:
    machine = fake_machine(SPACE)
    visits = run(machine, tmp_path / "s.csv")
    assert sorted(journaled(tmp_path / "s.csv")) == sorted((key, n) for key in JOBS for n in range(QUICK.rounds))
    assert visits.keys() == JOBS.keys()
    assert all([visit.round for visit in found] == list(range(QUICK.rounds)) for found in visits.values())
    assert machine.open_runners == 0


def test_runs_are_counted_as_the_protocol_says(tmp_path: Path) -> None:
    machine = fake_machine(SPACE)
    visits = run(machine, tmp_path / "s.csv")
    for key in JOBS:
        assert machine.runs[key] == QUICK.rounds * (QUICK.warmup + QUICK.samples)
        for visit in visits[key]:
            assert visit.samples.wall_s.size == QUICK.samples
            assert visit.sentinel_s.size == 2 * QUICK.sentinel_samples
    each = QUICK.sentinel_samples + 1  # one run before that is not kept
    assert machine.runs["sentinel"] == QUICK.rounds * len(JOBS) * 2 * each


def test_without_a_sentinel_none_is_run(tmp_path: Path) -> None:
    machine = replace(fake_machine(SPACE), sentinel="none")
    visits = run(machine, tmp_path / "s.csv", replace(QUICK, sentinel_samples=0, warmup=0))
    assert machine.runs["sentinel"] == 0
    assert all(visit.sentinel_s.size == 0 for found in visits.values() for visit in found)


def test_the_order_differs_between_rounds_and_repeats_between_starts(tmp_path: Path) -> None:
    machines = [fake_machine(SPACE), fake_machine(SPACE)]
    for number, machine in enumerate(machines):
        run(machine, tmp_path / f"{number}.csv")
    assert machines[0].visits == machines[1].visits
    rounds = np.array(machines[0].visits).reshape(QUICK.rounds, len(JOBS)).tolist()
    assert len({tuple(order) for order in rounds}) == QUICK.rounds


def test_the_journal_reads_back_as_what_was_measured(tmp_path: Path) -> None:
    visits = run(fake_machine(SPACE), tmp_path / "s.csv")
    again = SampleJournal(tmp_path / "s.csv").read()
    for key, found in visits.items():
        for before, after in zip(found, again[key].trials, strict=True):
            assert before.round == after.round
            # the journal keeps whole nanoseconds; half of one is the most that is lost
            assert np.abs(before.samples.wall_s - after.samples.wall_s).max() <= 0.5e-9
            assert np.abs(before.sentinel_s - after.sentinel_s).max() <= 0.5e-9
            assert after.samples.cpu_s is None
            assert after.samples.device_s is None


@pytest.mark.parametrize("breaks_at", range(1, QUICK.rounds * len(JOBS) + 1))
def test_a_run_that_breaks_at_any_visit_goes_on_where_it_was(tmp_path: Path, breaks_at: int) -> None:
    path = tmp_path / "s.csv"
    broken, second, whole = fake_machine(SPACE, breaks_at), fake_machine(SPACE), fake_machine(SPACE)
    with pytest.raises(Killed, match="breaks"):
        run(broken, path)
    assert broken.open_runners == 0
    assert len(journaled(path)) == breaks_at - 1
    run(second, path)
    run(whole, tmp_path / "whole.csv")
    assert broken.visits[:-1] + second.visits == whole.visits
    assert journaled(path) == journaled(tmp_path / "whole.csv")


def test_a_finished_run_measures_nothing_and_opens_nothing(tmp_path: Path) -> None:
    first = run(fake_machine(SPACE), tmp_path / "s.csv")
    idle = fake_machine(SPACE)
    second = run(idle, tmp_path / "s.csv")
    assert (idle.visits, sum(idle.runs.values())) == ([], 0)
    assert first.keys() == second.keys()


def test_more_rounds_are_added_to_those_there_are(tmp_path: Path) -> None:
    run(fake_machine(SPACE), tmp_path / "s.csv")
    more = fake_machine(SPACE)
    visits = run(more, tmp_path / "s.csv", replace(QUICK, rounds=QUICK.rounds + 2))
    assert len(more.visits) == 2 * len(JOBS)
    assert all(len(found) == QUICK.rounds + 2 for found in visits.values())


def test_the_machine_cools_down_after_each_visit(tmp_path: Path) -> None:
    pauses: list[float] = []
    protocol = replace(QUICK, rounds=1, cool_down_s=60.0)
    records(fake_machine(SPACE), tmp_path / "s.csv", protocol, sleep=pauses.append)
    assert pauses == [60.0] * len(JOBS)


class Resting(FakeBackend):
    """A fake that asks for three seconds, and three more, after the pause of the protocol."""

    def cool_down_s(self, pause_s: float, waited_s: float) -> float:
        return pause_s if waited_s == 0 else 3.0 if waited_s < pause_s + 6 else 0.0


def test_a_device_decides_itself_how_long_it_rests(tmp_path: Path) -> None:
    pauses: list[float] = []
    backend, protocol = Resting(fake_machine(SPACE)), replace(QUICK, rounds=1, cool_down_s=60.0)
    worker = create_in_process_workers(fake_device(backend), protocol)
    journal = SampleJournal(tmp_path / "s.csv")
    environment = backend.environment()
    sentinel = select_sentinel(list_parts(SPACE))
    Scheduler(worker, environment, protocol, sentinel, journal, sleep=pauses.append).run(JOBS)
    worker[0].close()
    assert pauses == [60.0, 3.0, 3.0] * len(JOBS)


@pytest.mark.parametrize("cost", [0, -5])
def test_a_time_that_is_none_fails_its_block_and_no_other(tmp_path: Path, cost: int) -> None:
    machine = fake_machine(SPACE)
    broken = sorted(set(JOBS) - {machine.sentinel})[0]
    machine.costs_ns = {**machine.costs_ns, broken: cost}
    found = records(machine, tmp_path / "s.csv")
    assert found[broken].trials == []
    assert f"{JOBS[broken].name}: every latency must be a finite time above 0 s; got " in found[broken].failure
    assert all(len(found[key].trials) == QUICK.rounds and not found[key].failure for key in JOBS if key != broken)
    again = records(fake_machine(SPACE), tmp_path / "s.csv")
    assert again[broken] == found[broken], "a failed block is not tried again unasked"


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("wall_s", "fast", FileFormatError),
        ("wall_s", "nan", MeasurementError),
        ("wall_s", "", MeasurementError),
        ("sentinel_s", "-1 1", MeasurementError),
        ("device_s", "0 1", MeasurementError),
        ("device_s", "1", FileFormatError),
        ("cpu_s", "nan 1", FileFormatError),
        ("slices", "3", FileFormatError),
        ("clock", "sundial", FileFormatError),
        ("temperature_c", "inf", FileFormatError),
        ("round", "first", FileFormatError),
        ("round", "-1", FileFormatError),
    ],
)
def test_a_corrupt_record_is_named_by_its_line(tmp_path: Path, column: str, value: str, error: type[Exception]) -> None:
    journal = Journal(tmp_path / "s.csv", COLUMNS)
    good = dict.fromkeys(COLUMNS, "") | {
        "layers_hash": "a",
        "attempt": "0",
        "round": "0",
        "slices": "1",
        "wall_s": "0.1 0.2",
        "sentinel_s": "0.1 0.1",
    }
    journal.append(good)
    journal.append({**good, column: value})
    with pytest.raises(error, match="line 3"):
        SampleJournal(journal.path).read()


def test_a_round_that_is_journaled_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    run(fake_machine(SPACE), path)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines, lines[1]]), encoding="utf-8")
    with pytest.raises(FileFormatError, match=f"line {len(lines) + 1}"):
        SampleJournal(path).read()
