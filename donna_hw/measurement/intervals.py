"""Confidence intervals of latency samples, all in seconds, and the standard errors behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.errors import MeasurementError

Array = np.ndarray
Z90, Z95 = (
    1.6448536269514722,
    1.959963984540054,
)  # half-widths of a 90 % and a 95 % normal interval in standard deviations


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
    """Return the samples as float64.

    Args:
        samples: Times in seconds, float [n].
        what: What the samples are of, for messages.

    Raises:
        MeasurementError: There are no samples, or one is NaN, infinite, zero or negative.
    """
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
    from scipy import stats  # takes a second to import, and worker processes do not need it

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

    Samples of one trial share the machine's state, so the rounds, not the samples, are the independent observations.

    Args:
        round_medians: Median of each round in seconds, float [rounds], two rounds or more.
        min_std: Lower bound on the standard deviation of the logarithms.
        level: Coverage of the interval.
    """
    logs = np.log(round_medians)
    half = _t_half_width(logs, min_std, level)
    return Interval(float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half)), level)


def difference_interval(round_differences: Array, min_std: float = 0.0, level: float = 0.95) -> Interval:
    """Return the interval of a difference of latencies from its value in each round, by Student's t.

    Both terms of a difference are measured in the same trial, so the spread over rounds is that of the difference itself,
    whatever the two have in common.

    Args:
        round_differences: Difference in each round in seconds, float [rounds], two rounds or more.
        min_std: Lower bound on the standard deviation, in seconds.
        level: Coverage of the interval.
    """
    half = _t_half_width(round_differences, min_std, level)
    return Interval(float(round_differences.mean() - half), float(round_differences.mean() + half), level)


def standard_error(low: Array | float, high: Array | float, rounds: Array | float) -> Array:
    """Return the standard errors behind 95 % intervals, in the intervals' unit, float [n].

    Args:
        low: Lower ends, float [n].
        high: Upper ends, float [n].
        rounds: Number of rounds of each, [n]; Student's t is assumed for two or more, a normal distribution for one.
    """
    from scipy import stats

    rounds = np.asarray(rounds)
    quantile = np.where(rounds > 1, stats.t.ppf(0.975, np.maximum(rounds - 1, 1)), Z95)
    return np.asarray((np.asarray(high) - np.asarray(low)) / (2 * quantile))


def _t_half_width(rounds: Array, min_std: float, level: float) -> float:
    from scipy import stats

    std = max(float(rounds.std(ddof=1)), min_std)
    return float(stats.t.ppf((1 + level) / 2, rounds.size - 1)) * std / float(np.sqrt(rounds.size))
