"""The sustained loop: one block back to back for minutes, to see what heat and clocks do to its speed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from donna_hw._core.files import hold_lock
from donna_hw._core.journal import Journal
from donna_hw._core.progress import track
from donna_hw._core.toml_files import read_model, write_toml
from donna_hw.devices.backends.base import Runner, TimingBackend
from donna_hw.errors import ConfigError, FileFormatError, MeasurementError, TableError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.intervals import validate_samples
from donna_hw.measurement.measurement import CLOCKS, Samples
from donna_hw.measurement.telemetry import Telemetry
from donna_hw.measurement.throttling import Burst, StressResult
from donna_hw.profiling.dtypes import validate_dtypes

__all__ = [
    "COLUMNS",
    "Burst",
    "Clock",
    "StressResult",
    "choose_window",
    "read_attempts",
    "result_path",
    "run_stress_test",
]

COLUMNS = (
    *("attempt", "started_unix_s", "elapsed_s", "burst_s", "runs", "wall_s", "cpu_s", "device_s", "clock"),
    *("clock_hz", "temperature_c", "power_w", "throttle"),
)
BURST_S = 0.25  # or a twentieth of a window, so that each of its ten spans holds a burst
MAX_SAMPLES_PER_BURST = 50  # samples journaled of a burst: an hour of a 20 us block is then 20 MB, not 6 GB
MAX_RUNS = 1_000_000


@dataclass(frozen=True)
class Clock:
    """The two clocks of a loop, in seconds: one that only runs on, and the time of day."""

    elapsed_s: Callable[[], float] = time.perf_counter
    unix_s: Callable[[], float] = time.time


class _JournalInfo(BaseModel):
    """What the TOML beside a journal says of it: `identity` must be that of every burst, `about` is for people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    donna_hw: str
    created: str
    about: dict[str, str] = {}
    identity: dict[str, Scalar]
    conditions: dict[str, Scalar] = {}
    result: dict[str, Any] = {}


def choose_window(seconds: float, window_s: float) -> float:
    """Return the length of the first and last window: `window_s`, or a third of a loop too short for two of them."""
    return window_s if seconds >= 2 * window_s else seconds / 3


def result_path(path: Path) -> Path:
    """Return the TOML beside a journal `<name>.samples.csv`: of what it is and, once finished, the result."""
    return path.with_name(path.name.removesuffix(".csv").removesuffix(".samples") + ".toml")


def run_stress_test(
    backend: TimingBackend,
    graph: Graph,
    seconds: float,
    *,
    path: Path,
    window_s: float = 60.0,
    clock: Clock | None = None,
    about: Mapping[str, str] | None = None,
) -> StressResult:
    """Run a block back to back for `seconds`, journal every burst to `path`, and compare the first window with the last.

    A finished journal is only read. An unfinished one is kept and a new attempt begun behind it: what was stopped has cooled, so a loop
    cannot go on where it was. The TOML beside the journal says of what it is (`about` goes there too); a journal of something else
    raises `TableError`. Raises `ConfigError` when runs are too long for the windows or a layer is of a type that the backend does not run,
    `MeasurementError` for times that are none.
    """
    validate_dtypes(type(backend), str(backend.environment().identity["device_model"]), [graph])
    for name, value in (("a sustained loop", seconds), ("its window", window_s)):
        if not 0 < value < math.inf:
            raise ConfigError(f"{name} must last a finite number of seconds above zero", got=value)
    window = choose_window(seconds, window_s)
    with hold_lock(path.with_suffix(".lock")):
        head = _write_or_validate_info(_build_info(backend, graph, seconds, window, about or {}), path)
        attempts = read_attempts(path)
        if not (attempts and attempts[-1][-1].end_s >= seconds):
            loop = _Loop(backend, Journal(path, COLUMNS), len(attempts) + 1, clock or Clock())
            loop.run(graph, seconds, window)
            attempts = read_attempts(path)  # the file is the truth: a later start derives the same numbers
        rested = attempts[-1][0].started_unix_s - _end_unix_s(attempts[-2]) if len(attempts) > 1 else None
        found = StressResult(tuple(attempts[-1]), seconds, window, backend.batch, rested)
        write_toml(result_path(path), {**head.model_dump(), "result": _format_result(found)})
    return found


