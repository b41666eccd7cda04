"""Stress: what a long loop of one block shows, first window against last; numbers only, all derived from its bursts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from donna_hw.errors import ConfigError
from donna_hw.measurement.intervals import Array, Interval, rounds_interval
from donna_hw.measurement.measurement import Samples
from donna_hw.measurement.telemetry import Telemetry
from donna_hw.measurement.welch import welch_dof

N_SPANS = 10  # a window is cut into so many spans of time; their medians are its independent observations
STEADY_TOLERANCE = 0.01  # a change that surely lies within +-1 % is none
NOISY_HALF_WIDTH = 0.05  # half width of the ratio's interval
BUSY_SHARE = 0.9  # less CPU time than this of the wall time, or less work than this of the loop's time, is reported
MINUTE_S = 60.0


@dataclass(frozen=True)
class Burst:
    """Runs back to back, and the device's telemetry just after them.

    Attributes:
        started_unix_s: When the burst began, in seconds since 1970.
        elapsed_s: Time from the loop's start to the burst's start, in seconds.
        duration_s: How long the burst took, in seconds.
        runs: How many runs it had.
        samples: Times of the runs, an evenly spaced selection of them where there were many.
        telemetry: State of the device right after the burst.
    """

    started_unix_s: float
    elapsed_s: float
    duration_s: float
    runs: int
    samples: Samples
    telemetry: Telemetry

    @property
    def end_s(self) -> float:
        """Time from the loop's start to the burst's end, in seconds."""
        return self.elapsed_s + self.duration_s

    @property
    def latency_s(self) -> Array:
        """The times by the clock that counts for the block, in seconds."""
        return self.samples.latency_s


@dataclass(frozen=True)
class Window:
    """The bursts that began in a stretch of time, seconds from the loop's start."""

    start_s: float
    end_s: float
    bursts: tuple[Burst, ...]

    @property
    def median_s(self) -> float:
        """Median of the samples, in seconds."""
        return float(np.median(np.concatenate([burst.latency_s for burst in self.bursts])))

    @property
    def span_medians_s(self) -> Array:
        """The median of each tenth of the window in which a burst began, in seconds."""
        spans: dict[int, list[Array]] = {}
        for burst in self.bursts:
            place = N_SPANS * (burst.elapsed_s - self.start_s) / (self.end_s - self.start_s)
            spans.setdefault(int(place), []).append(burst.latency_s)
        return np.array([np.median(np.concatenate(times)) for times in spans.values()])

    @property
    def interval(self) -> Interval | None:
        """95 % interval of the median, from the spans; None when there are fewer than two."""
        medians = self.span_medians_s
        return rounds_interval(medians) if medians.size > 1 else None

    @property
    def runs_per_s(self) -> float:
        """Runs a second while bursts ran."""
        return sum(burst.runs for burst in self.bursts) / sum(burst.duration_s for burst in self.bursts)

    @property
    def clock_hz(self) -> float | None:
        """Median clock in hertz, None where the device does not report it."""
        return self._median(lambda readings: readings.clock_hz)

    @property
    def temperature_c(self) -> float | None:
        """Median temperature, in degrees Celsius."""
        return self._median(lambda readings: readings.temperature_c)

    @property
    def power_w(self) -> float | None:
        """Median power, in watts."""
        return self._median(lambda readings: readings.power_w)

    @property
    def throttle_reasons(self) -> tuple[str, ...]:
        """The reasons for throttling that were reported, each once."""
        return tuple(sorted({reason for burst in self.bursts for reason in burst.telemetry.throttle_reasons}))

    @property
    def cpu_share(self) -> float | None:
        """Median share of a run's wall time that its thread had the CPU; None where the backend does not report it."""
        shares = [b.samples.cpu_s / b.samples.wall_s for b in self.bursts if b.samples.cpu_s is not None]
        return float(np.median(np.concatenate(shares))) if shares else None

    def _median(self, field: Callable[[Telemetry], float | None]) -> float | None:
        values = [value for burst in self.bursts if (value := field(burst.telemetry)) is not None]
        return float(np.median(values)) if values else None


