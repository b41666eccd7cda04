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

    Args:
        qualities: The quality of each network's blocks, float [n, stages]; for `joint` also several metrics, [n, stages, metrics].
        top1_percent: The accuracy of each network in per cent, float [n].
        kind: A name in `KINDS`.
        ceiling_percent: The teacher's accuracy in per cent, for `saturating` and `joint`; the other kinds ignore it.

    Returns:
        A predictor, which maps float [n, stages] (or [n, stages, metrics]) to (top-1, standard deviation), both in per cent.

    Raises:
        UnknownNameError: For an unknown kind.
        InsufficientDataError: For fewer than 5 networks.
        ConfigError: For an accuracy that is not finite, a quality that is not finite or negative, or several metrics for a kind that
            reads one.
    """
    if kind not in KINDS:
        raise UnknownNameError("unknown kind of predictor", got=kind, choices=sorted(KINDS))
    if len(top1_percent) < MIN_NETWORKS:
        raise InsufficientDataError(
            f"at least {MIN_NETWORKS} finetuned networks are needed to fit a predictor",
            got=len(top1_percent),
            hint="raise library.networks in the recipe, and run donna-hw finetune again",
        )
    if not np.isfinite(top1_percent).all():
        raise ConfigError("every accuracy must be finite, but some are not", hint="leave these networks out")
    if kind == joint.KIND:
        return joint.fit_joint(qualities, top1_percent, ceiling_percent or 0.0)
    if qualities.ndim != 2:
        raise ConfigError("only the kind 'joint' reads several metrics", got=kind, hint="choose one metric")
    if kind == saturating.KIND:
        return saturating.fit_saturating(qualities, top1_percent, ceiling_percent or 0.0)
    if kind in MODELS:
        return fit_sklearn(kind, qualities, top1_percent)
    return linear.fit_linear(qualities, top1_percent, kind)


def predict_leave_one_out(
    qualities: Array, top1_percent: Array, kind: str = saturating.KIND, ceiling_percent: float | None = None
) -> Array:
    """Return each network's prediction, float [n], by a predictor that is fitted to all other networks.

    The arguments and errors are those of `fit_predictor`. The regularization strength is that of the fit to all networks.
    """
    return fit_predictor(qualities, top1_percent, kind, ceiling_percent).predict_leave_one_out(qualities, top1_percent)
