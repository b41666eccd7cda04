"""The samples' journal: every trial and every block that failed, one synced line each; tables are derived from it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

from donna_hw._core.journal import Journal
from donna_hw.errors import FileFormatError
from donna_hw.measurement.intervals import validate_samples
from donna_hw.measurement.measurement import Trial
from donna_hw.profiling.sample_cells import (
    SAMPLE_COLUMNS,
    TELEMETRY_COLUMNS,
    format_samples,
    format_summary,
    format_telemetry,
    format_times,
    parse_number,
    parse_samples,
    parse_summary,
    parse_telemetry,
    parse_times,
)

COLUMNS = (
    *("name", "layers_hash", "attempt", "round", "device", "started_unix_s", "slices", "sentinel_s"),
    *(*SAMPLE_COLUMNS, "baseline_s", *TELEMETRY_COLUMNS, "failure", "summary"),
)
OPTIONAL_COLUMNS = ("summary",)  # columns that journals of earlier versions lack


@dataclass
class BlockRecord:
    """What is journaled of one block in its latest attempt; earlier attempts stay in the file.

    Attributes:
        name: The block's name for people.
        attempt: The number of the attempt, from 0.
        trials: One for each round, in the order of rounds.
        failure: Why the block could not be run, empty if it could.
        stopping_rule: The rule that ended its measurement. It follows from the trials and is not journaled.
    """

    name: str
    attempt: int = 0
    trials: list[Trial] = field(default_factory=list)
    failure: str = ""
    stopping_rule: str = ""

    def before_round(self, round_: int) -> BlockRecord:
        """Return the record as it was when a round began."""
        trials = [trial for trial in self.trials if trial.round < round_]
        return BlockRecord(self.name, self.attempt, trials, self.failure)


class SampleJournal:
    """`<variant>.samples.csv`: appended to trial by trial, read back as {layers_hash: BlockRecord}."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = Journal(path, COLUMNS, new_columns=OPTIONAL_COLUMNS)

    def add(self, key: str, name: str, attempt: int, trial: Trial) -> Trial:
        """Append one trial.

        Args:
            key: The block's layers_hash.
            name: The block's name for people.
            attempt: The number of the attempt.
            trial: What was measured.

        Returns:
            The trial as it reads back, its times rounded to nanoseconds.

        Raises:
            MeasurementError: For times that are not finite and above zero; nothing is written then.
        """
        cells = {
            **self._key_cells(key, name, attempt, trial.round),
            "device": trial.device,
            "started_unix_s": f"{trial.started_unix_s:.3f}",
            "slices": str(trial.slices),
            "sentinel_s": format_times(trial.sentinel_s),
            **format_samples(trial.samples),
            "baseline_s": format_times(trial.baseline_s),
            **format_telemetry(trial.telemetry),
            "summary": format_summary(trial.samples.summary),
        }
        rounded = _parse_trial(cells)
        _validate_trial(rounded, name)  # as rounded: a time that becomes 0 in the file would make the file unreadable
        self._journal.append(cells)
        return rounded

    def add_failure(self, key: str, name: str, attempt: int, reason: str) -> None:
        """Append that a block failed."""
        self._journal.append({**self._key_cells(key, name, attempt, 0), "failure": reason or "no reason given"})

    def read(self, only: Container[str] | None = None) -> dict[str, BlockRecord]:
        """Return the latest attempt at each block, by layers_hash, its trials in the order of rounds.

        Args:
            only: The layers_hashes to read, where only a few of a long journal are needed.

        Raises:
            FileFormatError: For a broken line, with its number.
            MeasurementError: For times that are not finite and above zero, with the number of their line.
        """
        records: dict[str, BlockRecord] = {}
        for line, cells in enumerate(self._journal.records(), start=2):
            if only is not None and cells["layers_hash"] not in only:
                continue
            where = f"{self.path}, line {line}"
            try:
                attempt, trial = int(cells["attempt"]), None if cells["failure"] else _parse_trial(cells)
            except (ValueError, OverflowError) as error:
                raise FileFormatError(
                    f"{where}: a trial cannot be read: {error}",
                    hint="delete the line: only this trial is measured again",
                ) from None
            record = records.get(cells["layers_hash"])
            if record is None or attempt > record.attempt:
                record = records[cells["layers_hash"]] = BlockRecord(cells["name"], attempt)
            if attempt < record.attempt:
                continue
            if trial is None:
                record.failure = cells["failure"]
                continue
            _validate_trial(trial, where)
            if trial.round in (other.round for other in record.trials):
                raise FileFormatError(
                    f"{where}: a second trial of {cells['name']} in round {trial.round}", hint="delete the line"
                )
            record.trials.append(trial)
        for record in records.values():
            record.trials.sort(key=lambda trial: trial.round)
        return records

    def _key_cells(self, key: str, name: str, attempt: int, round_: int) -> dict[str, str]:
        cells = {"name": name, "layers_hash": key, "attempt": str(attempt), "round": str(round_)}
        return dict.fromkeys(COLUMNS, "") | cells


def _parse_trial(cells: dict[str, str]) -> Trial:
    """Return a line's trial; raises `ValueError` for cells that are not numbers or do not fit together."""
    samples, telemetry = parse_samples(cells, parse_summary(cells["summary"])), parse_telemetry(cells)
    sentinel, slices = parse_times(cells["sentinel_s"]), int(cells["slices"])
    baseline = parse_times(cells["baseline_s"]) if cells["baseline_s"] else None
    round_, started = int(cells["round"]), parse_number(cells["started_unix_s"]) if cells["started_unix_s"] else 0.0
    if round_ < 0 or started < 0:
        raise ValueError(f"round {round_}, started_unix_s {started}")
    for times, parts in ((samples.wall_s, slices), (sentinel, slices + 1), (baseline, slices)):
        if slices < 1 or (times is not None and times.size % parts):
            raise ValueError(f"{slices} slices, which do not divide the times")
    return Trial(round_, samples, sentinel, slices, baseline, telemetry, cells["device"], started)


def _validate_trial(trial: Trial, context: str) -> None:
    for times in (trial.samples.wall_s, trial.samples.device_s, trial.baseline_s):
        if times is not None:
            validate_samples(times, context)
    if trial.sentinel_s.size:
        validate_samples(trial.sentinel_s, f"{context}, sentinel")
