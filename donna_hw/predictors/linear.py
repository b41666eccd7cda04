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
    """A linear model on features of the qualities; `kind` says which (`KINDS`).

    monotone (ours): the features are -log(max(NSR, 1e-6)), their weights are never negative: a better block never lowers the
    prediction. ridge2 (the paper's Ridge [A.4.4] with second-order terms): standardised NSR, their squares and products.
    ridge2_monotone (ours): t = log(highest NSR of the fit / NSR), zero above it, their squares and products; no weight is negative.
    covariance: (X^T X + alpha I)^-1 of the centred features; noise: the residuals' standard deviation in per cent. low, high: the range of
    each stage's NSR in the fit.
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
        """Return (top-1 %, standard deviation %) of float [n, stages]; raises `BadSetting` on a quality that is none."""
        x = (KINDS[self.kind](validate_qualities(qualities), self.high) - self.center) / self.scale
        leverage = ((x @ self.covariance) * x).sum(axis=1)
        return self.intercept + x @ self.weights, self.noise * np.sqrt(1 + leverage)

    def extrapolates(self, qualities: Array) -> Array:
        """Return bool [n]: whether a stage's NSR lies outside the range of the fit."""
        return out_of_range(qualities, self.low, self.high)

    def scores(self, qualities: Sequence[Array]) -> tuple[Array, ...] | None:
        """Return what each block [stage][block] adds to the accuracy, for `monotone`; see `AccuracyPredictor`."""
        if self.kind != "monotone":
            return None
        return additive_scores(qualities, self.weights / self.scale)

    def quadratic(self, qualities: Sequence[Array]) -> Quadratic | None:
        """Return the accuracy of blocks of these NSR [stage][block], for `ridge2_monotone`; see `AccuracyPredictor`."""
        return self.second_order(qualities) if self.kind == "ridge2_monotone" else None

    def second_order(self, qualities: Sequence[Array]) -> Quadratic | None:
        """Return what `quadratic` does, for `ridge2` too, whose interactions may be negative; None for `monotone`."""
        if self.kind == "monotone":
            return None
        stages = len(self.high)
        slopes = self.weights / self.scale
        interactions = np.zeros((stages, stages))
        interactions[np.triu_indices(stages)] = slopes[stages:]  # in the order of the features
        squares = interactions.diagonal().copy()
        np.fill_diagonal(interactions, 0.0)
        plain = self.kind == "ridge2"
        t = tuple(
            np.where(np.isfinite(values), values, 0.0) if plain else _log_gain(values, high)
            for values, high in zip(qualities, self.high, strict=True)
        )
        linear = tuple(
            np.where(np.isfinite(values), slope * each + square * each**2, -np.inf)
            for values, each, slope, square in zip(qualities, t, slopes[:stages], squares, strict=True)
        )
        return Quadratic(linear, t, interactions + interactions.T, float(self.intercept - slopes @ self.center))

    def predict_leave_one_out(self, qualities: Array, top1_percent: Array) -> Array:
        """Return what `predict_leave_one_out` does at this predictor's strength of the ridge."""
        return predict_leave_one_out(qualities, top1_percent, self.kind, self.alpha)

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the predictor and facts about it as TOML."""
        save_fields(self, list(self.__dataclass_fields__), path, facts)


def fit_linear(qualities: Array, top1_percent: Array, kind: str) -> LinearPredictor:
    """Fit a predictor of a kind in `KINDS`; the strength of its ridge is chosen by leave-one-out cross-validation."""
    errors = [
        np.square(predict_leave_one_out(qualities, top1_percent, kind, alpha) - top1_percent).mean() for alpha in ALPHAS
    ]
    best = int(np.argmin(errors))
    return _fit(qualities, top1_percent, kind, ALPHAS[best], noise=float(np.sqrt(errors[best])))


def predict_leave_one_out(qualities: Array, top1_percent: Array, kind: str, alpha: float) -> Array:
    """Return each network's prediction, float [n], by a predictor that was fitted to all the others."""
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
    """Return the mean and the standard deviation of each feature; 1 for a constant one, which says nothing and gets no weight."""
    scale = features.std(axis=0)
    return features.mean(axis=0), np.where(scale > 1e-12, scale, 1.0)


def fit_ridge(x: Array, target: Array, alpha: float, *, positive: bool) -> tuple[Array, Array]:
    """Return the weights float [k] of centred features [n, k], zero or more if `positive`, and (X^T X + alpha I)^-1."""
    k = x.shape[1]
    stacked, wanted = np.vstack([x, np.sqrt(alpha) * np.eye(k)]), np.concatenate([target, np.zeros(k)])
    weights = nnls(stacked, wanted)[0] if positive else np.linalg.lstsq(stacked, wanted, rcond=None)[0]
    return weights, np.linalg.inv(x.T @ x + alpha * np.eye(k))


def _log_gain(qualities: Array, high: Array) -> Array:
    return np.asarray(np.maximum(log_quality(qualities) - log_quality(high), 0.0))


def _add_products(features: Array) -> Array:
    pairs = combinations_with_replacement(range(features.shape[1]), 2)
    return np.hstack([features, *(features[:, [i]] * features[:, [j]] for i, j in pairs)])


# NSR [n, stages], and the highest of each stage in the fit, to [n, features]
FeatureMap = Callable[[Array, Array], Array]
KINDS: dict[str, FeatureMap] = {
    "monotone": lambda qualities, high: log_quality(qualities),
    "ridge2": lambda qualities, high: _add_products(qualities),
    "ridge2_monotone": lambda qualities, high: _add_products(_log_gain(qualities, high)),
}
