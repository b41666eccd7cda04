"""Whether measured latencies differ significantly: Welch's test of many pairs, each known by its interval over rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from donna_hw.measurement.intervals import standard_error

Values = np.ndarray | float
ALPHA = 0.05
ROUNDING = 1e-5  # tables hold six significant digits


@dataclass(frozen=True)
class IntervalRows:
    """Measured latencies, float [n] each: median, 95 % interval of Student's t over rounds, number of rounds."""

    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rounds: np.ndarray

    def to_unit(self, unit: float) -> IntervalRows:
        """Return the same latencies in another unit."""
        return IntervalRows(self.median / unit, self.low / unit, self.high / unit, self.rounds)

    def moments(self, scale: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (mean over rounds, its variance, degrees of freedom), float [n]; variance and degrees are NaN for one round.

        The mean is the center of the interval, not the median in the same row: the interval is that of the mean over rounds,
        and no other location has its standard error.
        """
        low, high = (np.log(self.low), np.log(self.high)) if scale == "log" else (self.low, self.high)
        dof = np.where(self.rounds > 1, self.rounds - 1, np.nan)
        variance = np.where(self.rounds > 1, standard_error(low, high, self.rounds) ** 2, np.nan)
        return (low + high) / 2, variance, dof


@dataclass(frozen=True)
class WelchTest:
    """Welch's test of latencies B against latencies A in one unit, arrays [n], one value per block.

    Blocks of one round have no spread over rounds, hence no test: their p is NaN.

    Attributes:
        scale: `log`, where estimate, low and high are of log(B / A), or `linear`, where they are of B - A.
        a: Medians of A, in seconds (absolute) or in runs of the table's own sentinel (relative).
        b: Medians of B, likewise.
        estimate: The difference.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        t: Statistic of Welch's test.
        dof: Its degrees of freedom.
        p: Its p-value.
        adjusted_p: The p-value after Benjamini and Hochberg (1995) over all blocks.
        overlap: Whether the intervals of A and B overlap.
    """

    scale: str
    a: np.ndarray
    b: np.ndarray
    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    t: np.ndarray
    dof: np.ndarray
    p: np.ndarray
    adjusted_p: np.ndarray
    overlap: np.ndarray

    @property
    def is_testable(self) -> np.ndarray:
        """Which blocks have a test, bool [n]."""
        return np.asarray(np.isfinite(self.p))

    @property
    def significant(self) -> np.ndarray:
        """Which blocks differ when each is tested alone at 5 %, bool [n]: of equal tables one in twenty does."""
        return self.is_testable & (self.p < ALPHA)

    @property
    def significant_fdr(self) -> np.ndarray:
        """Which blocks differ at a false discovery rate of 5 %, bool [n]."""
        return self.is_testable & (self.adjusted_p <= ALPHA)

    @property
    def agreement_rate(self) -> float:
        """Share of the tested blocks whose 95 % interval of the difference holds zero; 0.95 is expected of equal tables."""
        return 1 - float(self.significant[self.is_testable].mean()) if self.is_testable.any() else float("nan")

    @property
    def overlap_rate(self) -> float:
        """Share of blocks whose intervals in A and B overlap; well over 0.95 is expected of equal tables."""
        return float(self.overlap.mean())

    @property
    def common_factor(self) -> float:
        """Median of B / A over blocks above zero in both."""
        above = (self.a > 0) & (self.b > 0)
        # of logarithms, so that the factor of (B, A) is one over that of (A, B)
        return float(np.exp(np.median(np.log(self.b[above] / self.a[above])))) if above.any() else float("nan")

    @property
    def median_relative_difference(self) -> float:
        """Median over blocks of |B - A| / mean of |A| and |B|."""
        size = (np.abs(self.a) + np.abs(self.b)) / 2
        return float(np.median(np.abs(self.b - self.a) / np.where(size > 0, size, 1)))


def welch_dof(variance_a: Values, dof_a: Values, variance_b: Values, dof_b: Values) -> np.ndarray:
    """Return the degrees of freedom of a difference of two means by the Welch-Satterthwaite equation (Welch, Biometrika 34, 1947).

    scipy's Welch test derives them from sample counts, which does not suit variances that are pooled or come from intervals; and it
    warns of samples that are nearly identical, as on a steady machine.

    Args:
        variance_a: Variance of the first mean (squared standard error), any shape.
        dof_a: Degrees of freedom of that variance.
        variance_b: Variance of the second mean.
        dof_b: Degrees of freedom of that variance.

    Returns:
        The degrees of freedom, `dof_a + dof_b` where both variances are zero.
    """
    variance_a, variance_b = np.asarray(variance_a), np.asarray(variance_b)
    variance = variance_a + variance_b
    with np.errstate(divide="ignore", invalid="ignore"):
        share_a, share_b = variance_a / variance, variance_b / variance
        dof = 1 / (share_a**2 / dof_a + share_b**2 / dof_b)
    return np.where(variance == 0, dof_a + dof_b, dof)


def welch_test(a: IntervalRows, b: IntervalRows, scale: str) -> WelchTest:
    """Return Welch's test (Biometrika 34, 1947) of each pair of latencies.

    Args:
        a: Latencies A, [n].
        b: Latencies B of the same blocks, [n].
        scale: `log`, for latencies above zero, or `linear`.
    """
    mean_a, variance_a, dof_a = a.moments(scale)
    mean_b, variance_b, dof_b = b.moments(scale)
    estimate, variance = mean_b - mean_a, variance_a + variance_b
    # Rows without any spread differ surely, but not where the last digits of a table could cause it.
    size = 1.0 if scale == "log" else np.maximum(np.abs(mean_a), np.abs(mean_b))
    tied = (variance == 0) & (np.abs(estimate) <= ROUNDING * size)
    dof = welch_dof(variance_a, dof_a, variance_b, dof_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(tied, 0.0, estimate / np.sqrt(variance))
    p = 2 * stats.t.sf(np.abs(t), dof)
    half = stats.t.ppf(1 - ALPHA / 2, dof) * np.sqrt(variance)
    adjusted, tested = np.full_like(p, np.nan), np.isfinite(p)
    if tested.any():
        adjusted[tested] = stats.false_discovery_control(p[tested])
    return WelchTest(
        scale=scale,
        a=a.median,
        b=b.median,
        estimate=estimate,
        low=estimate - half,
        high=estimate + half,
        t=t,
        dof=dof,
        p=p,
        adjusted_p=adjusted,
        overlap=(a.low <= b.high) & (b.low <= a.high),
    )
