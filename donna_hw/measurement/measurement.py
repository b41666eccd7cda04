"""Measurement: the raw samples of one block on one device, and everything that is derived from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.errors import BadMeasurement
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.statistics import Interval, checked, median_interval, rounds_interval

NOISY_HALF_WIDTH = 0.05
PREEMPTED_CPU_SHARE = 0.9


@dataclass(frozen=True)
class Samples:
    """Times of consecutive runs, in seconds, one value a run.

    wall_s: by the host's clock. cpu_s: the thread's CPU time, where the backend computes on the calling thread. device_s: by the
    device's own clock. Absent clocks are None, never zero.
    """

    wall_s: np.ndarray
    cpu_s: np.ndarray | None = None
    device_s: np.ndarray | None = None


@dataclass(frozen=True)
class Visit:
    """One visit to a block: its samples, and those of the sentinel just before and after (empty without a sentinel)."""

    round: int
    samples: Samples
    sentinel_s: np.ndarray

    @property
    def sentinel_median_s(self) -> float:
        """Median of the neighbouring sentinel runs, in seconds."""
        return float(np.median(self.sentinel_s))


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
        return np.concatenate([timed(visit.samples, self.environment) for visit in self.visits])

    @property
    def steadied_s(self) -> np.ndarray:
        """All samples divided by the neighbouring sentinel's median, times its reference: what a steady machine would show."""
        if self.sentinel_reference_s is None:
            return self.raw_s
        return np.concatenate([timed(visit.samples, self.environment) * self._pace(visit) for visit in self.visits])

    @property
    def median_s(self) -> float:
        """Median of the steadied samples, in seconds."""
        return float(np.median(self.steadied_s))

    @property
    def raw_median_s(self) -> float:
        """Median of the samples as they were, in seconds."""
        return float(np.median(self.raw_s))

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

    @property
    def interval(self) -> Interval:
        """95 % interval: over rounds where there are several, over samples where there is one."""
        if len(self.visits) < 2:
            return median_interval(self.steadied_s)
        medians = [
            float(np.median(timed(visit.samples, self.environment))) * self._pace(visit) for visit in self.visits
        ]
        return rounds_interval(np.array(medians))

    @property
    def verdict(self) -> str:
        """`trusted`, `preempted` (the CPU ran something else for over a tenth of the time) or `noisy` (interval over +-5 %)."""
        cpu = [visit.samples.cpu_s for visit in self.visits if visit.samples.cpu_s is not None]
        if cpu and float(np.median(np.concatenate(cpu))) < PREEMPTED_CPU_SHARE * self.raw_median_s:
            return "preempted"
        half = (self.interval.high - self.interval.low) / 2
        return "noisy" if half > NOISY_HALF_WIDTH * self.median_s else "trusted"

    def _pace(self, visit: Visit) -> float:
        return 1.0 if self.sentinel_reference_s is None else self.sentinel_reference_s / visit.sentinel_median_s


def timed(samples: Samples, environment: Environment) -> np.ndarray:
    """Return the times that stand for the block, in seconds: those of the clock that the environment's identity names, `host` or `device`.

    Where it names none, the device's own times where there are some, else wall times. Raises `BadMeasurement` without the named one.
    """
    clock = environment.identity.get("clock")
    if samples.device_s is None and clock == "device":
        raise BadMeasurement(
            "a table of the device's clock needs times by that clock", found="wall times only", cure="measure again"
        )
    return samples.wall_s if samples.device_s is None or clock == "host" else samples.device_s
