"""Statistics of latency samples, all in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.errors import MeasurementError

Array = np.ndarray


@dataclass(frozen=True)
class Interval:
    """A confidence interval with its level (0.95 = 95 %)."""

    low: float
    high: float
    level: float = 0.95

    @property
    def half_width(self) -> float:
        """Half its width."""
        return (self.high - self.low) / 2


def validate_samples(samples: Array, what: str) -> Array:
    """Return the samples; raises `MeasurementError` when there are none, or one is NaN, infinite, zero or negative."""
    array = np.asarray(samples, np.float64)
    bad = array[~(np.isfinite(array) & (array > 0))]
    if array.size == 0 or bad.size:
        raise MeasurementError(
            f"{what}: every latency must be a finite time above 0 s",
            got="no samples" if array.size == 0 else f"{bad[0]} among {array.size} samples",
            hint="the runtime or its clock is broken: measure this block again",
        )
    return array


def median_interval(samples: Array, level: float = 0.95) -> Interval:
    """Return the order-statistics interval of the median of independent samples.

    The k-th smallest and k-th largest sample enclose it, k the largest with binomial coverage of at least `level`. With fewer
    than six samples no pair reaches 95 %, and smallest and largest are returned.
    """
    from scipy import stats  # a second to import: workers, which need none of it, start without

    ordered = np.sort(samples)
    below = int(stats.binom.ppf((1 - level) / 2, ordered.size, 0.5))
    while below > 0 and stats.binom.cdf(below - 1, ordered.size, 0.5) > (1 - level) / 2:
        below -= 1
    low = max(below - 1, 0)
    return Interval(float(ordered[low]), float(ordered[-1 - low]), level)


def mean_interval(mean: float, std: float, count: int, level: float = 0.95) -> Interval:
    """Return the interval of a mean of `count` samples from their standard deviation, by Student's t; of one sample it is infinite."""
    from scipy import stats

    half = float(stats.t.ppf((1 + level) / 2, count - 1)) * std / float(np.sqrt(count)) if count > 1 else np.inf
    return Interval(max(mean - half, 0.0), mean + half, level)


def rounds_interval(round_medians: Array, min_std: float = 0.0, level: float = 0.95) -> Interval:
    """Return the interval of a latency from the medians of its rounds, by Student's t on their logarithms.

    Samples of one visit share the machine's state, so the rounds, not the samples, are the independent observations.
    least_spread: standard deviation of the logarithms that is assumed at least. Needs two rounds or more.
    """
    logs = np.log(round_medians)
    half = _half(logs, min_std, level)
    return Interval(float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half)), level)


def difference_interval(round_differences: Array, min_std: float = 0.0, level: float = 0.95) -> Interval:
    """Return the interval of a difference of latencies from its value in each round, by Student's t; needs two rounds or more.

    Both terms of a difference are measured in the same visit, so that the spread over rounds is that of the difference itself,
    whatever the two have in common. least_spread: standard deviation that is assumed at least, in seconds.
    """
    half = _half(round_differences, min_std, level)
    return Interval(float(round_differences.mean() - half), float(round_differences.mean() + half), level)


def _half(rounds: Array, least_spread: float, level: float) -> float:
    from scipy import stats

    spread = max(float(rounds.std(ddof=1)), least_spread)
    return float(stats.t.ppf((1 + level) / 2, rounds.size - 1)) * spread / float(np.sqrt(rounds.size))
