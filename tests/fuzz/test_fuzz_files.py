"""Spoiled files: every reader gives an error of one line or a result that keeps its rules; no other exception, no hang."""

from __future__ import annotations

import math
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from types import FrameType

import numpy as np
import pytest
from fakes import QUICK, FakeBackend, fake_device, fake_machine, tiny_space
from hot_machine import MS, HotMachine, run
from mutations import spoiled
from paths import ROOT

from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.fit import fit_cost
from donna_hw.costs.serialization import load_corrected_cost, save_correction
from donna_hw.costs.table_sum import TableCost
from donna_hw.devices.backends.base import ORIGINS, UNITS
from donna_hw.devices.device import Device
from donna_hw.errors import DonnaError
from donna_hw.experiments.detection.recipe import DetectionRecipe, is_detection
from donna_hw.pipeline.recipe import Recipe
from donna_hw.pipeline.recipe_schema import PretrainedReferenceConfig
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import SampleJournal
from donna_hw.profiling.stress_journal import read_attempts
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.table_info import TableInfo

SPACE = tiny_space()
HANGS_AFTER_S = 20  # far beyond any reading; a busy machine is no hang


@dataclass(frozen=True)
class Subject:
    """One kind of file: good contents by file name, of which one or several are spoiled, and how the whole is read and checked."""

    name: str
    files: dict[str, bytes]
    read: Callable[[Path], None]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read is tested here, not what survives a power cut."""
    monkeypatch.setattr("os.fsync", lambda _file: None)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> list[Subject]:
    folder = tmp_path_factory.mktemp("good")
    table = profile_space(
        SPACE, fake_device(FakeBackend(fake_machine(SPACE))), folder, QUICK, workers=create_in_process_workers
    )
    rows = SPACE.random_rows(6, 0)
    measured = 1.1 * TableCost.of(SPACE, table).mean(rows)
    save_correction(SPACE, table, fit_cost("fake", FeatureBasis.from_table(SPACE, table), rows, measured))
    measured = {"t.csv": table.path.read_bytes(), "t.toml": table.path.with_suffix(".toml").read_bytes()}
    found = [
        Subject("table", measured, read_table),
        Subject("counts", counts(table, folder / "counts.csv"), read_table),
        Subject("journal", {"s.csv": table.path.with_suffix(".samples.csv").read_bytes()}, read_journal),
        Subject(
            "correction",
            {"t.correction.toml": table.path.with_suffix(".correction.toml").read_bytes()},
            lambda there: read_correction(replace(table, path=there / "t.csv")),
        ),
    ]
    run(HotMachine(lambda at_s: MS), folder / "sustained.samples.csv", 5)
    sustained = (folder / "sustained.samples.csv").read_bytes(), (folder / "sustained.toml").read_bytes()
    names = ("sustained.samples.csv", "sustained.toml")
    found.append(Subject("sustained", dict(zip(names, sustained, strict=True)), read_sustained))
    found *= 3  # what devices write is spoiled more often than what people write
    for path in sorted((ROOT / "devices").glob("*.toml")):
        found.append(Subject(f"device {path.stem}", {"d.toml": path.read_bytes()}, read_device))
    for path in sorted((ROOT / "recipes").glob("*.toml")):
        read = read_detection_recipe if is_detection(str(path)) else read_recipe
        found.append(Subject(f"recipe {path.stem}", {"r.toml": path.read_bytes()}, read))
    return found


def counts(measured: LatencyTable, path: Path) -> dict[str, bytes]:
    """Return the files of a table of MACs over the rows of a measured one."""
    given = measured.info.model_dump(exclude={"sentinel_reference_s", "sentinel"})
    info = TableInfo(**{**given, "quantity": "macs", "unit": "MAC", "origin": "counted", "column": "macs"})
    frame = measured.frame[["part", "kernel", "activation", "layers_hash"]].assign(
        macs=range(1, len(measured.frame) + 1)
    )
    LatencyTable(info, frame, path).write()
    return {"t.csv": path.read_bytes(), "t.toml": path.with_suffix(".toml").read_bytes()}


def read_table(folder: Path) -> None:
    table = LatencyTable.read(folder / "t.csv")
    info, frame = table.info, table.frame
    assert UNITS[info.quantity] == info.unit
    assert info.origin in ORIGINS
    assert info.unit != "s" or info.column.endswith("_s")
    values = frame[info.column].to_numpy(np.float64)
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    if info.origin == "measured":
        assert (values > 0).all()
        assert (frame["low_s"] <= frame["high_s"]).all()
    costs = table.costs(SPACE)
    assert [block.size for block in costs.blocks] == list(SPACE.stage_sizes)
    assert math.isfinite(costs.fixed + sum(block.sum() for block in costs.blocks))
    assert len(table.rows_by_key(SPACE)) == len(frame)  # keys are unique
    assert all(np.isfinite(errors).all() for errors in costs.errors)


def read_journal(folder: Path) -> None:
    for record in SampleJournal(folder / "s.csv").read().values():
        visits = record.trials
        assert len({visit.round for visit in visits}) == len(visits)
        for visit in visits:
            for times in (visit.samples.wall_s, visit.samples.device_s, visit.sentinel_s):
                assert times is None or (np.isfinite(times) & (times > 0)).all()


def read_sustained(folder: Path) -> None:
    path = folder / "sustained.samples.csv"
    attempts = read_attempts(path)  # raises before the loop below begins a new attempt behind a spoiled one
    found = run(HotMachine(lambda at_s: MS), path, 5)
    assert len(read_attempts(path)) in (len(attempts), len(attempts) + 1)
    assert found.ratio_interval.low <= found.ratio <= found.ratio_interval.high
    assert 0 < found.ratio < math.inf
    assert found.first.median_s > 0
    assert len(found.verdict.splitlines()) == 1


def read_device(folder: Path) -> None:
    device = Device.load(str(folder / "d.toml"))
    assert device.protocol.rounds >= 1
    assert device.protocol.batch >= 1
    assert isinstance(device.config.title, str)
    assert all(isinstance(value, str | int | float) for value in device.config.options.values())


def read_detection_recipe(folder: Path) -> None:
    recipe = DetectionRecipe.read(folder / "r.toml")
    assert recipe.processes >= 1
    assert recipe.training.epochs >= 1
    assert recipe.backbones.networks >= 3
    assert list(recipe.detector.head_config().reductions) == sorted(set(recipe.detector.reductions))


def read_recipe(folder: Path) -> None:
    recipe = Recipe.read(folder / "r.toml")
    assert recipe.processes >= 1
    assert recipe.search.samples >= recipe.search.population >= 4
    assert recipe.counters
    trained = [] if isinstance(recipe.reference, PretrainedReferenceConfig) else [recipe.reference]
    for part in (*trained, recipe.distill, recipe.finetune):
        assert 0 < part.learning_rate < math.inf


def read_correction(table: LatencyTable) -> None:
    found = load_corrected_cost(SPACE, table)
    assert found is not None
    rows = SPACE.random_rows(6, 1)
    for values in (found.mean(rows), found.std(rows)):
        assert np.isfinite(values).all()
        assert (values > 0).all()


@contextmanager
def no_hang(what: str) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"{what}: no answer within {HANGS_AFTER_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, HANGS_AFTER_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(subjects: list[Subject], folder: Path, numbers: range) -> Counter[str]:
    """Read one spoiled subject a number, and return how many gave a result and how many an error; each number is one case for ever."""
    answers: Counter[str] = Counter()
    for number in numbers:
        rng = Random(f"fuzz {number}")
        subject = subjects[number % len(subjects)]
        chosen = rng.sample(sorted(subject.files), rng.randint(1, len(subject.files)))
        for name, good in subject.files.items():
            (folder / name).write_bytes(spoiled(good, rng) if name in chosen else good)
        what = f"case {number}, {subject.name}"
        try:
            with no_hang(what):
                subject.read(folder)
            answers["result"] += 1
        except DonnaError as error:
            text = str(error)
            assert len(text.splitlines()) == 1, f"{what}: an error must be one line, not {text!r}"
            answers["error"] += 1
        except Exception as problem:
            problem.add_note(f"{what}: files in {folder}")
            raise
    return answers


@pytest.mark.parametrize(
    "numbers", [range(500), pytest.param(range(500, 10_000), marks=pytest.mark.long)], ids=["500", "10000"]
)
def test_spoiled_files_give_an_error_of_one_line_or_a_result_that_keeps_the_rules(
    subjects: list[Subject], tmp_path: Path, numbers: range
) -> None:
    answers = fuzz(subjects, tmp_path, numbers)
    assert answers.total() == len(numbers)
    # mutations that spoil nothing, or everything, would test nothing
    assert answers["error"] > len(numbers) / 3
    assert answers["result"] > len(numbers) / 10


def test_the_good_files_are_read(subjects: list[Subject], tmp_path: Path) -> None:
    for subject in subjects:
        for name, good in subject.files.items():
            (tmp_path / name).write_bytes(good)
        subject.read(tmp_path)
