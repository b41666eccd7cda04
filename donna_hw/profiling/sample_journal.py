"""The samples' journal: every visit that was made and every block that failed, one synced line each; tables are derived from it."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from donna_hw._core.journal import Journal
from donna_hw.errors import FileFormatError
from donna_hw.measurement.intervals import validate_samples
from donna_hw.measurement.measurement import CLOCKS, RunSummary, Samples, Trial
from donna_hw.measurement.telemetry import Telemetry

COLUMNS = (
    *("name", "layers_hash", "attempt", "round", "device", "started_unix_s", "slices"),
    *("sentinel_s", "wall_s", "cpu_s", "device_s", "clock", "baseline_s"),
    *("clock_hz", "temperature_c", "power_w", "throttle", "failure"),
    "summary",
)
OPTIONAL_COLUMNS = ("summary",)  # columns that journals of earlier versions lack


@dataclass
class BlockRecord:
    """What is journaled of one block in its latest attempt; earlier attempts stay in the file.

    failure: why the block could not be run, empty if it could. stopped: the rule that ended its measurement, which follows from the
    visits and is not journaled.
    """

    name: str
    attempt: int = 0
    trials: list[Trial] = field(default_factory=list)
    failure: str = ""
    stopping_rule: str = ""

    def before_round(self, round_: int) -> BlockRecord:
        """Return the record as it was when a round began."""
        return BlockRecord(
            self.name, self.attempt, [visit for visit in self.trials if visit.round < round_], self.failure
        )


class SampleJournal:
    """`<variant>.samples.csv`: appended to visit by visit, read back as {layers_hash: Record}."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = Journal(path, COLUMNS, new_columns=OPTIONAL_COLUMNS)

    def add(self, key: str, name: str, attempt: int, visit: Trial) -> Trial:
        """Append one visit, and return it as it reads back; raises `MeasurementError` for times that are none, and writes nothing."""
        samples, readings = visit.samples, visit.telemetry
        cells = {
            **self._key_cells(key, name, attempt, visit.round),
            "device": visit.device,
            "started_unix_s": f"{visit.started_unix_s:.3f}",
            "slices": visit.slices,
            "sentinel_s": _format_times(visit.sentinel_s),
            "wall_s": _format_times(samples.wall_s),
            "cpu_s": _format_times(samples.cpu_s),
            "device_s": _format_times(samples.device_s),
            "clock": samples.clock,
            "baseline_s": _format_times(visit.baseline_s),
            "clock_hz": _format_number(readings.clock_hz),
            "temperature_c": _format_number(readings.temperature_c),
            "power_w": _format_number(readings.power_w),
            "throttle": "|".join(readings.throttle_reasons),
            "summary": _format_summary(samples.summary),
        }
        kept = _parse_trial({name: str(cell) for name, cell in cells.items()})
        _validate_trial(kept, name)  # as rounded: a time that becomes 0 in the file would make the file unreadable
        self._journal.append(cells)
        return kept

    def add_failure(self, key: str, name: str, attempt: int, reason: str) -> None:
        """Append that a block failed."""
        self._journal.append({**self._key_cells(key, name, attempt, 0), "failure": reason or "no reason given"})

    def read(self, only: Container[str] | None = None) -> dict[str, BlockRecord]:
        """Return the latest attempt at each block, visits in the order of rounds; raises `FileFormatError` with the line of a bad value.

        only: layers_hashes to read, where of a long journal a few are wanted.
        """
        found: dict[str, BlockRecord] = {}
        for line, cells in enumerate(self._journal.records(), start=2):
            if only is not None and cells["layers_hash"] not in only:
                continue
            where = f"{self.path}, line {line}"
            try:
                attempt, visit = int(cells["attempt"]), None if cells["failure"] else _parse_trial(cells)
            except (ValueError, OverflowError) as error:
                raise FileFormatError(
                    f"{where}: times must be numbers in seconds, attempt and round whole ones",
                    got=str(error),
                    hint="delete the line: only this visit is measured again",
                ) from None
            record = found.get(cells["layers_hash"])
            if record is None or attempt > record.attempt:
                record = found[cells["layers_hash"]] = BlockRecord(cells["name"], attempt)
            if attempt < record.attempt:
                continue
            if visit is None:
                record.failure = cells["failure"]
                continue
            _validate_trial(visit, where)
            if visit.round in (other.round for other in record.trials):
                raise FileFormatError(
                    f"{where}: a block must be visited once a round",
                    got=f"round {visit.round} of {cells['name']} again",
                    hint="delete the line",
                )
            record.trials.append(visit)
        for record in found.values():
            record.trials.sort(key=lambda visit: visit.round)
        return found

    def _key_cells(self, key: str, name: str, attempt: int, round_: int) -> dict[str, str]:
        names = {"name": name, "layers_hash": key, "attempt": str(attempt), "round": str(round_)}
        return dict.fromkeys(COLUMNS, "") | names