@dataclass
class _Loop:
    backend: TimingBackend
    journal: Journal
    attempt: int
    clock: Clock

    def run(self, graph: Graph, seconds: float, window: float) -> None:
        """Run bursts until one ends after `seconds`; the first run, which warms caches, is not kept."""
        runner = self.backend.prepare(graph)
        try:
            runner.samples(1)
            start, ended, runs = self.clock.elapsed_s(), 0.0, 1
            for second in track(range(math.ceil(seconds)), "sustain", math.ceil(seconds)):
                while ended < min(second + 1, seconds):
                    burst = self._run_burst(runner, runs, start)
                    if burst.duration_s / runs > window / 4:
                        raise ConfigError(
                            f"a run must be shorter than a quarter of the window of {window:g} s",
                            got=f"{burst.duration_s / runs:.3g} s",
                            hint="let the loop last longer",
                        )
                    ended = burst.end_s
                    # tenfold at most: one short burst must not make the next one too long
                    runs = max(1, min(MAX_RUNS, 10 * runs, round(min(BURST_S, window / 20) * runs / burst.duration_s)))
        finally:
            runner.close()

    def _run_burst(self, runner: Runner, runs: int, start: float) -> Burst:
        unix, began = self.clock.unix_s(), self.clock.elapsed_s()
        samples = runner.samples(runs)
        # rounded as the journal is, so that a loop that ended is one when read back
        began, took = round(began - start, 9), round(self.clock.elapsed_s() - began, 9)
        if took <= 0:
            raise MeasurementError("the loop's clock must run on while the block runs", got=f"{took} s")
        for times in (samples.wall_s, samples.device_s):
            if times is not None:
                validate_samples(times, "a sustained loop")
        burst = Burst(unix, began, took, runs, samples, self.backend.read_telemetry())
        self.journal.append(_format_burst(self.attempt, burst))
        return burst


def read_attempts(path: Path) -> list[list[Burst]]:
    """Return the bursts of each attempt in a journal, in the order of time; raises `FileFormatError` with the line of a bad value."""
    attempts: list[list[Burst]] = []
    for line, record in enumerate(Journal(path, COLUMNS).records(), start=2):
        try:
            number, burst = int(record["attempt"]), _parse_burst(record)
        except ValueError as error:
            raise FileFormatError(
                f"{path}, line {line}: a burst must be of numbers", got=str(error), hint=_HINT
            ) from None
        if number == len(attempts) + 1:
            attempts.append([])
        if number != len(attempts) or (attempts[-1] and burst.elapsed_s < attempts[-1][-1].elapsed_s):
            found = f"attempt {number} at {burst.elapsed_s} s"
            raise FileFormatError(f"{path}, line {line}: bursts must be in the order of time", got=found, hint=_HINT)
        attempts[-1].append(burst)
    return attempts


_HINT = "restore the file, or move it away to measure anew"


def _parse_burst(record: Mapping[str, str]) -> Burst:
    """Return a record as a burst; raises `ValueError` for what is no number or cannot be."""
    times = {key: _parse_times(record[key]) if record[key] else None for key in ("wall_s", "cpu_s", "device_s")}
    wall = times["wall_s"]
    if wall is None:
        raise ValueError("no wall times")
    for key, values in times.items():
        if values is not None and (values.size != wall.size or (key != "cpu_s" and not values.all())):
            raise ValueError(f"{key} of {values.size} values, or one is zero")
    clock, temperature, power = (
        _parse_number(record[key]) if record[key] else None for key in ("clock_hz", "temperature_c", "power_w")
    )
    readings = Telemetry(clock, temperature, power, tuple(record["throttle"].split("|")) if record["throttle"] else ())
    burst_s, runs = _parse_number(record["burst_s"]), int(record["runs"])
    if burst_s <= 0 or runs < wall.size:
        raise ValueError(f"burst_s {burst_s}, runs {runs}")
    if record["clock"] not in CLOCKS or (record["clock"] == "device" and times["device_s"] is None):
        raise ValueError(f"clock {record['clock']!r}")
    samples = Samples(wall, times["cpu_s"], times["device_s"], record["clock"])
    started, elapsed = _parse_number(record["started_unix_s"]), _parse_number(record["elapsed_s"])
    if elapsed < 0:
        raise ValueError(f"elapsed_s {elapsed}")
    return Burst(started, elapsed, burst_s, runs, samples, readings)


