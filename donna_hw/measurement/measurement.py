"""Measurement: the raw samples of one block on one device, and the numbers that are derived from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from donna_hw.errors import MeasurementError
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.intervals import (
    Interval,
    difference_interval,
    mean_interval,
    median_interval,
    rounds_interval,
    validate_samples,
)
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.telemetry import NO_TELEMETRY, Telemetry

CLOCKS = ("", "host", "device")
SPEED_TOLERANCE = 0.06  # share by which the sentinel may be off its reference at an unchanged speed of the machine


@dataclass(frozen=True)
class RunSummary:
    """What a tool reports of consecutive runs when it does not report their single times; all times in seconds."""

    runs: int
    mean_s: float
    std_s: float
    min_s: float
    max_s: float

    def __post_init__(self) -> None:
        times = validate_samples(np.array([self.min_s, self.mean_s, self.max_s]), "a summary of runs")
        # the tool rounds: a mean may lie a little below the smallest or above the largest time
        if self.runs < 1 or not self.std_s >= 0 or (np.diff(times) < -1e-3 * self.mean_s).any():
            raise MeasurementError(
                "inconsistent summary of runs: expected one run or more, and the mean between the smallest and the largest time",
                got=self,
                hint="measure again",
            )


@dataclass(frozen=True)
class Samples:
    """Times of consecutive runs, in seconds, one value per run. Absent clocks are None, never zero.

    Args:
        wall_s: Times by the host's clock, float [runs].
        cpu_s: The thread's CPU times, float [runs], where the backend computes on the calling thread.
        device_s: Times by the device's own clock, float [runs].
        clock: Which time is the block's latency, `host` or `device`; empty: the device's where there is one, else the host's.
        summary: Of runs whose single times are not reported; `wall_s` then holds their mean alone.

    Raises:
        MeasurementError: The times by the chosen clock are missing, or a summary comes with more than the mean.
    """

    wall_s: np.ndarray
    cpu_s: np.ndarray | None = None
    device_s: np.ndarray | None = None
    clock: str = ""
    summary: RunSummary | None = None

    def __post_init__(self) -> None:
        if self.summary is not None and self.wall_s.tolist() != [self.summary.mean_s]:
            raise MeasurementError("samples with a summary must hold its mean alone", got=self.wall_s)
        if self.clock not in CLOCKS or (self.clock == "device" and self.device_s is None):
            raise MeasurementError("no samples by the chosen clock", got=self.clock, hint="measure again")

    @property
    def latency_s(self) -> np.ndarray:
        """The times by the chosen clock, in seconds, float [runs]."""
        return self.wall_s if self.device_s is None or self.clock == "host" else self.device_s


@dataclass(frozen=True)
class Trial:
    """One trial of a block: its samples, and those of the sentinel around them.

    A trial is divided into slices of equally many samples, with equally many runs of the sentinel before, between and after them,
    so that both meet the machine in the same state.

    Attributes:
        round: Number of the round, from 0.
        samples: The block's samples.
        sentinel_s: The sentinel's times in seconds, float [(slices + 1) * runs]; empty without a sentinel.
        slices: Number of slices.
        baseline_s: Where the block runs in a chain, the times of the same chain without it, in seconds, equally many in each slice;
            else None.
        telemetry: The device's telemetry when the samples were taken.
        device: Which device of a pool.
        started_unix_s: When the trial began, in seconds since 1970.
    """

    round: int
    samples: Samples
    sentinel_s: np.ndarray
    slices: int = 1
    baseline_s: np.ndarray | None = None
    telemetry: Telemetry = NO_TELEMETRY
    device: str = ""
    started_unix_s: float = 0.0

    @cached_property
    def cost_s(self) -> np.ndarray:
        """What the block adds to each run, in seconds, float [slices, runs].

        That is the sample, less the median of its chain without it in the same slice where it has one.
        """
        latency_s = self.samples.latency_s.reshape(self.slices, -1)
        if self.baseline_s is None:
            return latency_s
        return np.asarray(latency_s - np.median(self.baseline_s.reshape(self.slices, -1), axis=1, keepdims=True))

    @cached_property
    def sentinel_medians_s(self) -> np.ndarray:
        """Median of the sentinel runs on both sides of each slice, in seconds, float [slices]."""
        runs = self.sentinel_s.reshape(self.slices + 1, -1)
        return np.asarray(np.median(np.concatenate([runs[:-1], runs[1:]], axis=1), axis=1))


@dataclass(frozen=True)
class Measurement:
    """What was measured of one block; all statistics are properties.

    Args:
        trials: The trials, in the order of time.
        protocol: How they were taken.
        environment: Where they were taken.
        sentinel_reference_s: The sentinel's time on this machine undisturbed, in seconds, from the whole table; it turns ratios back
            into seconds. None without a sentinel.
        min_relative_std: Lower bound on the relative standard deviation of rounds in the interval, from the whole table: over few
            rounds a block may look less noisy than it is.

    Raises:
        MeasurementError: There are no samples, or one is not a finite time above zero.
    """

    trials: tuple[Trial, ...]
    protocol: Protocol
    environment: Environment
    sentinel_reference_s: float | None = None
    min_relative_std: float = 0.0

    def __post_init__(self) -> None:
        validate_samples(self.raw_s if self.trials else np.empty(0), "a measurement")
        if self.sentinel_reference_s is not None:
            validate_samples(np.array([self.sentinel_reference_s]), "a sentinel's reference")
            for trial in self.trials:
                validate_samples(trial.sentinel_s, f"the sentinel of round {trial.round}")

    @property
    def raw_s(self) -> np.ndarray:
        """All samples as they were, in seconds."""
        return np.concatenate([trial.samples.latency_s for trial in self.trials])

    @property
    def summaries(self) -> tuple[RunSummary, ...]:
        """Summaries of runs whose single times were not reported; empty where all times are known."""
        return tuple(trial.samples.summary for trial in self.trials if trial.samples.summary is not None)

    @property
    def runs(self) -> int:
        """How many runs were timed."""
        return sum(summary.runs for summary in self.summaries) or self.raw_s.size

    @property
    def in_context(self) -> bool:
        """Whether the block was timed in a chain: its latency is then a difference, and may come out below zero."""
        return any(trial.baseline_s is not None for trial in self.trials)

    @cached_property
    def drift_corrected_rounds_s(self) -> tuple[np.ndarray, ...]:
        """What the block cost in each run of each round, in seconds, with the machine's changes of speed corrected.

        Each slice is divided by the sentinel's median around it, times its reference. That is exact only near the reference, since
        blocks do not all slow down alike: a busy neighbor slows one more than another. Slices in which the sentinel was off
        its reference by more than 6 % are therefore discarded, unless fewer than half of the rounds would remain.
        """
        if self.sentinel_reference_s is None:
            return tuple(trial.cost_s.ravel() for trial in self.trials)
        speeds = [self.sentinel_reference_s / trial.sentinel_medians_s for trial in self.trials]
        usable = [np.abs(np.log(speed)) <= np.log(1 + SPEED_TOLERANCE) for speed in speeds]
        if 2 * sum(bool(slices.any()) for slices in usable) < len(self.trials):
            usable = [np.ones_like(slices) for slices in usable]
        rounds = [
            (trial.cost_s * speed[:, None])[slices].ravel()
            for trial, speed, slices in zip(self.trials, speeds, usable, strict=True)
        ]
        return tuple(costs for costs in rounds if costs.size)

    @cached_property
    def drift_corrected_s(self) -> np.ndarray:
        """What the block cost in each run over all rounds, in seconds: see `drift_corrected_rounds_s`."""
        return np.concatenate(self.drift_corrected_rounds_s)

    @cached_property
    def round_medians_s(self) -> np.ndarray:
        """Median of the drift-corrected runs of each round that is used, in seconds, in the order of time."""
        return np.array([float(np.median(costs)) for costs in self.drift_corrected_rounds_s])

    @property
    def n_discarded_rounds(self) -> int:
        """How many rounds are discarded because the machine ran at another speed."""
        return len(self.trials) - len(self.drift_corrected_rounds_s)

    @property
    def median_s(self) -> float:
        """Median of the drift-corrected samples, in seconds."""
        return float(np.median(self.drift_corrected_s))

    @property
    def raw_median_s(self) -> float:
        """Median of what the block cost in each run, as it was, in seconds."""
        return float(np.median(np.concatenate([trial.cost_s.ravel() for trial in self.trials])))

    @property
    def mean_s(self) -> float:
        """Mean of the drift-corrected samples, in seconds."""
        return float(self.drift_corrected_s.mean())

    @property
    def min_s(self) -> float:
        """Smallest of the drift-corrected samples, in seconds."""
        return float(self.drift_corrected_s.min())

    @property
    def value_s(self) -> float:
        """The protocol's statistic, in seconds."""
        return {"median": self.median_s, "mean": self.mean_s, "min": self.min_s}[self.protocol.statistic]

    @cached_property
    def interval(self) -> Interval:
        """95 % interval: over rounds where there are several, over samples where there is one."""
        if len(self.round_medians_s) < 2:
            if self.summaries:
                summary = self.summaries[0]
                return mean_interval(summary.mean_s, summary.std_s, summary.runs)
            return median_interval(self.drift_corrected_s)
        if self.in_context:
            return difference_interval(self.round_medians_s, self.min_relative_std * abs(self.median_s))
        return rounds_interval(self.round_medians_s, self.min_relative_std)

    @property
    def relative_std(self) -> float:
        """Standard deviation of the rounds as a share of the median; NaN for one round, or a median that is not above zero."""
        if len(self.round_medians_s) < 2 or self.median_s <= 0:
            return float("nan")
        if self.in_context:
            return float(self.round_medians_s.std(ddof=1)) / self.median_s
        return float(np.log(self.round_medians_s).std(ddof=1))

    @property
    def relative_half_width(self) -> float:
        """Half the width of the interval, as a share of the median; infinite where the median is not above zero."""
        return self.interval.half_width / self.median_s if self.median_s > 0 else float("inf")
