"""The tables of the paper's appendix (A.4 and A.5) from a run's own networks, a pandas frame each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from donna_hw._core.bootstrap import (
    N_RESAMPLES,
    BootstrapInterval,
    bootstrap_counts,
    equal_cost_concordances,
    kendall_taus,
)
from donna_hw.experiments.predictor_study.baselines import predict_baselines
from donna_hw.experiments.predictor_study.comparison import predict_top1
from donna_hw.experiments.predictor_study.data import TEST_ROLES, StudyData
from donna_hw.predictors import multi_metric as joint
from donna_hw.predictors import saturating
from donna_hw.predictors.factorized_metrics import predict_quality, single_axis_mask
from donna_hw.predictors.factory import KINDS
from donna_hw.predictors.learning_curves import SIZES, AccuracyData, learning_curve
from donna_hw.spaces.space import Space
from donna_hw.training.block_metrics import JOINT_METRICS, METRICS, parse_metrics

PAPER_KIND = "ridge2"  # the kind of the paper's tables
NSR_SUM_KIND = "sum_of_nsr"
PROJECT_KINDS = ((saturating.KIND, "kl"), (joint.KIND, JOINT_METRICS))
BASELINE = "MACs by stage"
STEP = 10  # extra networks from line to line


def by_library_size(data: StudyData, role: str, draws: int = 20) -> pd.DataFrame:
    """Return tables 4 and 5: Kendall's tau and MSE on a role's networks by how many networks of the library a predictor is fitted to.

    The run's kind on its metric, then `PROJECT_KINDS`, the paper's kind and the sum of NSR, both on NSR; means over random parts of the
    library's first networks, which were drawn at random.
    """
    data, frames = _without_extra(data), []
    for kind, metric in dict.fromkeys(
        ((data.kind, data.metric), *PROJECT_KINDS, (PAPER_KIND, "nsr"), (NSR_SUM_KIND, "nsr"))
    ):
        pool, test = (
            AccuracyData(data.quality(group, metric), data.groups[group].top1_percent) for group in ("library", role)
        )
        sizes = [size for size in SIZES if size <= len(pool.top1_percent)]
        frame = learning_curve(
            pool, test, (kind,), ("uniform",), sizes=sizes, draws=draws, ceiling_percent=data.teacher_percent
        )
        frames.append(frame.assign(metric=metric))
    return pd.concat(frames, ignore_index=True)


def by_choice(data: StudyData, role: str, draws: int = 20) -> pd.DataFrame:
    """Return Kendall's tau and MSE of the run's kind by how the networks to finetune are chosen and how many they are, as means over draws.

    Networks are chosen from the library's first ones only, so that all choices are the same at their full number.
    """
    data = _without_extra(data)
    pool, test = (AccuracyData(data.quality(group), data.groups[group].top1_percent) for group in ("library", role))
    sizes = [size for size in SIZES if size <= len(pool.top1_percent)]
    return learning_curve(pool, test, (data.kind,), sizes=sizes, draws=draws, ceiling_percent=data.teacher_percent)


def by_extra_networks(data: StudyData, draws: int = N_RESAMPLES) -> pd.DataFrame:
    """Return the scores of predictors on the test networks as the library grows by its extra networks, in the order of their choice.

    One line a predictor and size: the library's first networks alone, then ten more each. The baseline is fitted to the same: MACs by
    stage.
    """
    lines, total = [], len(data.groups["library"])
    sizes = [*range(total - data.extra_networks, total, STEP), total]
    for kind, metric in dict.fromkeys(((data.kind, data.metric), *PROJECT_KINDS, (BASELINE, "-"))):
        for size in sizes:
            part = data.truncate("library", size)
            line: dict[str, object] = {"kind": kind, "metric": metric, "networks": size}
            for role in (role for role in TEST_ROLES if role in data.groups):
                values = (
                    predict_baselines(part, role)[kind] if kind == BASELINE else predict_top1(part, role, kind, metric)
                )
                tau, pairs = _score(data, role, values, draws)
                line |= {f"kendall_tau_{role}": tau, f"pairs_{role}": pairs}
            lines.append(line)
    return pd.DataFrame(lines)


def by_metric(data: StudyData, role: str, draws: int = N_RESAMPLES) -> pd.DataFrame:
    """Return table 6: the scores of predictors of the run's kind and of the paper's on each metric of blocks, and of `joint` on several."""
    pairs = [(kind, metric) for kind in dict.fromkeys((data.kind, PAPER_KIND)) for metric in METRICS]
    several = dict.fromkeys(((joint.KIND, JOINT_METRICS), *(((data.kind, data.metric),) if "+" in data.metric else ())))
    return _evaluate_pairs(data, role, [*pairs, *several], draws)


def by_family(data: StudyData, role: str, draws: int = N_RESAMPLES) -> pd.DataFrame:
    """Return table 8: the scores of predictors of every kind, on the run's metric (the first one of several) and on NSR."""
    pairs = [(kind, metric) for metric in dict.fromkeys((parse_metrics(data.metric)[0], "nsr")) for kind in KINDS]
    return _evaluate_pairs(data, role, [pair for pair in pairs if pair[0] != NSR_SUM_KIND or pair[1] == "nsr"], draws)


