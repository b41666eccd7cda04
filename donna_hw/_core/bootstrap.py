"""Bootstrap over networks: intervals of how well values order them, with the same resamples for all that are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
N_RESAMPLES = 2000
COST_TOLERANCE = 0.15  # costs that differ by at most this share of the larger are nearly equal


@dataclass(frozen=True)
class BootstrapInterval:
    """A value and its 95 % bootstrap interval, the 2.5 and 97.5 percentiles of its resamples."""

    value: float
    low: float
    high: float

    @classmethod
    def from_draws(cls, draws: Array) -> BootstrapInterval:
        """Return the interval of float [1 + draws], of which the first is the value; NaN and infinite draws are ignored."""
        return cls.of(float(draws[0]), draws[1:])

    @classmethod
    def of(cls, value: float, draws: Array) -> BootstrapInterval:
        """Return the interval of a value and its draws, float [draws]; NaN and infinite draws are ignored."""
        finite = draws[np.isfinite(draws)]
        low, high = np.percentile(finite, [2.5, 97.5]) if len(finite) else (np.nan, np.nan)
        return cls(value, float(low), float(high))


def bootstrap_counts(networks: int, draws: int = N_RESAMPLES, seed: int = 0) -> Array:
    """Return how often each network is in each resample, int [1 + draws, networks]; the first row is the sample itself."""
    rng = np.random.default_rng(seed)
    picks = rng.multinomial(networks, np.full(networks, 1 / networks), size=draws)
    return np.concatenate([np.ones((1, networks), np.int64), picks])


def kendall_taus(values: Array, measured: Array, weights: Array) -> Array:
    """Return Kendall's tau-b of two orders in each resample.

    Args:
        values: What orders the networks, float [n].
        measured: Their measured values, float [n].
        weights: How often each network is in each resample, int [resamples, n], as from `bootstrap_counts`. Copies of one network
            are ties in both orders.

    Returns:
        Float [resamples]; NaN where one of the orders is constant.
    """
    value_signs, measured_signs = _pairwise_signs(values), _pairwise_signs(measured)
    agreement = _sum_over_pairs(value_signs * measured_signs, weights)
    untied = _sum_over_pairs(np.abs(value_signs), weights) * _sum_over_pairs(np.abs(measured_signs), weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(agreement / np.sqrt(untied))


def equal_cost_concordances(values: Array, measured: Array, costs: Array, weights: Array) -> Array:
    """Return the share of pairs of nearly equal cost that `values` order as measured, in each resample.

    Args:
        values: What orders the networks, float [n].
        measured: Their measured values, float [n].
        costs: Their costs, float [n].
        weights: How often each network is in each resample, int [resamples, n]. Copies of one network form no pair.

    Returns:
        Float [resamples], by the pairs of `ranking.equal_cost_concordance`; NaN without a pair.
    """
    nearly_equal = np.abs(costs[:, None] - costs) <= COST_TOLERANCE * np.maximum(costs[:, None], costs)
    order = _pairwise_signs(measured)
    pairs = (nearly_equal & (order != 0)).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = _sum_over_pairs(pairs * _pairwise_signs(values) * order, weights) / _sum_over_pairs(pairs, weights)
    return np.asarray((1 + agreement) / 2)


def _pairwise_signs(values: Array) -> Array:
    """Return the sign of each difference, float [n, n]."""
    return np.asarray(np.sign(values[:, None] - values))


def _sum_over_pairs(matrix: Array, weights: Array) -> Array:
    """Return the sum of a symmetric matrix over the pairs of networks in each resample, float [resamples]."""
    return np.asarray(((weights @ matrix) * weights).sum(axis=1) / 2)
