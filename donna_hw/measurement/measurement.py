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
SPEED_TOLERANCE = (
    0.06  # share by which the sentinel may be off its reference while the machine is said to run at the same speed
)


@dataclass(frozen=True)
class RunSummary:
    """What a tool tells of consecutive runs whose single times it keeps to itself; times in seconds."""

    runs: int
    mean_s: float
    std_s: float
    min_s: float
    max_s: float

    def __post_init__(self) -> None:
        times = validate_samples(np.array([self.min_s, self.mean_s, self.max_s]), "a summary of runs")
        # the tool rounds: a mean may lie a little outside of what it is the mean of
        if self.runs < 1 or not self.std_s >= 0 or (np.diff(times) < -1e-3 * self.mean_s).any():
            raise MeasurementError(
                "a summary must be of one run or more, its mean between its smallest and its largest time",
                got=self,
                hint="measure again",
            )


@dataclass(frozen=True)
class Samples:
    """Times of consecutive runs, in seconds, one value a run.

    wall_s: by the host's clock. cpu_s: the thread's CPU time, where the backend computes on the calling thread. device_s: by the
    device's own clock. Absent clocks are None, never zero. clock: which time stands for the block, `host` or `device`; where it names
    none, the device's where there is one. summary: of runs whose single times are not told; `wall_s` then holds their mean alone. Raises
    `MeasurementError` without the time that it names.
    """

    wall_s: np.ndarray
    cpu_s: np.ndarray | None = None
    device_s: np.ndarray | None = None
    clock: str = ""
    summary: RunSummary | None = None

    def __post_init__(self) -> None:
        if self.summary is not None and self.wall_s.tolist() != [self.summary.mean_s]:
            raise MeasurementError("samples that are summarised must hold the mean alone", got=self.wall_s)
        if self.clock not in CLOCKS or (self.clock == "device" and self.device_s is None):
            raise MeasurementError(
                "samples must hold the time by the clock that stands for the block",
                got=self.clock,
                hint="measure again",
            )

    @property
    def latency_s(self) -> np.ndarray:
        """The times that stand for the block."""
        return self.wall_s if self.device_s is None or self.clock == "host" else self.device_s


@dataclass(frozen=True)
class Trial:
    """One visit to a block: its samples, and those of the sentinel around them (empty without a sentinel).

    A visit is cut into slices of equally many samples, with equally many runs of the sentinel before, between and after them, so
    that both meet the machine in the same state.
    baseline_s: where the block runs in a chain, the times of the same chain without it, equally many in each slice; else None.
    readings: what the device said of itself when the samples were taken. device: which one of a pool.
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
        timed = self.samples.latency_s.reshape(self.slices, -1)
        if self.baseline_s is None:
            return timed
        return np.asarray(timed - np.median(self.baseline_s.reshape(self.slices, -1), axis=1, keepdims=True))

    @cached_property
    def sentinel_medians_s(self) -> np.ndarray:
        """Median of the sentinel runs on both sides of each slice, in seconds, float [slices]."""
        runs = self.sentinel_s.reshape(self.slices + 1, -1)
        return np.asarray(np.median(np.concatenate([runs[:-1], runs[1:]], axis=1), axis=1))


@dataclass(frozen=True)
class Measurement:
    """What was measured of one block: visits, protocol and environment; all statistics are properties.

    sentinel_reference_s: how fast the sentinel is on this machine undisturbed, from the whole table, which turns ratios back into
    seconds; None without a sentinel. least_spread: relative standard deviation of rounds that the interval assumes at least, from the
    whole table: of a few rounds a block may look calmer than it is.
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
            for visit in self.trials:
                validate_samples(visit.sentinel_s, f"the sentinel of round {visit.round}")

    @property
    def raw_s(self) -> np.ndarray:
        """All samples as they were, in seconds."""
        return np.concatenate([visit.samples.latency_s for visit in self.trials])

    @property
    def summaries(self) -> tuple[RunSummary, ...]:
        """What a tool told of runs that it did not tell one by one; empty where all times are known."""
        return tuple(visit.samples.summary for visit in self.trials if visit.samples.summary is not None)

    @property
    def runs(self) -> int:
        """How many runs were timed."""
        return sum(summary.runs for summary in self.summaries) or self.raw_s.size

    @property
    def in_context(self) -> bool:
        """Whether the block was timed in a chain: its latency is then a difference, and may come out below zero."""
        return any(visit.baseline_s is not None for visit in self.trials)

    @cached_property
    def drift_corrected_rounds_s(self) -> tuple[np.ndarray, ...]:
        """What the block cost in each run of each round, in seconds on a steady machine.

        Each slice is divided by the sentinel's median around it, times its reference. That is exact only near the reference, since
        blocks do not all slow down alike: a busy neighbour slows one more than another. Slices in which the
        sentinel was off its reference by more than 6 % are therefore set aside, unless fewer than half of the rounds would be left.
        """
        if self.sentinel_reference_s is None:
            return tuple(visit.cost_s.ravel() for visit in self.trials)
        paces = [self.sentinel_reference_s / visit.sentinel_medians_s for visit in self.trials]
        same = [np.abs(np.log(pace)) <= np.log(1 + SPEED_TOLERANCE) for pace in paces]
        if 2 * sum(bool(slices.any()) for slices in same) < len(self.trials):
            same = [np.ones_like(slices) for slices in same]
        kept = [
            (visit.cost_s * pace[:, None])[slices].ravel()
            for visit, pace, slices in zip(self.trials, paces, same, strict=True)
        ]
        return tuple(costs for costs in kept if costs.size)

    @cached_property
    def drift_corrected_s(self) -> np.ndarray:
        """What the block cost in each run, over all rounds: see `steadied_rounds_s`."""
        return np.concatenate(self.drift_corrected_rounds_s)

    @cached_property
    def round_medians_s(self) -> np.ndarray:
        """Median of the steadied runs of each round that is used, in the order of time."""
        return np.array([float(np.median(costs)) for costs in self.drift_corrected_rounds_s])

    @property
    def n_discarded_rounds(self) -> int:
        """How many rounds met the machine in another state and are not used."""
        return len(self.trials) - len(self.drift_corrected_rounds_s)

    @property
    def median_s(self) -> float:
        """Median of the steadied samples, in seconds."""
        return float(np.median(self.drift_corrected_s))

    @property
    def raw_median_s(self) -> float:
        """Median of what the block cost in each run, as it was, in seconds."""
        return float(np.median(np.concatenate([visit.cost_s.ravel() for visit in self.trials])))

    @property
    def mean_s(self) -> float:
        """Mean of the steadied samples, in seconds."""
        return float(self.drift_corrected_s.mean())

    @property
    def min_s(self) -> float:
        """Smallest of the steadied samples, in seconds."""
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
                told = self.summaries[0]
                return mean_interval(told.mean_s, told.std_s, told.runs)
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
