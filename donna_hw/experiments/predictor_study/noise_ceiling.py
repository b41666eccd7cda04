"""The noise ceiling: how well a predictor that knew the mean accuracy of every network could order them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from donna_hw._core.bootstrap import BootstrapInterval, equal_cost_concordances, kendall_taus
from donna_hw.errors import InsufficientDataError
from donna_hw.experiments.predictor_study.data import NetworkGroup

Array = np.ndarray
DRAWS = 1000


class NoiseCeiling(NamedTuple):
    """The ceiling of Kendall's tau and of the pairs in order, and the standard deviation between seeds of finetuning, in per cent."""

    kendall_tau: BootstrapInterval
    pairs: BootstrapInterval
    seed_std_percent: float


def seed_variance(groups: Iterable[NetworkGroup]) -> float:
    """Return the variance of the top-1 between finetunings by other seeds, in per cent squared, pooled over all networks of two or more.

    Raises `InsufficientDataError` where there is none.
    """
    squares, dof = 0.0, 0
    for group in groups:
        counts = np.isfinite(group.by_seed).sum(axis=1)
        squares += float(np.nansum(np.square(group.by_seed - group.top1_percent[:, None])))
        dof += int((counts - 1).sum())
    if not dof:
        raise InsufficientDataError(
            "the noise of finetuning needs a network of two seeds", got="one", hint="set finetune.repeats = 2"
        )
    return squares / dof


def noise_ceiling(group: NetworkGroup, costs: Array, noise: float, draws: int = DRAWS, seed: int = 0) -> NoiseCeiling:
    """Return the noise ceiling for the networks of a group.

    The variance of the measured means is that of the true accuracies plus noise / seeds. The true accuracies are estimated by shrinking
    the means towards their mean, so that their variance is the remainder. Then noise is drawn anew, and the true accuracies are compared
    with what would be measured. Networks that are all alike have the ceiling 0 of tau and 0.5 of pairs.

    Args:
        group: The networks.
        costs: Their costs, for the pairs of equal cost, float [n].
        noise: Variance between finetunings by other seeds, in per cent squared.
        draws: How many times noise is drawn.
        seed: Of the noise.
    """
    measured = group.top1_percent
    variance_of_mean = noise / np.isfinite(group.by_seed).sum(axis=1)
    variance = float(measured.var(ddof=1))
    shrinkage = np.sqrt(max(variance - float(variance_of_mean.mean()), 0.0) / variance) if variance > 0 else 0.0
    truth = measured.mean() + shrinkage * (measured - measured.mean())
    noisy = truth + np.random.default_rng(seed).normal(0, np.sqrt(variance_of_mean), (draws, len(truth)))
    weights = np.ones((1, len(truth)), np.int64)
    tau = np.array([kendall_taus(truth, values, weights)[0] for values in noisy])
    share = np.array([equal_cost_concordances(truth, values, costs, weights)[0] for values in noisy])
    if shrinkage == 0:
        tau, share = np.zeros(draws), np.full(draws, 0.5)
    return NoiseCeiling(
        BootstrapInterval.of(float(np.mean(tau)), tau),
        BootstrapInterval.of(float(np.mean(share)), share),
        float(np.sqrt(noise)),
    )
