"""The files of a stress test: a journal of its bursts, and a TOML that records of what they are and the result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from donna_hw._core.journal import Journal
from donna_hw._core.toml_files import StrictModel, read_model, write_toml
from donna_hw.errors import FileFormatError, TableError
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.throttling import Burst, StressResult
from donna_hw.profiling.sample_cells import (
    SAMPLE_COLUMNS,
    TELEMETRY_COLUMNS,
    format_samples,
    format_telemetry,
    parse_number,
    parse_samples,
    parse_telemetry,
)

BURST_COLUMNS = ("attempt", "started_unix_s", "elapsed_s", "burst_s", "runs", *SAMPLE_COLUMNS, *TELEMETRY_COLUMNS)
MAX_SAMPLES_PER_BURST = 50  # samples journaled of a burst: an hour of a 20 us block is then 20 MB, not 6 GB
TELEMETRY_DIGITS = 10
_HINT = "restore the file, or move it away to measure again"


class StressInfo(StrictModel):
    """The TOML next to a journal: `identity` must be that of every burst, `about` is for people."""

    donna_hw: str
    created: str
    about: dict[str, str] = Field(default={})
    identity: dict[str, Scalar]
    conditions: dict[str, Scalar] = Field(default={})
    result: dict[str, Any] = Field(default={})


def result_path(path: Path) -> Path:
    """Return the TOML next to a journal `<name>.samples.csv`, which records of what it is and, once finished, the result."""
    return path.with_name(path.name.removesuffix(".csv").removesuffix(".samples") + ".toml")


def read_attempts(path: Path) -> list[list[Burst]]:
    """Return the bursts of each attempt in a journal, in the order of time; raises `FileFormatError` with the line of a bad value."""
    attempts: list[list[Burst]] = []
    for line, cells in enumerate(Journal(path, BURST_COLUMNS).records(), start=2):
        try:
            number, burst = int(cells["attempt"]), _parse_burst(cells)
        except ValueError as error:
            raise FileFormatError(f"{path}, line {line}: a burst cannot be read: {error}", hint=_HINT) from None
        if number == len(attempts) + 1:
            attempts.append([])
        if number != len(attempts) or (attempts[-1] and burst.elapsed_s < attempts[-1][-1].elapsed_s):
            raise FileFormatError(
                f"{path}, line {line}: bursts must be in the order of time",
                got=f"attempt {number} at {burst.elapsed_s} s",
                hint=_HINT,
            )
        attempts[-1].append(burst)
    return attempts


def format_burst(attempt: int, burst: Burst) -> dict[str, object]:
    """Return the cells of a burst, at most `MAX_SAMPLES_PER_BURST` evenly spaced samples of it."""
    picks = np.unique(np.linspace(0, burst.runs - 1, min(burst.runs, MAX_SAMPLES_PER_BURST)).astype(int))
    return {
        "attempt": attempt,
        "started_unix_s": f"{burst.started_unix_s:.3f}",
        "elapsed_s": f"{burst.elapsed_s:.9f}",
        "burst_s": f"{burst.duration_s:.9f}",
        "runs": burst.runs,
        **format_samples(burst.samples, picks),
        **format_telemetry(burst.telemetry, TELEMETRY_DIGITS),
    }


def _parse_burst(cells: Mapping[str, str]) -> Burst:
    """Return the burst of a record; raises `ValueError` for cells that are not numbers or do not fit together."""
    samples, telemetry = parse_samples(cells), parse_telemetry(cells)
    for name, times in (("wall_s", samples.wall_s), ("device_s", samples.device_s)):
        if times is not None and not (times.size and (np.isfinite(times) & (times > 0)).all()):
            raise ValueError(f"{name} {cells[name][:40]!r}")
    duration_s, runs = parse_number(cells["burst_s"]), int(cells["runs"])
    if duration_s <= 0 or runs < samples.wall_s.size:
        raise ValueError(f"burst_s {duration_s}, runs {runs}")
    started, elapsed = parse_number(cells["started_unix_s"]), parse_number(cells["elapsed_s"])
    if elapsed < 0:
        raise ValueError(f"elapsed_s {elapsed}")
    return Burst(started, elapsed, duration_s, runs, samples, telemetry)


def write_or_validate_stress_info(info: StressInfo, path: Path) -> StressInfo:
    """Write the TOML of a journal before its first burst, or check that the one there is of the same and return that."""
    toml = result_path(path)
    if not toml.exists():
        if path.exists():
            raise TableError(f"{toml}: no such file, but bursts that need it", hint=_HINT)
        write_toml(toml, info.model_dump(exclude={"result"}))
        return info
    old = read_model(toml, StressInfo)
    for key in sorted(old.identity.keys() | info.identity.keys()):
        before, now = old.identity.get(key), info.identity.get(key)
        if before != now:
            raise TableError(
                f"{toml} is of {key} = {before!r}, and bursts of different environments do not mix",
                got=str(now),
                hint="choose another folder with --tables, or move the old one away",
            )
    return old


def format_result(result: StressResult) -> dict[str, object]:
    """Return what the TOML records of a finished stress test."""
    windows = {}
    for name, window in (("first", result.first), ("last", result.last)):
        interval = window.interval
        assert interval is not None  # noqa: S101  a StressResult is refused without one
        values = {"median_s": window.median_s, "low_s": interval.low, "high_s": interval.high}
        optional = {key: getattr(window, key) for key in ("runs_per_s", "clock_hz", "temperature_c", "power_w")}
        windows[name] = {**values, **{key: value for key, value in optional.items() if value is not None}}
    ratio = result.ratio_interval
    whole = {
        "ratio": result.ratio,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "images_per_s": result.images_per_s,
    }
    return {"verdict": result.verdict, **whole, "busy_share": result.busy_share, **windows}
