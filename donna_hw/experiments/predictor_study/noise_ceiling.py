"""The noise ceiling: how well a predictor could order networks that knew what finetuning each of them gives on average."""

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
    """The ceiling of Kendall's tau and of the pairs in order, and the standard deviation of one finetuning by another seed, in per cent."""

    kendall_tau: BootstrapInterval
    pairs: BootstrapInterval
    seed_std_percent: float


def seed_variance(groups: Iterable[NetworkGroup]) -> float:
    """Return the variance of a finetuning by its seed, in per cent squared, pooled over all networks of two seeds or more.

    Raises `InsufficientDataError` where there is none.
    """
    squares, freedom = 0.0, 0
    for group in groups:
        counts = np.isfinite(group.by_seed).sum(axis=1)
        squares += float(np.nansum(np.square(group.by_seed - group.top1_percent[:, None])))
        freedom += int((counts - 1).sum())
    if not freedom:
        raise InsufficientDataError(
            "the noise of finetuning needs networks of two seeds", got="one", hint="set finetune.repeats = 2"
        )
    return squares / freedom


def noise_ceiling(group: NetworkGroup, costs: Array, noise: float, draws: int = DRAWS, seed: int = 0) -> NoiseCeiling:
    """Return the ceiling for the networks of a group, whose costs are float [n], for a finetuning of variance `noise`.

    The measured means spread by their truth and by noise / seeds. The truth is taken to be the means drawn towards their mean so that its
    variance is the rest; noise is then drawn anew, and the truth compared with what would be measured. Networks that are all alike have the
    ceiling 0 of tau, by the NaN of a constant order.
    """
    measured = group.top1_percent
    own = noise / np.isfinite(group.by_seed).sum(axis=1)
    spread = float(measured.var(ddof=1))
    kept = np.sqrt(max(spread - float(own.mean()), 0.0) / spread) if spread > 0 else 0.0
    truth = measured.mean() + kept * (measured - measured.mean())
    again = truth + np.random.default_rng(seed).normal(0, np.sqrt(own), (draws, len(truth)))
    once = np.ones((1, len(truth)), np.int64)
    tau = np.array([kendall_taus(truth, values, once)[0] for values in again])
    share = np.array([equal_cost_concordances(truth, values, costs, once)[0] for values in again])
    if kept == 0:
        tau, share = np.zeros(draws), np.full(draws, 0.5)
    return NoiseCeiling(
        BootstrapInterval.of(float(np.mean(tau)), tau),
        BootstrapInterval.of(float(np.mean(share)), share),
        float(np.sqrt(noise)),
    )
