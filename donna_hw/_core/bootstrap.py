"""How well values order networks, and how sure that is: bootstrap over networks, the same draws for all that are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
COST_TOLERANCE = 0.15
N_RESAMPLES = 2000


@dataclass(frozen=True)
class BootstrapInterval:
    """A value and the 2.5 and 97.5 percentiles of its draws."""

    value: float
    low: float
    high: float

    @classmethod
    def from_draws(cls, draws: Array) -> BootstrapInterval:
        """Return the interval of float [1 + draws], whose first is the value; those that are no number are left out."""
        return cls.of(float(draws[0]), draws[1:])

    @classmethod
    def of(cls, value: float, draws: Array) -> BootstrapInterval:
        """Return the interval of a value and its draws, float [draws]; those that are no number are left out."""
        known = draws[np.isfinite(draws)]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        return cls(value, float(low), float(high))


def bootstrap_counts(networks: int, draws: int = N_RESAMPLES, seed: int = 0) -> Array:
    """Return how often each network is in each resample, int [1 + draws, networks]; the first row is the set itself."""
    rng = np.random.default_rng(seed)
    picks = rng.multinomial(networks, np.full(networks, 1 / networks), size=draws)
    return np.concatenate([np.ones((1, networks), np.int64), picks])


def kendall_taus(values: Array, measured: Array, weights: Array) -> Array:
    """Return Kendall's tau-b of two orders in each resample, float [resamples]; NaN where one of them is constant.

    values, measured: float [n]; weights: int [resamples, n], as `bootstrap_counts` gives them. Copies of one network are ties in both.
    """
    one, other = _pairwise_signs(values), _pairwise_signs(measured)
    agreement = _sum_over_pairs(one * other, weights)
    untied = _sum_over_pairs(np.abs(one), weights) * _sum_over_pairs(np.abs(other), weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(agreement / np.sqrt(untied))


def equal_cost_concordances(values: Array, measured: Array, costs: Array, weights: Array) -> Array:
    """Return the share of pairs of nearly equal cost in the measured order in each resample, float [resamples]; NaN without a pair.

    The pairs are those of `ranking.pairs_in_order`; copies of one network are no pair. All float [n]; weights: int [resamples, n].
    """
    alike = np.abs(costs[:, None] - costs) <= COST_TOLERANCE * np.maximum(costs[:, None], costs)
    order = _pairwise_signs(measured)
    counted = (alike & (order != 0)).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = _sum_over_pairs(counted * _pairwise_signs(values) * order, weights) / _sum_over_pairs(
            counted, weights
        )
    return np.asarray((1 + agreement) / 2)


def _pairwise_signs(values: Array) -> Array:
    """Return the sign of each difference, float [n, n]."""
    return np.asarray(np.sign(values[:, None] - values))


def _sum_over_pairs(matrix: Array, weights: Array) -> Array:
    """Return the sum of a symmetric matrix over the pairs of networks in each resample, float [resamples]."""
    return np.asarray(((weights @ matrix) * weights).sum(axis=1) / 2)
