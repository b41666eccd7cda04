"""Fitting a predictor of any kind to finetuned networks."""

from __future__ import annotations

import numpy as np

from donna_hw.errors import ConfigError, InsufficientDataError, UnknownNameError
from donna_hw.predictors import linear, saturating
from donna_hw.predictors import multi_metric as joint
from donna_hw.predictors.base import Array, FittedPredictor
from donna_hw.predictors.sklearn_models import MODELS, fit_sklearn

KINDS = (*linear.KINDS, saturating.KIND, joint.KIND, *MODELS)
MIN_NETWORKS = 5


def fit_predictor(
    qualities: Array, top1_percent: Array, kind: str = saturating.KIND, ceiling_percent: float | None = None
) -> FittedPredictor:
    """Fit a predictor to finetuned networks.

    qualities: a metric float [n, stages], or several [n, stages, metrics] for `joint`; top1_percent: float [n]. ceiling_percent: the
    teacher's accuracy, for `saturating` and `joint`; the others do without. Raises `InsufficientDataError` below 5 networks, `ConfigError` on an
    accuracy that is none, and `UnknownNameError`.
    """
    if kind not in KINDS:
        raise UnknownNameError("a predictor must be a known one", got=kind, choices=sorted(KINDS))
    if len(top1_percent) < MIN_NETWORKS:
        raise InsufficientDataError(
            f"a predictor needs at least {MIN_NETWORKS} finetuned networks",
            got=len(top1_percent),
            hint="raise library.networks in the recipe and finetune again",
        )
    if not np.isfinite(top1_percent).all():
        raise ConfigError("every accuracy must be a finite number", got="NaN or infinite", hint="leave it out")
    if kind == joint.KIND:
        return joint.fit_joint(qualities, top1_percent, ceiling_percent or 0.0)
    if qualities.ndim != 2:
        raise ConfigError("several metrics of a block need the kind 'joint'", got=kind, hint="give one metric")
    if kind == saturating.KIND:
        return saturating.fit_saturating(qualities, top1_percent, ceiling_percent or 0.0)
    if kind in MODELS:
        return fit_sklearn(kind, qualities, top1_percent)
    return linear.fit_linear(qualities, top1_percent, kind)


def predict_leave_one_out(
    qualities: Array, top1_percent: Array, kind: str = saturating.KIND, ceiling_percent: float | None = None
) -> Array:
    """Return each network's prediction, float [n], by a predictor that was fitted to all the others; raises what `fit_predictor` does.

    The strength of a ridge is the one chosen by all networks together.
    """
    return fit_predictor(qualities, top1_percent, kind, ceiling_percent).predict_leave_one_out(qualities, top1_percent)