@dataclass(frozen=True)
class StressResult:
    """A finished loop of one block.

    Attributes:
        bursts: Its bursts, in the order of time.
        duration_s: How long it was to last, in seconds.
        window_s: Length of its first and of its last window, in seconds.
        batch: Images per run.
        rest_s: How long the device had rested since an earlier, unfinished attempt, in seconds; None without one. The first window
            of such a loop may not have been cold.
    """

    bursts: tuple[Burst, ...]
    duration_s: float
    window_s: float
    batch: int
    rest_s: float | None = None

    def __post_init__(self) -> None:
        for name, window in (("first", self.first), ("last", self.last)):
            if not window.bursts or window.interval is None:
                raise ConfigError(
                    f"too few runs in the {name} window of a stress test: runs are needed in two of its {N_SPANS} spans",
                    got=f"{len(window.bursts)} bursts in {self.window_s:g} s",
                    hint="raise --duration",
                )

    @cached_property
    def first(self) -> Window:
        """The window at the start."""
        return self.window(0.0, self.window_s)

    @cached_property
    def last(self) -> Window:
        """The window at the end."""
        return self.window(self.duration_s - self.window_s, self.duration_s)

    def window(self, start_s: float, end_s: float) -> Window:
        """Return the bursts that began between two times from the loop's start."""
        return Window(start_s, end_s, tuple(burst for burst in self.bursts if start_s <= burst.elapsed_s < end_s))

    def split_by_minute(self) -> list[Window]:
        """Return the loop minute by minute, or in ten equal parts when it is shorter than three minutes."""
        step = MINUTE_S if self.duration_s >= 3 * MINUTE_S else self.duration_s / 10
        starts = np.arange(0, self.duration_s - step / 1e6, step)
        windows = [self.window(float(start), min(float(start) + step, self.duration_s)) for start in starts]
        return [window for window in windows if window.bursts]

    @property
    def ratio(self) -> float:
        """Time of a run in the last window over that in the first: ratio of the geometric means of the spans' medians."""
        return float(np.exp(np.log(self.last.span_medians_s).mean() - np.log(self.first.span_medians_s).mean()))

    @property
    def ratio_interval(self) -> Interval:
        """95 % interval of `ratio`, by Welch's t on the logarithms of the spans' medians."""
        first, last = np.log(self.first.span_medians_s), np.log(self.last.span_medians_s)
        variances = [logs.var(ddof=1) / logs.size for logs in (first, last)]
        dof = welch_dof(variances[0], first.size - 1, variances[1], last.size - 1)
        center, half = last.mean() - first.mean(), stats.t.ppf(0.975, dof) * np.sqrt(sum(variances))
        return Interval(float(np.exp(center - half)), float(np.exp(center + half)))

    @property
    def images_per_s(self) -> float:
        """Images per second while bursts ran, over the whole loop."""
        return self.batch * self.window(0.0, self.duration_s).runs_per_s

    @property
    def busy_share(self) -> float:
        """Share of the loop in which bursts ran; the journal and telemetry took the rest, in which the device cooled."""
        return sum(burst.duration_s for burst in self.bursts) / self.bursts[-1].end_s

    @property
    def verdict(self) -> str:
        """Whether a run takes longer in the last window than in the first, by how much, and what the device reported meanwhile."""
        return ", ".join([_describe_change(self.ratio, self.ratio_interval), *self._remarks()])

    def _remarks(self) -> list[str]:
        remarks = []
        for name, scale, unit, before, after in (
            ("clock", 1e9, "GHz", self.first.clock_hz, self.last.clock_hz),
            ("temperature", 1.0, "C", self.first.temperature_c, self.last.temperature_c),
        ):
            if before and after and abs(after / before - 1) > STEADY_TOLERANCE:
                change = "fell" if after < before else "rose"
                remarks.append(f"{name} {change} from {before / scale:.3g} to {after / scale:.3g} {unit}")
        first_reported_s: dict[str, float] = {}
        for burst in self.bursts:
            for reason in burst.telemetry.throttle_reasons:
                first_reported_s.setdefault(reason, burst.elapsed_s)
        remarks += [f"{reason} reported at minute {int(at // MINUTE_S) + 1}" for reason, at in first_reported_s.items()]
        pace = self.last.runs_per_s / self.first.runs_per_s
        if abs(pace * self.ratio - 1) > NOISY_HALF_WIDTH:  # a few long runs move the sum of times and not their median
            remarks.append(
                f"images per second changed by {100 * (pace - 1):+.2g} %, which the median run does not show"
            )
        for name, window in (("first", self.first), ("last", self.last)):
            share = window.cpu_share
            if share is not None and share < BUSY_SHARE:
                remarks.append(f"the CPU ran something else for {100 * (1 - share):.0f} % of the {name} window")
        if self.busy_share < BUSY_SHARE:
            remarks.append(f"the device rested {100 * (1 - self.busy_share):.0f} % of the time between bursts")
        if self.rest_s is not None:
            remarks.append(f"started {self.rest_s:.0f} s after an interrupted attempt: perhaps not cold")
        return remarks


def _describe_change(ratio: float, interval: Interval) -> str:
    """Return a ratio of times in words: holds its speed, slows down, speeds up, or undecided."""
    low, change, high = (100 * (value - 1) for value in (interval.low, ratio, interval.high))
    if interval.low >= 1 - STEADY_TOLERANCE and interval.high <= 1 + STEADY_TOLERANCE:
        return "holds its speed"
    if interval.low > 1:
        return f"slows down by {change:.3g} % (95 % interval {low:.3g} to {high:.3g} %)"
    if interval.high < 1:
        return f"speeds up by {-change:.3g} % (95 % interval {-high:.3g} to {-low:.3g} %)"
    noisy = (high - low) / 2 > 100 * NOISY_HALF_WIDTH
    words = "too noisy to detect a change of speed" if noisy else "no significant change of speed"
    return f"{words}: {change:+.2g} % (95 % interval {low:+.2g} to {high:+.2g} %)"