def _parse_trial(cells: dict[str, str]) -> Trial:
    """Return a line's visit; raises `ValueError` for what is no number or cannot be."""
    wall, cpu, device = (
        _parse_floats(cells["wall_s"]),
        _parse_optional_floats(cells["cpu_s"]),
        _parse_optional_floats(cells["device_s"]),
    )
    for name, times in (("cpu_s", cpu), ("device_s", device)):
        if times is not None and (times.size != wall.size or not (np.isfinite(times) & (times >= 0)).all()):
            raise ValueError(f"{name} of {times.size} values beside {wall.size} wall times, or one below zero")
    if cells["clock"] not in CLOCKS or (cells["clock"] == "device" and device is None):
        raise ValueError(f"clock {cells['clock']!r}")
    sentinel, baseline, slices = (
        _parse_floats(cells["sentinel_s"]),
        _parse_optional_floats(cells["baseline_s"]),
        int(cells["slices"]),
    )
    round_, started = int(cells["round"]), _parse_optional_number(cells["started_unix_s"]) or 0.0
    if round_ < 0 or started < 0:
        raise ValueError(f"round {round_}, started_unix_s {started}")
    for times, parts in ((wall, slices), (sentinel, slices + 1), (baseline, slices)):
        if slices < 1 or (times is not None and times.size % parts):
            raise ValueError(f"{slices} slices, which do not divide the times")
    throttle = tuple(cells["throttle"].split("|")) if cells["throttle"] else ()
    clock, temperature, power = (
        _parse_optional_number(cells[name]) for name in ("clock_hz", "temperature_c", "power_w")
    )
    readings = Telemetry(clock, temperature, power, throttle)
    samples = Samples(wall, cpu, device, cells["clock"], _parse_summary(cells["summary"]))
    return Trial(round_, samples, sentinel, slices, baseline, readings, cells["device"], started)


def _validate_trial(visit: Trial, what: str) -> None:
    for times in (visit.samples.wall_s, visit.samples.device_s, visit.baseline_s):
        if times is not None:
            validate_samples(times, what)
    if visit.sentinel_s.size:
        validate_samples(visit.sentinel_s, f"{what}, sentinel")


def _format_times(times: Iterable[float] | None) -> str:
    return "" if times is None else " ".join(f"{value:.9f}" for value in times)


def _format_summary(summary: RunSummary | None) -> str:
    """Return a summary as a cell: the number of runs, then mean, deviation, smallest and largest time in seconds."""
    if summary is None:
        return ""
    return f"{summary.runs} {_format_times((summary.mean_s, summary.std_s, summary.min_s, summary.max_s))}"


def _parse_summary(text: str) -> RunSummary | None:
    if not text:
        return None
    runs, *times = text.split()
    mean, deviation, least, most = map(float, times)
    return RunSummary(int(runs), mean, deviation, least, most)


def _format_number(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _parse_floats(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])


def _parse_optional_floats(text: str) -> np.ndarray | None:
    return _parse_floats(text) if text else None


def _parse_optional_number(text: str) -> float | None:
    value = float(text) if text else None
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value
