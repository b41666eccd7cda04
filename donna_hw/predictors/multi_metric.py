"""JointPredictor: several metrics of a block and its counts, weighted by how informative they are for the finetuned networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from donna_hw.predictors.base import Array, log_quality, out_of_range, save_fields, validate_qualities
from donna_hw.predictors.saturating import SaturationLink, fit_link

KIND = "joint"
# means and deviation of the logarithms of the variances, of the weights and of the noise, on a standardized target; wide, since guessed
LOG_VARIANCE, LOG_NOISE, LOG_STD = -2.0, -1.5, 3.0
LOG_LARGE_VARIANCE = 2.0  # of large variances, from which the maximization of the likelihood is started too


@dataclass(frozen=True)
class JointPredictor:
    """-log(ceiling - accuracy) = a + sum over stages and metrics of weight * -log(max(value, 1e-6)) (ours).

    The weight of a metric in a stage is the sum of one that all stages share and one of the stage, both normally distributed about zero.
    Their variances for each metric, and that of the noise, maximize the evidence (MacKay 1992): with few networks a metric has nearly
    one weight for all stages, with many each stage has its own. A weight may be negative, since of two nearly equal metrics one may
    correct what the other overstates.

    Args:
        kind: Always `joint`.
        requested_ceiling_percent: The teacher's accuracy in per cent, 0 for none.
        ceiling_percent: The ceiling of the `SaturationLink`.
        gap_percent: The gap of the `SaturationLink`.
        shared_variance: Variance of the weights that stages share, float [metrics].
        stage_variance: Variance of the weights of single stages, float [metrics].
        residual: Variance of the noise, on a standardized target.
        weights: Float [stages, metrics].
        intercept: The mean link of the fit.
        center: The mean of each feature, float [stages, metrics].
        scale: The standard deviation of each metric over all stages, float [metrics].
        covariance: Covariance of the weights in the squared unit of the link, float [stages * metrics, stages * metrics].
        noise: Root-mean-square error on networks left out of the fit, in per cent.
        low: The lowest value in the fit, float [stages, metrics].
        high: The highest value in the fit, float [stages, metrics].
    """

    kind: str
    requested_ceiling_percent: float
    ceiling_percent: float
    gap_percent: float
    shared_variance: Array
    stage_variance: Array
    residual: float
    weights: Array
    intercept: float
    center: Array
    scale: Array
    covariance: Array
    noise: float
    low: Array
    high: Array

    def __call__(self, qualities: Array) -> tuple[Array, Array]:
        """Return (top-1, standard deviation) in per cent of float [n, stages, metrics]; raises `ConfigError` for an invalid quality.

        The standard deviation combines that of the weights, by the derivative of the link, with the noise of one finetuning.
        """
        x = self._features(qualities)
        accuracy, slope = self.link.inverse(self.intercept + x @ self.weights.ravel())
        variance = ((x @ self.covariance) * x).sum(axis=1)
        return accuracy, np.sqrt(self.noise**2 + slope**2 * variance)

    def extrapolates(self, qualities: Array) -> Array:
        """Return bool [n]: whether a metric of a stage lies outside the range of the fit."""
        return np.asarray(out_of_range(_add_metric_axis(qualities), self.low, self.high).any(axis=1))

    def scores(self, qualities: Sequence[Array]) -> tuple[Array, ...]:
        """Return the contribution of each block [stage][block] to the link, with which the accuracy grows; see `AccuracyPredictor`."""
        scores = []
        for values, weights in zip(qualities, self.weights / self.scale, strict=True):
            metrics = values.reshape(len(values), -1)
            usable = np.isfinite(metrics).all(axis=1)
            finite = np.where(usable[:, None], metrics, 1.0)
            scores.append(np.asarray(np.where(usable, log_quality(finite) @ weights, -np.inf)))
        return tuple(scores)

    def quadratic(self, qualities: Sequence[Array]) -> None:
        """Return None, since the accuracy is not a sum."""

    def predict_leave_one_out(self, qualities: Array, top1_percent: Array) -> Array:
        """Return each network's prediction, float [n], by a fit to all other networks with these variances."""
        variances = np.array([*self.shared_variance, *self.stage_variance, self.residual])
        return _predict_leave_one_out(qualities, top1_percent, self.requested_ceiling_percent, variances)

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the predictor and facts about it as TOML."""
        save_fields(self, list(self.__dataclass_fields__), path, facts)

    @property
    def link(self) -> SaturationLink:
        """The transformation between the accuracy and the sum."""
        return SaturationLink(self.ceiling_percent, self.gap_percent)

    def _features(self, qualities: Array) -> Array:
        x = (log_quality(validate_qualities(_add_metric_axis(qualities))) - self.center) / self.scale
        return np.asarray(x.reshape(len(x), self.weights.size))


def fit_joint(qualities: Array, top1_percent: Array, requested_ceiling_percent: float = 0.0) -> JointPredictor:
    """Fit to finetuned networks: qualities float [n, stages, metrics], or [n, stages] for one metric; top1_percent float [n]."""
    x, _, _ = _standardize(qualities)
    target, _ = _standardize_target(fit_link(top1_percent, requested_ceiling_percent).transform(top1_percent))
    variances = _fit_variances(x, target)
    predictions = _predict_leave_one_out(qualities, top1_percent, requested_ceiling_percent, variances)
    noise = float(np.sqrt(np.square(predictions - top1_percent).mean()))
    return _fit(qualities, top1_percent, requested_ceiling_percent, variances, noise)


def _fit_variances(x: Array, target: Array) -> Array:
    """Return the most probable variances of the weights and the noise for a standardized target, float [2 metrics + 1].

    The likelihood has several maxima, since the difference of two nearly equal metrics may or may not be informative. So the
    optimization starts from small variances, from large ones, and from large ones of each metric and of each pair of metrics.
    """
    kernels = np.concatenate([_kernels(x, x), np.eye(len(x))[None]])
    prior_mean = np.array([LOG_VARIANCE] * (len(kernels) - 1) + [LOG_NOISE])

    def loss(logs: Array) -> tuple[float, Array]:
        factor = cho_factor(np.tensordot(np.exp(logs), kernels, 1), lower=True)
        inverse = cho_solve(factor, np.eye(len(x)))
        solution = inverse @ target
        value = target @ solution / 2 + np.log(factor[0].diagonal()).sum()
        gradient = np.exp(logs) / 2 * ((kernels * inverse).sum(axis=(1, 2)) - (kernels @ solution) @ solution)
        deviation = (logs - prior_mean) / LOG_STD
        return float(value + deviation @ deviation / 2), gradient + deviation / LOG_STD

    bounds = [(-12.0, 4.0)] * (len(kernels) - 1) + [(-8.0, 2.0)]
    metrics = (len(kernels) - 1) // 2
    subsets = [(), *(subset for count in (1, 2) for subset in combinations(range(metrics), count)), range(metrics)]
    optima = []
    for subset in dict.fromkeys(tuple(subset) for subset in subsets):
        start = prior_mean.copy()
        start[[*subset, *(metrics + metric for metric in subset)]] = LOG_LARGE_VARIANCE
        optima.append(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds))
    return np.asarray(np.exp(min(optima, key=lambda optimum: float(optimum.fun)).x))


def _fit(qualities: Array, top1: Array, ceiling: float, variances: Array, noise: float) -> JointPredictor:
    x, center, scale = _standardize(qualities)
    count, stages, metrics = x.shape
    link = fit_link(top1, ceiling)
    values = link.transform(top1)
    target, target_std = _standardize_target(values)
    shared, per_stage, residual = variances[:metrics], variances[metrics:-1], float(variances[-1])
    # of the weights in the order of x: stage by stage, and metric by metric within a stage
    prior = np.kron(np.ones((stages, stages)), np.diag(shared)) + np.kron(np.eye(stages), np.diag(per_stage))
    flat = x.reshape(count, -1)
    cross_covariance = flat @ prior / stages
    factor = cho_factor(cross_covariance @ flat.T + residual * np.eye(count), lower=True)
    weights = cross_covariance.T @ cho_solve(factor, target)
    covariance = prior / stages - cross_covariance.T @ cho_solve(factor, cross_covariance)
    with_metrics = _add_metric_axis(qualities)
    return JointPredictor(
        KIND,
        ceiling,
        link.ceiling_percent,
        link.gap_percent,
        shared,
        per_stage,
        residual,
        target_std * weights.reshape(stages, metrics),
        float(values.mean()),
        center,
        scale,
        target_std**2 * (covariance + covariance.T) / 2,
        noise,
        with_metrics.min(axis=0),
        with_metrics.max(axis=0),
    )


def _predict_leave_one_out(qualities: Array, top1: Array, ceiling: float, variances: Array) -> Array:
    predictions = np.empty(len(top1))
    for i in range(len(top1)):
        others = np.arange(len(top1)) != i
        predictions[i] = _fit(qualities[others], top1[others], ceiling, variances, 0.0)(qualities[i : i + 1])[0][0]
    return predictions


def _kernels(a: Array, b: Array) -> Array:
    """Return the covariance of two sets of networks at unit variances, float [2 metrics, n, m]: of shared weights, then of stages."""
    stages = a.shape[1]
    shared = np.einsum("nk,mk->knm", a.sum(axis=1), b.sum(axis=1))
    return np.asarray(np.concatenate([shared, np.einsum("nsk,msk->knm", a, b)]) / stages)


def _standardize(qualities: Array) -> tuple[Array, Array, Array]:
    """Return (features [n, stages, metrics] less their means and divided by each metric's deviation over all stages, means, deviations)."""
    features = log_quality(validate_qualities(_add_metric_axis(qualities)))
    center = features.mean(axis=0)
    spread = np.sqrt(np.square(features - center).mean(axis=(0, 1)))
    scale = np.where(spread > 1e-12, spread, 1.0)
    return (features - center) / scale, center, scale


def _standardize_target(values: Array) -> tuple[Array, float]:
    """Return (the standardized target, its standard deviation); the latter is 1 where all networks are equally accurate."""
    spread = float(values.std())
    std = spread if spread > 1e-12 else 1.0
    return (values - values.mean()) / std, std


def _add_metric_axis(qualities: Array) -> Array:
    return qualities if qualities.ndim == 3 else qualities[..., None]
