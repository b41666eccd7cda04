"""A predictor beside its rivals on networks that none was fitted to."""

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
MIN_NETWORKS = 3  # networks of a comparison
OURS = "predictor"
STITCHED = "stitched accuracy"  # needs each network's weights: a feature to rank a front again, no rival in a search


@dataclass(frozen=True)
class PredictorScore:
    """How a predictor did: Kendall's tau, the share of equal-cost pairs in order, and the mean squared error in per cent squared."""

    kendall_tau: BootstrapInterval
    pairs: BootstrapInterval
    mse: float


@dataclass(frozen=True)
class PredictorComparison:
    """A run's predictor and its rivals on the networks of one role.

    over_best: ours less the rival of the highest tau, over_all: ours less the highest of every resample (harsher, since chance
    chooses it); pairs_over_macs: ours less MACs. pairs: how many pairs of equal cost there are. ceiling: None where no network was
    finetuned twice. The error of the stitched accuracy is none of a prediction.
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


def compare(found: StudyData, role: str, draws: int = N_RESAMPLES, seed: int = 0) -> PredictorComparison:
    """Fit the run's predictor and its rivals to the library, and compare them on the networks of a role; 3 or more are needed."""
    group, costs = found.groups[role], found.network_macs(role)
    if len(group) < MIN_NETWORKS:
        raise InsufficientDataError(
            f"a comparison needs at least {MIN_NETWORKS} networks", got=len(group), hint="finetune more"
        )
    others = predict_baselines(found, role)
    weights, measured = bootstrap_counts(len(group), draws, seed), group.top1_percent
    everyone = {OURS: predict_top1(found, role)} | others
    if np.isfinite(group.stitched_percent).all():  # quantised networks have none
        everyone |= {STITCHED: group.stitched_percent}
    tau = {name: kendall_taus(values, measured, weights) for name, values in everyone.items()}
    share = {name: equal_cost_concordances(values, measured, costs, weights) for name, values in everyone.items()}
    scores = {
        name: PredictorScore(
            BootstrapInterval.from_draws(tau[name]),
            BootstrapInterval.from_draws(share[name]),
            float(np.square(values - measured).mean()),
        )
        for name, values in everyone.items()
    }
    best = max(others, key=lambda name: float(tau[name][0]))
    highest = np.max([tau[name] for name in others], axis=0)
    repeated = any(each.by_seed.shape[1] > 1 for each in found.groups.values())
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
        noise_ceiling(group, costs, seed_variance(found.groups.values())) if repeated else None,
    )


def predict_top1(found: StudyData, role: str, kind: str | None = None, metric: str | None = None) -> Array:
    """Return the top-1 % that a predictor of a kind on a metric, the run's own if none is named, gives the networks of a role."""
    top1 = found.groups["library"].top1_percent
    fitted = fit_predictor(
        found.quality("library", metric), top1, kind or found.kind, ceiling_percent=found.teacher_percent
    )
    return fitted(found.quality(role, metric))[0]
