"""SaturatingPredictor: better blocks bring the accuracy nearer to a ceiling, and never above it."""

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

MIN_GAP_PERCENT = 0.1  # of networks that are all equally accurate


@dataclass(frozen=True)
class SaturationLink:
    """A ceiling and a gap in per cent: a network nearer to the ceiling than the gap counts as if it were that far below."""

    ceiling_percent: float
    gap_percent: float

    def transform(self, top1_percent: Array) -> Array:
        """Return -log(ceiling - accuracy), float [n]."""
        return np.asarray(-np.log(np.maximum(self.ceiling_percent - top1_percent, self.gap_percent)))

    def inverse(self, link: Array) -> tuple[Array, Array]:
        """Return (top-1 %, its slope by the link), float [n] each.

        Where the formula falls below half of the ceiling, the accuracy is ceiling^2 / 4 / error instead, which joins it with the same
        slope, falls with every worse block, and stays above 0; the slope stays that of the bend.
        """
        half = np.log(self.ceiling_percent / 2)
        error = np.exp(np.minimum(-link, half))
        tail = self.ceiling_percent**2 / 4 * np.exp(-np.maximum(-link, half))
        return np.asarray(np.where(-link <= half, self.ceiling_percent - error, tail)), np.asarray(error)


def fit_link(top1_percent: Array, requested_ceiling_percent: float = 0.0) -> SaturationLink:
    """Return the link for networks of these accuracies, float [n], and a teacher of `asked_percent`, 0 for none.

    gap: half of the accuracies' interquartile range, and at least 0.1. The ceiling is the teacher's accuracy, raised to one gap above
    the best network where it lies lower, and at most 100; only there can a network be nearer to it than the gap, which no logarithm
    of nearly nothing makes rule the fit. Raises `ConfigError` on a share that is none.
    """
    if not ((top1_percent >= 0) & (top1_percent <= 100)).all() or not 0 <= requested_ceiling_percent <= 100:
        found = f"{top1_percent.min():g} to {top1_percent.max():g}, a ceiling of {requested_ceiling_percent:g}"
        raise ConfigError("accuracies and their ceiling lie in 0..100 %", got=found, hint="give them in per cent")
    low, high = np.percentile(top1_percent, [25, 75])  # no deviation: one poor corner of the space would widen it
    gap = max(float(high - low) / 2, MIN_GAP_PERCENT)
    return SaturationLink(min(max(requested_ceiling_percent, float(top1_percent.max()) + gap), 100.0), gap)


KIND = "saturating"


@dataclass(frozen=True)
class SaturatingPredictor:
    """-log(ceiling - accuracy) = a + sum over stages of weight * -log(max(NSR, 1e-6)), no weight below zero (ours).

    asked_percent: the ceiling that was asked for, the teacher's accuracy, 0 for none; ceiling_percent, gap_percent: of its `SaturationLink`, which
    bends towards 0 below half of the ceiling. covariance: of the weights, in the unit of the link; noise: in per cent.
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
        """Return (top-1 %, standard deviation %) of float [n, stages]; raises `ConfigError` on a quality that is none.

        The deviation is that of the weights, by the slope of the link, and the noise of one finetuning beside it: it never falls below
        the noise, and grows outside of the fit towards worse blocks. Where the accuracy bends away from 0 the slope of the bend is kept.
        """
        link, x = self._predict_link(qualities)
        accuracy, slope = self.link.inverse(link)
        variance = ((x @ self.covariance) * x).sum(axis=1)
        return accuracy, np.sqrt(self.noise**2 + slope**2 * variance)

    def extrapolates(self, qualities: Array) -> Array:
        """Return bool [n]: whether a stage's NSR lies outside the range of the fit."""
        return out_of_range(qualities, self.low, self.high)

    def scores(self, qualities: Sequence[Array]) -> tuple[Array, ...]:
        """Return what each block [stage][block] adds to the link, which the accuracy grows with; see `AccuracyPredictor`."""
        return additive_scores(qualities, self.weights / self.scale)

    def quadratic(self, qualities: Sequence[Array]) -> None:
        """Return None: the accuracy is no sum."""

    def predict_leave_one_out(self, qualities: Array, top1_percent: Array) -> Array:
        """Return each network's prediction, float [n], by a fit to all the others at this strength of the ridge and ceiling."""
        return _predict_leave_one_out(qualities, top1_percent, self.alpha, self.requested_ceiling_percent)[0]

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the predictor and facts about it as TOML."""
        save_fields(self, list(self.__dataclass_fields__), path, facts)

    @property
    def link(self) -> SaturationLink:
        """What makes an accuracy a sum, and back."""
        return SaturationLink(self.ceiling_percent, self.gap_percent)

    def _predict_link(self, qualities: Array) -> tuple[Array, Array]:
        x = (log_quality(validate_qualities(qualities)) - self.center) / self.scale
        return self.intercept + x @ self.weights, x


def fit_saturating(
    qualities: Array, top1_percent: Array, requested_ceiling_percent: float = 0.0
) -> SaturatingPredictor:
    """Fit to finetuned networks; the strength of the ridge has the least squared error of accuracies left out, one network at a time."""
    tried = [_predict_leave_one_out(qualities, top1_percent, alpha, requested_ceiling_percent) for alpha in ALPHAS]
    errors = [np.square(predictions - top1_percent).mean() for predictions, _ in tried]
    best = int(np.argmin(errors))
    noise, link_noise = float(np.sqrt(errors[best])), float(np.sqrt(np.square(tried[best][1]).mean()))
    return _fit(qualities, top1_percent, ALPHAS[best], requested_ceiling_percent, (noise, link_noise))


def _predict_leave_one_out(qualities: Array, top1: Array, alpha: float, asked: float) -> tuple[Array, Array]:
    """Return each network's prediction in per cent, and its error in the unit of the link, by a fit to all the others."""
    count = len(top1)
    predictions, errors = np.empty(count), np.empty(count)
    for i in range(count):
        others = np.arange(count) != i
        fitted = _fit(qualities[others], top1[others], alpha, asked, (0.0, 0.0))
        one = qualities[i : i + 1]
        predictions[i] = fitted(one)[0][0]
        errors[i] = (fitted._predict_link(one)[0] - fitted.link.transform(top1[i : i + 1]))[0]
    return predictions, errors


def _fit(qualities: Array, top1: Array, alpha: float, asked: float, noises: tuple[float, float]) -> SaturatingPredictor:
    features = log_quality(validate_qualities(qualities))
    center, scale = compute_scaling(features)
    link = fit_link(top1, asked)
    targets = link.transform(top1)
    x, intercept = (features - center) / scale, float(targets.mean())
    weights, covariance = fit_ridge(x, targets - intercept, alpha, positive=True)
    low, high = qualities.min(axis=0), qualities.max(axis=0)
    (noise, link_noise), shape = noises, (weights, intercept, center, scale)
    ceiling, gap = link.ceiling_percent, link.gap_percent
    return SaturatingPredictor(KIND, alpha, asked, ceiling, gap, *shape, link_noise**2 * covariance, noise, low, high)
