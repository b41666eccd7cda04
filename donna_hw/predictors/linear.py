"""LinearPredictor: a linear model on features of the blocks' qualities (paper, section 3 and A.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from donna_hw.predictors.base import (
    ALPHAS,
    Array,
    additive_scores,
    log_quality,
    out_of_range,
    save_fields,
    validate_qualities,
)
from donna_hw.predictors.quadratic import Quadratic


@dataclass(frozen=True)
class LinearPredictor:
    """A linear model on features of the qualities, which `kind` selects.

    monotone (ours): the features are -log(max(NSR, 1e-6)), and no weight is negative, so a better block never lowers the prediction.
    ridge2 (the paper's Ridge [A.4.4] with second-order terms): standardized NSR, their squares and products.
    ridge2_monotone (ours): t = log(highest NSR of the fit / NSR), and zero above it; their squares and products; no weight is negative.

    Args:
        kind: A name in `KINDS`.
        alpha: Regularization strength of the ridge.
        weights: The weight of each feature, float [features].
        intercept: The mean accuracy of the fit, in per cent.
        center: The mean of each feature.
        scale: The standard deviation of each feature.
        covariance: (X^T X + alpha I)^-1 of the centered features.
        noise: Standard deviation of the residuals, in per cent.
        low: The lowest NSR of each stage in the fit.
        high: The highest NSR of each stage in the fit.
    """

    kind: str
    alpha: float
    weights: Array
    intercept: float
    center: Array
    scale: Array
    covariance: Array
    noise: float
    low: Array
    high: Array

    def __call__(self, qualities: Array) -> tuple[Array, Array]:
        """Return (top-1, standard deviation) in per cent of float [n, stages]; raises `ConfigError` for an invalid quality."""
        x = (KINDS[self.kind](validate_qualities(qualities), self.high) - self.center) / self.scale
        leverage = ((x @ self.covariance) * x).sum(axis=1)
        return self.intercept + x @ self.weights, self.noise * np.sqrt(1 + leverage)

    def extrapolates(self, qualities: Array) -> Array:
        """Return bool [n]: whether a stage's NSR lies outside the range of the fit."""
        return out_of_range(qualities, self.low, self.high)

    def scores(self, qualities: Sequence[Array]) -> tuple[Array, ...] | None:
        """Return the contribution of each block [stage][block] to the accuracy, for `monotone`; see `AccuracyPredictor`."""
        if self.kind != "monotone":
            return None
        return additive_scores(qualities, self.weights / self.scale)

    def quadratic(self, qualities: Sequence[Array]) -> Quadratic | None:
        """Return the accuracy of blocks with these NSR [stage][block], for `ridge2_monotone`; see `AccuracyPredictor`."""
        return self.second_order(qualities) if self.kind == "ridge2_monotone" else None

    def second_order(self, qualities: Sequence[Array]) -> Quadratic | None:
        """Return what `quadratic` returns, also for `ridge2`, whose interactions may be negative; None for `monotone`."""
        if self.kind == "monotone":
            return None
        stages = len(self.high)
        slopes = self.weights / self.scale
        interactions = np.zeros((stages, stages))
        interactions[np.triu_indices(stages)] = slopes[stages:]  # in the order of the features
        squares = interactions.diagonal().copy()
        np.fill_diagonal(interactions, 0.0)
        is_plain_nsr = self.kind == "ridge2"
        t = tuple(
            np.where(np.isfinite(values), values, 0.0) if is_plain_nsr else _log_gain(values, high)
            for values, high in zip(qualities, self.high, strict=True)
        )
        linear = tuple(
            np.where(np.isfinite(values), slope * terms + square * terms**2, -np.inf)
            for values, terms, slope, square in zip(qualities, t, slopes[:stages], squares, strict=True)
        )
        return Quadratic(linear, t, interactions + interactions.T, float(self.intercept - slopes @ self.center))

    def predict_leave_one_out(self, qualities: Array, top1_percent: Array) -> Array:
        """Return each network's prediction, float [n], by a fit to all other networks with this regularization strength."""
        return predict_leave_one_out(qualities, top1_percent, self.kind, self.alpha)

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the predictor and facts about it as TOML."""
        save_fields(self, list(self.__dataclass_fields__), path, facts)


def fit_linear(qualities: Array, top1_percent: Array, kind: str) -> LinearPredictor:
    """Fit a predictor of a kind in `KINDS`; its regularization strength is chosen by leave-one-out cross-validation."""
    errors = [
        np.square(predict_leave_one_out(qualities, top1_percent, kind, alpha) - top1_percent).mean() for alpha in ALPHAS
    ]
    best = int(np.argmin(errors))
    return _fit(qualities, top1_percent, kind, ALPHAS[best], noise=float(np.sqrt(errors[best])))


def predict_leave_one_out(qualities: Array, top1_percent: Array, kind: str, alpha: float) -> Array:
    """Return each network's prediction, float [n], by a predictor that is fitted to all other networks."""
    count = len(top1_percent)
    predictions = np.empty(count)
    for i in range(count):
        others = np.arange(count) != i
        fitted = _fit(qualities[others], top1_percent[others], kind, alpha, noise=0.0)
        predictions[i] = fitted(qualities[i : i + 1])[0][0]
    return predictions


def _fit(qualities: Array, top1: Array, kind: str, alpha: float, noise: float) -> LinearPredictor:
    features = KINDS[kind](validate_qualities(qualities), qualities.max(axis=0))
    center, scale = compute_scaling(features)
    x, intercept = (features - center) / scale, float(top1.mean())
    weights, covariance = fit_ridge(x, top1 - intercept, alpha, positive="monotone" in kind)
    return LinearPredictor(
        kind, alpha, weights, intercept, center, scale, covariance, noise, qualities.min(axis=0), qualities.max(axis=0)
    )


def compute_scaling(features: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of each feature; 1 for a constant one, which carries no information and gets no weight."""
    scale = features.std(axis=0)
    return features.mean(axis=0), np.where(scale > 1e-12, scale, 1.0)


def fit_ridge(x: Array, target: Array, alpha: float, *, positive: bool) -> tuple[Array, Array]:
    """Fit a ridge regression.

    Args:
        x: Centered features, float [n, k].
        target: Centered targets, float [n].
        alpha: Regularization strength.
        positive: Whether weights must not be negative.

    Returns:
        (weights float [k], (X^T X + alpha I)^-1).
    """
    k = x.shape[1]
    stacked, targets = np.vstack([x, np.sqrt(alpha) * np.eye(k)]), np.concatenate([target, np.zeros(k)])
    weights = nnls(stacked, targets)[0] if positive else np.linalg.lstsq(stacked, targets, rcond=None)[0]
    return weights, np.linalg.inv(x.T @ x + alpha * np.eye(k))


def _log_gain(qualities: Array, high: Array) -> Array:
    return np.asarray(np.maximum(log_quality(qualities) - log_quality(high), 0.0))


def _add_products(features: Array) -> Array:
    pairs = combinations_with_replacement(range(features.shape[1]), 2)
    return np.hstack([features, *(features[:, [i]] * features[:, [j]] for i, j in pairs)])


# from NSR [n, stages] and the highest NSR of each stage in the fit to [n, features]
FeatureMap = Callable[[Array, Array], Array]
KINDS: dict[str, FeatureMap] = {
    "monotone": lambda qualities, high: log_quality(qualities),
    "ridge2": lambda qualities, high: _add_products(qualities),
    "ridge2_monotone": lambda qualities, high: _add_products(_log_gain(qualities, high)),
}
