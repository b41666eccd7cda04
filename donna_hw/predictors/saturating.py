"""SaturatingPredictor: better blocks bring the accuracy closer to a ceiling, and never above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from donna_hw.errors import ConfigError
from donna_hw.predictors.base import (
    ALPHAS,
    Array,
    additive_scores,
    log_quality,
    out_of_range,
    save_fields,
    validate_qualities,
)
from donna_hw.predictors.linear import compute_scaling, fit_ridge

MIN_GAP_PERCENT = 0.1  # for networks that are all equally accurate


@dataclass(frozen=True)
class SaturationLink:
    """A ceiling and a gap in per cent: a network closer to the ceiling than the gap counts as if it were one gap below it."""

    ceiling_percent: float
    gap_percent: float

    def transform(self, top1_percent: Array) -> Array:
        """Return -log(ceiling - accuracy), float [n]."""
        return np.asarray(-np.log(np.maximum(self.ceiling_percent - top1_percent, self.gap_percent)))

    def inverse(self, link: Array) -> tuple[Array, Array]:
        """Return (top-1 in per cent, its derivative with respect to the link), float [n] each.

        Where the formula falls below half of the ceiling, the accuracy is ceiling^2 / 4 / error instead. This continues the curve with
        the same slope, falls with every worse block, and stays above 0. The returned derivative remains that of the point of transition.
        """
        half = np.log(self.ceiling_percent / 2)
        error = np.exp(np.minimum(-link, half))
        tail = self.ceiling_percent**2 / 4 * np.exp(-np.maximum(-link, half))
        return np.asarray(np.where(-link <= half, self.ceiling_percent - error, tail)), np.asarray(error)


def fit_link(top1_percent: Array, requested_ceiling_percent: float = 0.0) -> SaturationLink:
    """Choose the ceiling and the gap for finetuned networks.

    The gap is half of the interquartile range of the accuracies, and at least 0.1. The ceiling is the requested one, raised to one gap
    above the best network if it is lower, and at most 100. Only at 100 can a network be closer to it than the gap, and the gap then
    prevents the logarithm of a tiny distance from dominating the fit.

    Args:
        top1_percent: Accuracies in per cent, float [n].
        requested_ceiling_percent: The teacher's accuracy in per cent, 0 for none.

    Raises:
        ConfigError: For an accuracy or a ceiling outside 0..100 %.
    """
    if not ((top1_percent >= 0) & (top1_percent <= 100)).all() or not 0 <= requested_ceiling_percent <= 100:
        raise ConfigError(
            "accuracies and their ceiling must be in 0..100 %",
            got=f"{top1_percent.min():g} to {top1_percent.max():g}, a ceiling of {requested_ceiling_percent:g}",
            hint="give them in per cent",
        )
    # not the standard deviation, which one poor corner of the space would widen
    low, high = np.percentile(top1_percent, [25, 75])
    gap = max(float(high - low) / 2, MIN_GAP_PERCENT)
    return SaturationLink(min(max(requested_ceiling_percent, float(top1_percent.max()) + gap), 100.0), gap)


KIND = "saturating"


@dataclass(frozen=True)
class SaturatingPredictor:
    """-log(ceiling - accuracy) = a + sum over stages of weight * -log(max(NSR, 1e-6)), without negative weights (ours).

    Args:
        kind: Always `saturating`.
        alpha: Regularization strength of the ridge.
        requested_ceiling_percent: The teacher's accuracy in per cent, 0 for none.
        ceiling_percent: The ceiling of the `SaturationLink`, which bends towards 0 below half of the ceiling.
        gap_percent: The gap of the `SaturationLink`.
        weights: The weight of each stage, float [stages].
        intercept: The mean link of the fit.
        center: The mean of each feature.
        scale: The standard deviation of each feature.
        covariance: Covariance of the weights, in the squared unit of the link.
        noise: Root-mean-square error on networks left out of the fit, in per cent.
        low: The lowest NSR of each stage in the fit.
        high: The highest NSR of each stage in the fit.
    """

    kind: str
    alpha: float
    requested_ceiling_percent: float
    ceiling_percent: float
    gap_percent: float
    weights: Array
    intercept: float
    center: Array
    scale: Array
    covariance: Array
    noise: float
    low: Array
    high: Array

    def __call__(self, qualities: Array) -> tuple[Array, Array]:
        """Return (top-1, standard deviation) in per cent of float [n, stages]; raises `ConfigError` for an invalid quality.

        The standard deviation combines that of the weights, by the derivative of the link, with the noise of one finetuning. So it is
        never below the noise, and grows outside of the fit towards worse blocks. Below the transition of the link, where the accuracy
        bends away from 0, the derivative of the transition is used.
        """
        link, x = self._predict_link(qualities)
        accuracy, slope = self.link.inverse(link)
        variance = ((x @ self.covariance) * x).sum(axis=1)
        return accuracy, np.sqrt(self.noise**2 + slope**2 * variance)

    def extrapolates(self, qualities: Array) -> Array:
        """Return bool [n]: whether a stage's NSR lies outside the range of the fit."""
        return out_of_range(qualities, self.low, self.high)

    def scores(self, qualities: Sequence[Array]) -> tuple[Array, ...]:
        """Return the contribution of each block [stage][block] to the link, with which the accuracy grows; see `AccuracyPredictor`."""
        return additive_scores(qualities, self.weights / self.scale)

    def quadratic(self, qualities: Sequence[Array]) -> None:
        """Return None, since the accuracy is not a sum."""

    def predict_leave_one_out(self, qualities: Array, top1_percent: Array) -> Array:
        """Return each network's prediction, float [n], by a fit to all other networks with this regularization strength and ceiling."""
        return _predict_leave_one_out(qualities, top1_percent, self.alpha, self.requested_ceiling_percent)[0]

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the predictor and facts about it as TOML."""
        save_fields(self, list(self.__dataclass_fields__), path, facts)

    @property
    def link(self) -> SaturationLink:
        """The transformation between the accuracy and the sum."""
        return SaturationLink(self.ceiling_percent, self.gap_percent)

    def _predict_link(self, qualities: Array) -> tuple[Array, Array]:
        x = (log_quality(validate_qualities(qualities)) - self.center) / self.scale
        return self.intercept + x @ self.weights, x


def fit_saturating(
    qualities: Array, top1_percent: Array, requested_ceiling_percent: float = 0.0
) -> SaturatingPredictor:
    """Fit to finetuned networks; the regularization strength has the least squared error in leave-one-out cross-validation."""
    left_out = [_predict_leave_one_out(qualities, top1_percent, alpha, requested_ceiling_percent) for alpha in ALPHAS]
    errors = [np.square(predictions - top1_percent).mean() for predictions, _ in left_out]
    best = int(np.argmin(errors))
    noise, link_noise = float(np.sqrt(errors[best])), float(np.sqrt(np.square(left_out[best][1]).mean()))
    return _fit(qualities, top1_percent, ALPHAS[best], requested_ceiling_percent, (noise, link_noise))


def _predict_leave_one_out(qualities: Array, top1: Array, alpha: float, ceiling: float) -> tuple[Array, Array]:
    """Return each network's prediction in per cent, and its error in the unit of the link, by a fit to all other networks."""
    count = len(top1)
    predictions, errors = np.empty(count), np.empty(count)
    for i in range(count):
        others = np.arange(count) != i
        fitted = _fit(qualities[others], top1[others], alpha, ceiling, (0.0, 0.0))
        left_out = qualities[i : i + 1]
        predictions[i] = fitted(left_out)[0][0]
        errors[i] = (fitted._predict_link(left_out)[0] - fitted.link.transform(top1[i : i + 1]))[0]
    return predictions, errors


def _fit(
    qualities: Array, top1: Array, alpha: float, requested_ceiling: float, noises: tuple[float, float]
) -> SaturatingPredictor:
    features = log_quality(validate_qualities(qualities))
    center, scale = compute_scaling(features)
    link = fit_link(top1, requested_ceiling)
    targets = link.transform(top1)
    x, intercept = (features - center) / scale, float(targets.mean())
    weights, covariance = fit_ridge(x, targets - intercept, alpha, positive=True)
    low, high = qualities.min(axis=0), qualities.max(axis=0)
    (noise, link_noise), shape = noises, (weights, intercept, center, scale)
    ceiling, gap, link_covariance = link.ceiling_percent, link.gap_percent, link_noise**2 * covariance
    return SaturatingPredictor(KIND, alpha, requested_ceiling, ceiling, gap, *shape, link_covariance, noise, low, high)
