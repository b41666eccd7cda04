"""Blocks that crash, hang, raise, eat all memory or answer nonsense: each is recorded with its reason, and the rest goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from fakes import QUICK, tiny_space
from faulty_backends import declared_s, faulty_device

from donna_hw.errors import TableError, UnavailableError
from donna_hw.graph.graph import layers_hash
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import SampleJournal
from donna_hw.profiling.table_setup import select_sentinel
from donna_hw.profiling.timed_costs import ProfilingBudget
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import Part, list_parts

SPACE = tiny_space()
ONCE = replace(QUICK, rounds=1, warmup=0, samples=2, sentinel_samples=1, timeout_s=1.0)
SENTINEL = layers_hash(select_sentinel(list_parts(SPACE)))
PARTS = [part for part in list_parts(SPACE) if part.layers_hash != SENTINEL]
REASONS = {
    "abort": "its process was killed by SIGABRT",
    "segv": "its process was killed by SIGSEGV",
    "killed": "its process was killed by SIGKILL, perhaps for want of memory",
    "raise": "ValueError: unsupported operator",
    "memory": "MemoryError: Unable to allocate 1.00 TiB",
    "hang": "no answer within 1 s: it hangs, and its process was killed",
}
NONSENSE = {"nan": "found 'nan among 2 samples'", "zero": "found '0.0 among 2 samples'", "none": "found 'no samples'"}


def with_faults(faults: Iterable[str]) -> tuple[str, dict[str, Part]]:
    """Return the device's option, and the part that has each fault."""
    chosen = dict(zip(faults, PARTS, strict=False))
    return ",".join(f"{part.layers_hash}={fault}" for fault, part in chosen.items()), chosen


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "donna_hw.profiling.workers.subprocess_main" in child.cmdline()]


def assert_others_are_exact(table: LatencyTable, failed: Iterable[Part]) -> None:
    missing = {part.layers_hash for part in failed}
    costs = {part.layers_hash: declared_s(part.graph) for part in list_parts(SPACE)}
    expected = {key: float(f"{cost:.6g}") for key, cost in costs.items() if key not in missing}
    assert dict(zip(table.frame["layers_hash"], table.frame["median_s"], strict=True)) == expected


def test_a_block_that_breaks_its_process_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    option, parts = with_faults(REASONS)
    table = profile_space(SPACE, faulty_device(faults=option), tmp_path, ONCE, workers=create_subprocess_workers)
    assert children() == []
    assert_others_are_exact(table, parts.values())
    journal = SampleJournal(table.path.with_suffix(".samples.csv"))
    records = journal.read()
    for fault, part in parts.items():
        assert REASONS[fault] in records[part.layers_hash].failure, fault
        assert records[part.layers_hash].name == part.name
    with pytest.raises(TableError, match=f"{len(parts)} missing"):
        table.costs(SPACE)
    # The failed blocks, and no others, are measured again when that is asked for; what was there stays.
    before = journal.path.read_bytes()
    healed = profile_space(
        SPACE,
        faulty_device(),
        tmp_path,
        ONCE,
        workers=create_in_process_workers,
        budget=ProfilingBudget(remeasure=True),
    )
    assert_others_are_exact(healed, [])
    assert journal.path.read_bytes().startswith(before)
    attempts = {key: record.attempt for key, record in journal.read().items()}
    failed = {part.layers_hash for part in parts.values()}
    assert {key for key, attempt in attempts.items() if attempt == 1} == failed
    assert set(attempts.values()) == {0, 1}
    healed.costs(SPACE)


@pytest.mark.parametrize("fault", NONSENSE)
def test_times_that_are_none_are_never_in_the_journal(tmp_path: Path, fault: str) -> None:
    option, parts = with_faults([fault])
    table = profile_space(SPACE, faulty_device(faults=option), tmp_path, ONCE, workers=create_in_process_workers)
    assert_others_are_exact(table, parts.values())
    [part] = parts.values()
    record = SampleJournal(table.path.with_suffix(".samples.csv")).read()[part.layers_hash]
    assert record.trials == []
    assert record.failure == (
        f"{part.name}: every latency must be a finite time above 0 s; {NONSENSE[fault]}; "
        "the runtime or its clock is broken: measure this block again"
    )


def test_a_time_that_the_journal_would_round_to_zero_is_refused_before_it_is_written(tmp_path: Path) -> None:
    option, parts = with_faults(["tiny"])
    table = profile_space(SPACE, faulty_device(faults=option), tmp_path, ONCE, workers=create_in_process_workers)
    assert_others_are_exact(table, parts.values())
    assert_others_are_exact(
        profile_space(SPACE, faulty_device(), tmp_path, ONCE, workers=create_in_process_workers), parts.values()
    )


def test_when_every_block_fails_the_first_reason_is_told(tmp_path: Path) -> None:
    faults = ",".join(f"{part.layers_hash}=raise" for part in list_parts(SPACE))
    protocol = replace(ONCE, sentinel_samples=0)
    with pytest.raises(UnavailableError, match=r"a device must be left .*faulty\.0: ValueError: unsupported operator"):
        profile_space(SPACE, faulty_device(faults=faults), tmp_path, protocol, workers=create_in_process_workers)


def test_a_block_that_raises_before_each_retry_gets_a_new_attempt_each(tmp_path: Path) -> None:
    option, parts = with_faults(["raise"])
    [part] = parts.values()
    for attempt in range(3):
        effort = ProfilingBudget(remeasure=attempt > 0)
        table = profile_space(
            SPACE, faulty_device(faults=option), tmp_path, ONCE, workers=create_in_process_workers, budget=effort
        )
        record = SampleJournal(table.path.with_suffix(".samples.csv")).read()[part.layers_hash]
        assert (record.attempt, record.trials) == (attempt, [])
    table = profile_space(SPACE, faulty_device(), tmp_path, ONCE, workers=create_in_process_workers)
    assert_others_are_exact(table, [part])


def test_a_clock_that_falls_is_told_row_by_row(tmp_path: Path) -> None:
    rounds = replace(QUICK, rounds=4, sentinel_samples=2)
    falls = 1 + 2 * len(list_parts(SPACE))  # after the sentinel and two rounds
    table = profile_space(SPACE, faulty_device(falls_after=falls), tmp_path, rounds, workers=create_in_process_workers)
    assert set(table.frame["verdict"]) == {"throttled"}
    assert set(table.frame["evidence"]) == {"in 2 of 4 trials the clock fell from 1000 to 700 MHz"}
