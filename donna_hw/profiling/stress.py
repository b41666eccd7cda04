"""The stress test: one block back to back for minutes, to show what heat and clocks do to its speed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from donna_hw._core.files import hold_lock
from donna_hw._core.journal import Journal
from donna_hw._core.progress import track
from donna_hw._core.toml_files import write_toml
from donna_hw.devices.backends.base import Runner, TimingBackend
from donna_hw.errors import ConfigError, MeasurementError
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.intervals import validate_samples
from donna_hw.measurement.throttling import Burst, StressResult
from donna_hw.profiling.dtypes import validate_dtypes
from donna_hw.profiling.stress_journal import (
    BURST_COLUMNS,
    StressInfo,
    format_burst,
    format_result,
    read_attempts,
    result_path,
    write_or_validate_stress_info,
)

BURST_S = 0.25  # or a twentieth of a window, so that each of its ten spans holds a burst
MAX_RUNS = 1_000_000  # of a burst


@dataclass(frozen=True)
class Clock:
    """The two clocks of a stress test, in seconds: one that only moves forward, and the time of day."""

    elapsed_s: Callable[[], float] = time.perf_counter
    unix_s: Callable[[], float] = time.time


def choose_window(seconds: float, window_s: float) -> float:
    """Return the length of the first and last window: `window_s`, or a third of a test too short for two of them."""
    return window_s if seconds >= 2 * window_s else seconds / 3


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
    """Run a block back to back, journal every burst, and compare the first window with the last.

    A finished journal is only read. An unfinished one is kept and a new attempt begins after it: the device has cooled meanwhile, so
    that a stopped test cannot resume. The TOML next to the journal records of what it is.

    Args:
        backend: The device's backend.
        graph: The layers to run.
        seconds: How long the test lasts, in seconds.
        path: The journal, `<name>.samples.csv`.
        window_s: Length of the first and last window in seconds; a third of a test too short for two of them.
        clock: Replaceable by fakes.
        about: What the TOML records for people.

    Raises:
        ConfigError: When runs are too long for the windows, or a layer is of a type that the backend does not run.
        TableError: When the journal is of something else.
        MeasurementError: For times that are not finite and above zero.
    """
    validate_dtypes(type(backend), str(backend.environment().identity["device_model"]), [graph])
    for name, value in (("a stress test", seconds), ("its window", window_s)):
        if not 0 < value < math.inf:
            raise ConfigError(f"{name} must last a finite number of seconds above zero", got=value)
    window = choose_window(seconds, window_s)
    with hold_lock(path.with_suffix(".lock")):
        info = write_or_validate_stress_info(_build_stress_info(backend, graph, seconds, window, about or {}), path)
        attempts = read_attempts(path)
        if not (attempts and attempts[-1][-1].end_s >= seconds):
            loop = _Loop(backend, Journal(path, BURST_COLUMNS), len(attempts) + 1, clock or Clock())
            loop.run(graph, seconds, window)
            attempts = read_attempts(path)  # from the file, so that a later start derives the same numbers
        rest_s = attempts[-1][0].started_unix_s - _end_unix_s(attempts[-2]) if len(attempts) > 1 else None
        result = StressResult(tuple(attempts[-1]), seconds, window, backend.batch, rest_s)
        write_toml(result_path(path), {**info.model_dump(), "result": format_result(result)})
    return result


@dataclass
class _Loop:
    backend: TimingBackend
    journal: Journal
    attempt: int
    clock: Clock

    def run(self, graph: Graph, seconds: float, window: float) -> None:
        """Run bursts until one ends after `seconds`; the first run, which warms caches, is dropped."""
        runner = self.backend.prepare(graph)
        try:
            runner.samples(1)
            start, end_s, runs = self.clock.elapsed_s(), 0.0, 1
            for second in track(range(math.ceil(seconds)), "stress", math.ceil(seconds)):
                while end_s < min(second + 1, seconds):
                    burst = self._run_burst(runner, runs, start)
                    if burst.duration_s / runs > window / 4:
                        raise ConfigError(
                            f"a run must be shorter than a quarter of the window of {window:g} s",
                            got=f"{burst.duration_s / runs:.3g} s",
                            hint="let the test last longer",
                        )
                    end_s = burst.end_s
                    # tenfold at most: one short burst must not make the next one too long
                    runs = max(1, min(MAX_RUNS, 10 * runs, round(min(BURST_S, window / 20) * runs / burst.duration_s)))
        finally:
            runner.close()

    def _run_burst(self, runner: Runner, runs: int, start: float) -> Burst:
        unix_s, begin = self.clock.unix_s(), self.clock.elapsed_s()
        samples = runner.samples(runs)
        # rounded as in the journal, so that a test that ended has ended when read back
        elapsed_s, duration_s = round(begin - start, 9), round(self.clock.elapsed_s() - begin, 9)
        if duration_s <= 0:
            raise MeasurementError("the clock must move while the block runs", got=f"{duration_s} s")
        for times in (samples.wall_s, samples.device_s):
            if times is not None:
                validate_samples(times, "a stress test")
        burst = Burst(unix_s, elapsed_s, duration_s, runs, samples, self.backend.read_telemetry())
        self.journal.append(format_burst(self.attempt, burst))
        return burst


def _build_stress_info(
    backend: TimingBackend, graph: Graph, seconds: float, window: float, about: Mapping[str, str]
) -> StressInfo:
    environment = backend.environment()
    identity: dict[str, Scalar] = {"layers_hash": layers_hash(graph), "batch": backend.batch}
    identity |= {"seconds": float(seconds), "window_s": float(window)}
    return StressInfo(
        donna_hw=version("donna-hw"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        about=dict(about),
        identity={**environment.identity, **identity},
        conditions=environment.conditions,
    )


def _end_unix_s(bursts: list[Burst]) -> float:
    return bursts[-1].started_unix_s + bursts[-1].duration_s
