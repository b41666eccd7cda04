"""Measurement: the raw samples of one block on one device, and the numbers that are derived from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from donna_hw.errors import BadMeasurement
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.readings import NOTHING_READ, Readings
from donna_hw.measurement.statistics import Interval, checked, difference_interval, median_interval, rounds_interval

CLOCKS = ("", "host", "device")


@dataclass(frozen=True)
class Samples:
    """Times of consecutive runs, in seconds, one value a run.

    wall_s: by the host's clock. cpu_s: the thread's CPU time, where the backend computes on the calling thread. device_s: by the
    device's own clock. Absent clocks are None, never zero. clock: which time stands for the block, `host` or `device`; where it names
    none, the device's where there is one. Raises `BadMeasurement` without the time that it names.
    """

    wall_s: np.ndarray
    cpu_s: np.ndarray | None = None
    device_s: np.ndarray | None = None
    clock: str = ""

    def __post_init__(self) -> None:
        if self.clock not in CLOCKS or (self.clock == "device" and self.device_s is None):
            raise BadMeasurement(
                "samples must hold the time by the clock that stands for the block",
                found=self.clock,
                cure="measure again",
            )

    @property
    def timed_s(self) -> np.ndarray:
        """The times that stand for the block."""
        return self.wall_s if self.device_s is None or self.clock == "host" else self.device_s


@dataclass(frozen=True)
class Visit:
    """One visit to a block: its samples, and those of the sentinel just before and after (empty without a sentinel).

    baseline_s: where the block runs in a chain, the times of the same chain without it, taken before and after; else None.
    readings: what the device said of itself when the samples were taken. device: which one of a pool.
    """

    round: int
    samples: Samples
    sentinel_s: np.ndarray
    baseline_s: np.ndarray | None = None
    readings: Readings = NOTHING_READ
    device: str = ""
    started_unix_s: float = 0.0

    @property
    def sentinel_median_s(self) -> float:
        """Median of the neighbouring sentinel runs, in seconds."""
        return float(np.median(self.sentinel_s))

    @property
    def cost_s(self) -> np.ndarray:
        """What the block adds to each run, in seconds: the sample, less the median of its chain without it where it has one."""
        if self.baseline_s is None:
            return self.samples.timed_s
        return self.samples.timed_s - float(np.median(self.baseline_s))


@dataclass(frozen=True)
class Measurement:
    """What was measured of one block: visits, protocol and environment; all statistics are properties.

    sentinel_reference_s: the sentinel's median over the whole table, which turns ratios back into seconds; None without one.
    """

    visits: tuple[Visit, ...]
    protocol: Protocol
    environment: Environment
    sentinel_reference_s: float | None = None

    def __post_init__(self) -> None:
        checked(self.raw_s if self.visits else np.empty(0), "a measurement")
        if self.sentinel_reference_s is not None:
            checked(np.array([self.sentinel_reference_s]), "a sentinel's reference")
            for visit in self.visits:
                checked(visit.sentinel_s, f"the sentinel of round {visit.round}")

    @property
    def raw_s(self) -> np.ndarray:
        """All samples as they were, in seconds."""
        return np.concatenate([visit.samples.timed_s for visit in self.visits])

    @property
    def in_chain(self) -> bool:
        """Whether the block was timed in a chain: its latency is then a difference, and may come out below zero."""
        return any(visit.baseline_s is not None for visit in self.visits)

    @cached_property
    def steadied_s(self) -> np.ndarray:
        """What the block cost in each run, divided by the neighbouring sentinel's median, times its reference.

        This is what a steady machine would show.
        """
        return np.concatenate([visit.cost_s * self._pace(visit) for visit in self.visits])

    @cached_property
    def round_medians_s(self) -> np.ndarray:
        """Median of the steadied samples of each visit, in the order of time."""
        return np.array([float(np.median(visit.cost_s)) * self._pace(visit) for visit in self.visits])

    @property
    def median_s(self) -> float:
        """Median of the steadied samples, in seconds."""
        return float(np.median(self.steadied_s))

    @property
    def raw_median_s(self) -> float:
        """Median of what the block cost in each run, as it was, in seconds."""
        return float(np.median(np.concatenate([visit.cost_s for visit in self.visits])))

    @property
    def mean_s(self) -> float:
        """Mean of the steadied samples, in seconds."""
        return float(self.steadied_s.mean())

    @property
    def min_s(self) -> float:
        """Smallest of the steadied samples, in seconds."""
        return float(self.steadied_s.min())

    @property
    def value_s(self) -> float:
        """The protocol's statistic, in seconds."""
        return {"median": self.median_s, "mean": self.mean_s, "min": self.min_s}[self.protocol.statistic]

    @cached_property
    def interval(self) -> Interval:
        """95 % interval: over rounds where there are several, over samples where there is one."""
        if len(self.visits) < 2:
            return median_interval(self.steadied_s)
        return difference_interval(self.round_medians_s) if self.in_chain else rounds_interval(self.round_medians_s)

    @property
    def half_width(self) -> float:
        """Half the width of the interval, as a share of the median; infinite where the median is not above zero."""
        return self.interval.half / self.median_s if self.median_s > 0 else float("inf")

    def _pace(self, visit: Visit) -> float:
        return 1.0 if self.sentinel_reference_s is None else self.sentinel_reference_s / visit.sentinel_median_s