def _parse_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value


def _parse_times(text: str) -> np.ndarray:
    values = np.array([_parse_number(word) for word in text.split()])
    if not values.size or values.min() < 0:
        raise ValueError(f"times {text[:40]!r}")
    return values


def _format_burst(attempt: int, burst: Burst) -> dict[str, object]:
    samples, readings = burst.samples, burst.telemetry
    keep = np.unique(np.linspace(0, burst.runs - 1, min(burst.runs, MAX_SAMPLES_PER_BURST)).astype(int))
    numbers = {name: getattr(readings, name) for name in ("clock_hz", "temperature_c", "power_w")}
    return {
        "attempt": attempt,
        "started_unix_s": f"{burst.started_unix_s:.3f}",
        "elapsed_s": f"{burst.elapsed_s:.9f}",
        "burst_s": f"{burst.duration_s:.9f}",
        "runs": burst.runs,
        **{name: _format_times(getattr(samples, name), keep) for name in ("wall_s", "cpu_s", "device_s")},
        "clock": samples.clock,
        **{name: "" if value is None else f"{value:.10g}" for name, value in numbers.items()},
        "throttle": "|".join(readings.throttle_reasons),
    }


def _format_times(times: np.ndarray | None, keep: np.ndarray) -> str:
    return "" if times is None else " ".join(f"{value:.9f}" for value in times[keep])


def _build_info(
    backend: TimingBackend, graph: Graph, seconds: float, window: float, about: Mapping[str, str]
) -> _JournalInfo:
    environment = backend.environment()
    measured: dict[str, Scalar] = {"layers_hash": layers_hash(graph), "batch": backend.batch}
    measured |= {"seconds": float(seconds), "window_s": float(window)}
    return _JournalInfo(
        donna_hw=version("donna-hw"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        about=dict(about),
        identity={**environment.identity, **measured},
        conditions=environment.conditions,
    )


def _write_or_validate_info(head: _JournalInfo, path: Path) -> _JournalInfo:
    """Write of what the journal will be before its first burst, or check that the one there is of the same and keep it."""
    toml = result_path(path)
    if not toml.exists():
        if path.exists():
            raise TableError(f"{toml} must stand beside the bursts and say of what they are", got="none", hint=_HINT)
        write_toml(toml, head.model_dump(exclude={"result"}))
        return head
    old = read_model(toml, _JournalInfo)
    for key in sorted(old.identity.keys() | head.identity.keys()):
        before, now = old.identity.get(key), head.identity.get(key)
        if before != now:
            rule = f"{toml} is of {key} = {before!r}, and bursts of different environments do not mix"
            raise TableError(rule, got=str(now), hint="choose another folder with --out, or move the old one away")
    return old


def _end_unix_s(bursts: list[Burst]) -> float:
    return bursts[-1].started_unix_s + bursts[-1].duration_s


def _format_result(found: StressResult) -> dict[str, object]:
    windows = {}
    for name, window in (("first", found.first), ("last", found.last)):
        interval = window.interval
        assert interval is not None  # noqa: S101  a Sustained is refused without one
        values = {"median_s": window.median_s, "low_s": interval.low, "high_s": interval.high}
        readings = {key: getattr(window, key) for key in ("runs_per_s", "clock_hz", "temperature_c", "power_w")}
        windows[name] = {**values, **{key: value for key, value in readings.items() if value is not None}}
    ratio = found.ratio_interval
    whole = {"ratio": found.ratio, "ratio_low": ratio.low, "ratio_high": ratio.high, "images_per_s": found.images_per_s}
    return {"verdict": found.verdict, **whole, "busy_share": found.busy_share, **windows}
