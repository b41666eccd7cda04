"""A predictor compared with its baselines on networks that none of them was fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw._core.bootstrap import (
    N_RESAMPLES,
    BootstrapInterval,
    bootstrap_counts,
    equal_cost_concordances,
    kendall_taus,
)
from donna_hw._core.ranking import equal_cost_concordance
from donna_hw.errors import InsufficientDataError
from donna_hw.experiments.predictor_study.baselines import predict_baselines
from donna_hw.experiments.predictor_study.data import StudyData
from donna_hw.experiments.predictor_study.noise_ceiling import NoiseCeiling, noise_ceiling, seed_variance
from donna_hw.predictors.factory import fit_predictor

Array = np.ndarray
MIN_NETWORKS = 3  # of a comparison
OURS = "predictor"
STITCHED = "stitched accuracy"  # needs the weights of each network, so it is no baseline in a search


@dataclass(frozen=True)
class PredictorScore:
    """Kendall's tau, the share of equal-cost pairs in order, and the mean squared error in per cent squared."""

    kendall_tau: BootstrapInterval
    pairs: BootstrapInterval
    mse: float


@dataclass(frozen=True)
class PredictorComparison:
    """A run's predictor and its baselines on the networks of one role; the error of the stitched accuracy is none of a prediction.

    Attributes:
        role: Of the networks.
        networks: How many.
        seeds: The most finetunings of one network.
        std_percent: Standard deviation of their top-1.
        pairs: How many pairs of equal cost there are.
        scores: Of the predictor (`OURS`), the baselines and the stitched accuracy.
        best_baseline: The baseline of the highest tau.
        gain_over_best: Tau of the predictor minus that of the best baseline.
        gain_over_all: Tau minus the highest of the baselines in every resample, which is harsher, since chance chooses it.
        pairs_gain_over_macs: Share of pairs in order minus that of MACs.
        ceiling: None where no network was finetuned twice.
    """

    role: str
    networks: int
    seeds: int
    std_percent: float
    pairs: int
    scores: dict[str, PredictorScore]
    best_baseline: str
    gain_over_best: BootstrapInterval
    gain_over_all: BootstrapInterval
    pairs_gain_over_macs: BootstrapInterval
    ceiling: NoiseCeiling | None


def compare(data: StudyData, role: str, draws: int = N_RESAMPLES, seed: int = 0) -> PredictorComparison:
    """Fit the run's predictor and its baselines to the library, and compare them on the networks of a role.

    Args:
        data: What the run's libraries hold.
        role: The role of the networks to compare on.
        draws: How many bootstrap resamples of the networks.
        seed: Of the resamples.

    Raises:
        InsufficientDataError: There are fewer than 3 networks.
    """
    group, costs = data.groups[role], data.network_macs(role)
    if len(group) < MIN_NETWORKS:
        raise InsufficientDataError(
            f"a comparison needs at least {MIN_NETWORKS} networks", got=len(group), hint="finetune more"
        )
    baselines = predict_baselines(data, role)
    weights, measured = bootstrap_counts(len(group), draws, seed), group.top1_percent
    predictions = {OURS: predict_top1(data, role)} | baselines
    if np.isfinite(group.stitched_percent).all():  # quantized networks have none
        predictions |= {STITCHED: group.stitched_percent}
    tau = {name: kendall_taus(values, measured, weights) for name, values in predictions.items()}
    share = {name: equal_cost_concordances(values, measured, costs, weights) for name, values in predictions.items()}
    scores = {
        name: PredictorScore(
            BootstrapInterval.from_draws(tau[name]),
            BootstrapInterval.from_draws(share[name]),
            float(np.square(values - measured).mean()),
        )
        for name, values in predictions.items()
    }
    best = max(baselines, key=lambda name: float(tau[name][0]))
    highest = np.max([tau[name] for name in baselines], axis=0)
    repeated = any(group.by_seed.shape[1] > 1 for group in data.groups.values())
    return PredictorComparison(
        role,
        len(group),
        group.by_seed.shape[1],
        float(measured.std(ddof=1)),
        equal_cost_concordance(measured, measured, costs)[1],
        scores,
        best,
        BootstrapInterval.from_draws(tau[OURS] - tau[best]),
        BootstrapInterval.from_draws(tau[OURS] - highest),
        BootstrapInterval.from_draws(share[OURS] - share["MACs"]),
        noise_ceiling(group, costs, seed_variance(data.groups.values())) if repeated else None,
    )


def predict_top1(data: StudyData, role: str, kind: str | None = None, metric: str | None = None) -> Array:
    """Return the top-1 % that a predictor fitted to the library gives the networks of a role, float [n].

    Args:
        data: What the run's libraries hold.
        role: The role of the networks to predict.
        kind: The kind of predictor; None: the run's.
        metric: The metric of blocks that it reads; None: the run's.
    """
    top1 = data.groups["library"].top1_percent
    predictor = fit_predictor(
        data.quality("library", metric), top1, kind or data.kind, ceiling_percent=data.teacher_percent
    )
    return predictor(data.quality(role, metric))[0]
