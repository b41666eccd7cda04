"""How well numbers order networks by their accuracy, and the baselines that every predictor must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from donna_hw._core.bootstrap import COST_TOLERANCE, BootstrapInterval, kendall_taus
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
    """Compare predictions with measured accuracies.

    Args:
        predicted: Predicted accuracies in per cent, float [n].
        measured: Measured accuracies in per cent, float [n], n of 3 or more.
        seed: Of the bootstrap.
        draws: Number of resamples.

    Returns:
        The metrics; where all measured accuracies are equal there is no order to find, and tau, its interval and R2 are NaN.

    Raises:
        InsufficientDataError: There are fewer than 3 networks.
    """
    n = len(measured)
    if n < 3:
        raise InsufficientDataError("a ranking needs at least 3 networks", got=n, hint="finetune more")
    picks = np.random.default_rng(seed).integers(0, n, (draws, n))
    counts = np.stack([np.bincount(pick, minlength=n) for pick in picks])
    tau = BootstrapInterval.of(kendall_tau(predicted, measured), kendall_taus(predicted, measured, counts))
    mse = float(np.square(predicted - measured).mean())
    variance = float(np.square(measured - measured.mean()).mean())
    r2 = 1 - mse / variance if variance > 0 else float("nan")
    return RankingMetrics(n, tau.value, tau.low, tau.high, r2, mse)


def predict_log_linear(values: Array, fit_values: Array, fit_top1: Array) -> Array:
    """Return the accuracies that one positive number of a network, such as its MACs, predicts by a line in its logarithm.

    Args:
        values: Numbers of the networks to predict, float [n].
        fit_values: Numbers of the networks that the line is fitted to, float [m].
        fit_top1: Accuracies of those networks, float [m].

    Returns:
        Predicted accuracies, float [n], in the unit of `fit_top1`.
    """
    slope, offset = np.polyfit(np.log(fit_values), fit_top1, 1)
    return np.asarray(slope * np.log(values) + offset)


def equal_cost_concordance(values: Array, measured: Array, costs: Array) -> tuple[float, int]:
    """Return the share of pairs of nearly equal cost that `values` order as measured, and the number of such pairs.

    A pair counts when its costs differ by at most 15 % of the larger and its measured accuracies differ; equal values are half right.
    Within such pairs the cost hardly predicts the order, so this is what a predictor adds to it.

    Args:
        values: What orders the networks, float [n].
        measured: Their measured accuracies, float [n].
        costs: Their costs, float [n].

    Returns:
        The share, NaN without a pair, and the number of pairs.
    """
    i, j = np.triu_indices(len(measured), 1)
    pairs = np.abs(costs[i] - costs[j]) <= COST_TOLERANCE * np.maximum(costs[i], costs[j])
    pairs &= measured[i] != measured[j]
    i, j = i[pairs], j[pairs]
    agreement = np.sign(values[i] - values[j]) * np.sign(measured[i] - measured[j])
    return (float((1 + agreement).mean() / 2) if pairs.any() else float("nan")), int(pairs.sum())
