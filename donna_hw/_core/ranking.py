"""How well numbers order networks by their accuracy, beside the rivals that every predictor must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from donna_hw._core.bootstrap import COST_TOLERANCE, kendall_taus
from donna_hw.errors import InsufficientDataError

Array = np.ndarray


def kendall_tau(a: Array, b: Array) -> float:
    """Return Kendall's tau-b of two orders, float [n] each; NaN where one of them is constant."""
    return float(kendalltau(a, b).statistic)


@dataclass(frozen=True)
class RankingMetrics:
    """How well predictions order networks: Kendall's tau with a 95 % bootstrap interval over networks, R2, mean squared error."""

    networks: int
    kendall_tau: float
    tau_low: float
    tau_high: float
    r2: float
    mse: float


def evaluate_ranking(predicted: Array, measured: Array, seed: int = 0, draws: int = 1000) -> RankingMetrics:
    """Compare predictions with measured accuracies, both float [n] with n of 3 or more, in per cent.

    Where all measured ones are equal there is no order to find: tau, its interval and R2 are NaN.
    """
    if len(measured) < 3:
        raise InsufficientDataError("a ranking needs at least 3 networks", got=len(measured), hint="finetune more")
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(measured), (draws, len(measured)))
    counts = np.stack([np.bincount(pick, minlength=len(measured)) for pick in picks])
    taus = kendall_taus(predicted, measured, counts)
    taus = taus[np.isfinite(taus)]
    low, high = np.percentile(taus, [2.5, 97.5]) if len(taus) else (np.nan, np.nan)
    mse = float(np.square(predicted - measured).mean())
    spread = float(np.square(measured - measured.mean()).mean())
    r2 = 1 - mse / spread if spread > 0 else float("nan")
    return RankingMetrics(len(measured), kendall_tau(predicted, measured), float(low), float(high), r2, mse)


def predict_log_linear(values: Array, fit_values: Array, fit_top1: Array) -> Array:
    """Return the accuracies, float [n], that one plain positive number of a network (its MACs) predicts by a line in its logarithm.

    values: of the networks to predict, float [n]; fit_values, fit_top1: of the networks that the line is fitted to, float [m].
    """
    slope, offset = np.polyfit(np.log(fit_values), fit_top1, 1)
    return np.asarray(slope * np.log(values) + offset)


def equal_cost_concordance(values: Array, measured: Array, costs: Array) -> tuple[float, int]:
    """Return the share of pairs of nearly equal cost that `values` order as measured, and how many such pairs there are.

    A pair counts when its costs differ by at most 15 % of the larger and its measured accuracies differ; equal values are half right. Among
    such pairs the cost itself says next to nothing, so that this is what a predictor adds to it. All float [n]; NaN without a pair.
    """
    one, other = np.triu_indices(len(measured), 1)
    alike = np.abs(costs[one] - costs[other]) <= COST_TOLERANCE * np.maximum(costs[one], costs[other])
    alike &= measured[one] != measured[other]
    one, other = one[alike], other[alike]
    agreement = np.sign(values[one] - values[other]) * np.sign(measured[one] - measured[other])
    return (float((1 + agreement).mean() / 2) if alike.any() else float("nan")), int(alike.sum())