def by_scheme(data: StudyData, space: Space, role: str, draws: int = N_RESAMPLES) -> pd.DataFrame:
    """Return the scores of the run's predictor with all blocks trained, and with only those that differ from the reference on one axis.

    In the second case the qualities of all other blocks are predicted from these (`predict_quality`). Raises `InsufficientDataError` where
    a block that it needs has diverged.
    """
    predicted = {
        metric: tuple(
            predict_quality(stage, values) for stage, values in zip(space.stages, data.qualities[metric], strict=True)
        )
        for metric in parse_metrics(data.metric)
        if metric in METRICS
    }
    lines = []
    for scheme, scheme_data, blocks in (
        ("blockwise: all", data, sum(space.stage_sizes)),
        (
            "decoupled: one axis at a time",
            replace(data, qualities=predicted),
            sum(int(single_axis_mask(s).sum()) for s in space.stages),
        ),
    ):
        frame = _evaluate_pairs(scheme_data, role, [(data.kind, data.metric)], draws)
        lines.append(frame.assign(scheme=scheme, blocks=blocks)[["scheme", "blocks", *frame.columns]])
    return pd.concat(lines, ignore_index=True)


def by_epoch(scratch: dict[str, list[float]], long: dict[str, list[float]]) -> pd.DataFrame:
    """Return figure 10 as numbers: mean top-1 % after each epoch, from the Block Library's weights and from random ones.

    scratch, long: curves of networks by name, in per cent; only networks in both count, epochs to the shorter length.
    """
    names = sorted(scratch.keys() & long.keys())
    length = min((len(curve) for name in names for curve in (scratch[name], long[name])), default=0)
    columns = {
        column: np.mean([curves[name][:length] for name in names], axis=0) if names else []
        for column, curves in (("block_library_percent", long), ("from_scratch_percent", scratch))
    }
    return pd.DataFrame({"epoch": np.arange(1, length + 1)} | columns)


def epochs_to_catch_up(scratch: dict[str, list[float]], long: dict[str, list[float]]) -> dict[str, int | None]:
    """Return how many epochs from the Block Library's weights match all epochs from scratch, for each network; None: never."""
    return {
        name: next((i for i, top1 in enumerate(long[name], start=1) if top1 >= scratch[name][-1]), None)
        for name in sorted(scratch.keys() & long.keys())
    }


def _evaluate_pairs(data: StudyData, role: str, pairs: Iterable[tuple[str, str]], draws: int) -> pd.DataFrame:
    lines = []
    for kind, metric in pairs:
        values = predict_top1(data, role, kind, metric)
        tau, share = _score(data, role, values, draws)
        mse = float(np.square(values - data.groups[role].top1_percent).mean())
        lines.append({"kind": kind, "metric": metric, "kendall_tau": tau, "pairs": share, "mse": mse})
    return pd.DataFrame(lines)


def _score(data: StudyData, role: str, values: np.ndarray, draws: int) -> tuple[BootstrapInterval, BootstrapInterval]:
    """Return Kendall's tau and the share of equal-cost pairs in order of predictions of a role's networks."""
    measured, weights = data.groups[role].top1_percent, bootstrap_counts(len(values), draws)
    share = equal_cost_concordances(values, measured, data.network_macs(role), weights)
    return BootstrapInterval.from_draws(kendall_taus(values, measured, weights)), BootstrapInterval.from_draws(share)


def _without_extra(data: StudyData) -> StudyData:
    """Return the data without the networks that were chosen because they are informative."""
    return data.truncate("library", len(data.groups["library"]) - data.extra_networks)
