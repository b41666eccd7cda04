"""The samples' journal: every visit that was made and every block that failed, one synced line each; tables are derived from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from donna_hw.errors import BadFile
from donna_hw.files import Journal
from donna_hw.measurement.measurement import Samples, Visit
from donna_hw.measurement.readings import Readings
from donna_hw.measurement.statistics import checked

COLUMNS = (
    *("what", "layers_hash", "attempt", "round", "device", "started_unix_s"),
    *("sentinel_s", "wall_s", "cpu_s", "device_s", "baseline_s"),
    *("clock_hz", "temperature_c", "power_w", "throttle", "failure"),
)


@dataclass
class Record:
    """What is journaled of one block in its latest attempt; earlier attempts stay in the file.

    failure: why the block could not be run, empty if it could.
    """

    name: str
    attempt: int = 0
    visits: list[Visit] = field(default_factory=list)
    failure: str = ""


class SamplesJournal:
    """`<variant>.samples.csv`: appended to visit by visit, read back as {layers_hash: Record}."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = Journal(path, COLUMNS)

    def add(self, key: str, name: str, attempt: int, visit: Visit) -> Visit:
        """Append one visit, and return it as it reads back; raises `BadMeasurement` for times that are none, and writes nothing."""
        samples, readings = visit.samples, visit.readings
        cells = {
            **self._frame(key, name, attempt, visit.round),
            "device": visit.device,
            "started_unix_s": f"{visit.started_unix_s:.3f}",
            "sentinel_s": _text(visit.sentinel_s),
            "wall_s": _text(samples.wall_s),
            "cpu_s": _text(samples.cpu_s),
            "device_s": _text(samples.device_s),
            "baseline_s": _text(visit.baseline_s),
            "clock_hz": _number(readings.clock_hz),
            "temperature_c": _number(readings.temperature_c),
            "power_w": _number(readings.power_w),
            "throttle": "|".join(readings.throttle),
        }
        kept = _visit(cells)
        _check(kept, name)  # as rounded: a time that becomes 0 in the file would make the file unreadable
        self._journal.append(cells)
        return kept

    def add_failure(self, key: str, name: str, attempt: int, reason: str) -> None:
        """Append that a block failed."""
        self._journal.append({**self._frame(key, name, attempt, 0), "failure": reason or "no reason given"})

    def read(self) -> dict[str, Record]:
        """Return the latest attempt at each block, visits in the order of rounds; raises `BadFile` with the line of a bad value."""
        found: dict[str, Record] = {}
        for line, cells in enumerate(self._journal.records(), start=2):
            where = f"{self.path}, line {line}"
            try:
                attempt, visit = int(cells["attempt"]), _visit(cells)
            except (ValueError, OverflowError) as error:
                raise BadFile(
                    f"{where}: times must be numbers in seconds, attempt and round whole ones",
                    found=str(error),
                    cure="delete the line: only this visit is measured again",
                ) from None
            record = found.get(cells["layers_hash"])
            if record is None or attempt > record.attempt:
                record = found[cells["layers_hash"]] = Record(cells["what"], attempt)
            if attempt < record.attempt:
                continue
            if cells["failure"]:
                record.failure = cells["failure"]
                continue
            _check(visit, where)
            if visit.round in (other.round for other in record.visits):
                raise BadFile(
                    f"{where}: a block must be visited once a round",
                    found=f"round {visit.round} of {cells['what']} again",
                    cure="delete the line",
                )
            record.visits.append(visit)
        for record in found.values():
            record.visits.sort(key=lambda visit: visit.round)
        return found

    def _frame(self, key: str, name: str, attempt: int, round_: int) -> dict[str, str]:
        names = {"what": name, "layers_hash": key, "attempt": str(attempt), "round": str(round_)}
        return dict.fromkeys(COLUMNS, "") | names


def _visit(cells: dict[str, str]) -> Visit:
    baseline = _absent(cells["baseline_s"])
    return Visit(
        int(cells["round"]),
        Samples(_floats(cells["wall_s"]), _absent(cells["cpu_s"]), _absent(cells["device_s"])),
        _floats(cells["sentinel_s"]),
        baseline,
        Readings(
            _maybe(cells["clock_hz"]),
            _maybe(cells["temperature_c"]),
            _maybe(cells["power_w"]),
            tuple(cells["throttle"].split("|")) if cells["throttle"] else (),
        ),
        cells["device"],
        float(cells["started_unix_s"] or 0),
    )


def _check(visit: Visit, what: str) -> None:
    for times in (visit.samples.wall_s, visit.samples.device_s, visit.baseline_s):
        if times is not None:
            checked(times, what)
    if visit.sentinel_s.size:
        checked(visit.sentinel_s, f"{what}, sentinel")


def _text(times: Iterable[float] | None) -> str:
    return "" if times is None else " ".join(f"{value:.9f}" for value in times)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _floats(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])


def _absent(text: str) -> np.ndarray | None:
    return _floats(text) if text else None


def _maybe(text: str) -> float | None:
    return float(text) if text else None
