"""JointPredictor: several metrics of a block, and its counts, weighed by what the finetuned networks say of each."""

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
# of the logarithms of the prior's variances: of the weights and, last, of the noise, on a standardised target; wide, since they are guesses
LOG_VARIANCE, LOG_NOISE, LOG_STD = -2.0, -1.5, 3.0
LOG_LARGE_VARIANCE = 2.0  # of large variances, from which the climb to the most likely ones begins, too


@dataclass(frozen=True)
class JointPredictor:
    """-log(ceiling - accuracy) = a + sum over stages and metrics of weight * -log(max(value, 1e-6)) (ours).

    The weight of a metric is one that all stages share and one of each stage, both normally distributed about zero. Their variances
    for each metric, `shared` and `own`, float [metrics], and that of the noise are the most likely ones (evidence maximisation,
    MacKay 1992): few networks leave one weight a metric, many give each stage its own. A weight may be negative: of two metrics
    that say nearly the same, one may tell what the other overstates. weights, center: [stages, metrics]; covariance: of the weights,
    in the unit of the link, [stages * metrics] each way; noise: in per cent; asked_percent and the ends of the `SaturationLink` as in `saturating`.
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
        """Return (top-1 %, standard deviation %) of float [n, stages, metrics]; raises `BadSetting` on a quality that is none.

        The deviation is that of the weights, by the slope of the link, and the noise of one finetuning beside it.
        """
        x = self._features(qualities)
        accuracy, slope = self.link.inverse(self.intercept + x @ self.weights.ravel())
        variance = ((x @ self.covariance) * x).sum(axis=1)
        return accuracy, np.sqrt(self.noise**2 + slope**2 * variance)

    def extrapolates(self, qualities: Array) -> Array:
        """Return bool [n]: whether a metric of a stage lies outside the range of the fit."""
        return np.asarray(out_of_range(_add_metric_axis(qualities), self.low, self.high).any(axis=1))

    def scores(self, qualities: Sequence[Array]) -> tuple[Array, ...]:
        """Return what each block [stage][block] adds to the link, which the accuracy grows with; see `AccuracyPredictor`."""
        found = []
        for values, weights in zip(qualities, self.weights / self.scale, strict=True):
            each = values.reshape(len(values), -1)
            usable = np.isfinite(each).all(axis=1)
            safe = np.where(usable[:, None], each, 1.0)
            found.append(np.asarray(np.where(usable, log_quality(safe) @ weights, -np.inf)))
        return tuple(found)

    def quadratic(self, qualities: Sequence[Array]) -> None:
        """Return None: the accuracy is no sum."""

    def predict_leave_one_out(self, qualities: Array, top1_percent: Array) -> Array:
        """Return each network's prediction, float [n], by a fit to all the others at these variances of the prior."""
        variances = np.array([*self.shared_variance, *self.stage_variance, self.residual])
        return _predict_leave_one_out(qualities, top1_percent, self.requested_ceiling_percent, variances)

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the predictor and facts about it as TOML."""
        save_fields(self, list(self.__dataclass_fields__), path, facts)

    @property
    def link(self) -> SaturationLink:
        """What makes an accuracy a sum, and back."""
        return SaturationLink(self.ceiling_percent, self.gap_percent)

    def _features(self, qualities: Array) -> Array:
        x = (log_quality(validate_qualities(_add_metric_axis(qualities))) - self.center) / self.scale
        return np.asarray(x.reshape(len(x), self.weights.size))


def fit_joint(qualities: Array, top1_percent: Array, requested_ceiling_percent: float = 0.0) -> JointPredictor:
    """Fit to finetuned networks: qualities float [n, stages, metrics], or [n, stages] of one metric; top1_percent float [n]."""
    x, _, _ = _standardize(qualities)
    target, _ = _standardize_target(fit_link(top1_percent, requested_ceiling_percent).transform(top1_percent))
    variances = _fit_variances(x, target)
    predictions = _predict_leave_one_out(qualities, top1_percent, requested_ceiling_percent, variances)
    noise = float(np.sqrt(np.square(predictions - top1_percent).mean()))
    return _fit(qualities, top1_percent, requested_ceiling_percent, variances, noise)


def _fit_variances(x: Array, target: Array) -> Array:
    """Return the variances of the prior under which a standardised target is most likely, and the prior's own, float [2 metrics + 1].

    The likelihood has several tops: of two metrics that say nearly the same, the difference tells much or nothing. So the climb begins
    at small variances, at large ones, and at large ones of each metric and each two of them.
    """
    parts = np.concatenate([_kernels(x, x), np.eye(len(x))[None]])
    middle = np.array([LOG_VARIANCE] * (len(parts) - 1) + [LOG_NOISE])

    def loss(logs: Array) -> tuple[float, Array]:
        factor = cho_factor(np.tensordot(np.exp(logs), parts, 1), lower=True)
        inverse = cho_solve(factor, np.eye(len(x)))
        pulled = inverse @ target
        value = target @ pulled / 2 + np.log(factor[0].diagonal()).sum()
        slopes = np.exp(logs) / 2 * ((parts * inverse).sum(axis=(1, 2)) - (parts @ pulled) @ pulled)
        off = (logs - middle) / LOG_STD
        return float(value + off @ off / 2), slopes + off / LOG_STD

    limits = [(-12.0, 4.0)] * (len(parts) - 1) + [(-8.0, 2.0)]
    metrics = (len(parts) - 1) // 2
    raised = [(), *(each for count in (1, 2) for each in combinations(range(metrics), count)), range(metrics)]
    ends = []
    for some in dict.fromkeys(tuple(each) for each in raised):
        start = middle.copy()
        start[[*some, *(metrics + metric for metric in some)]] = LOG_LARGE_VARIANCE
        ends.append(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits))
    return np.asarray(np.exp(min(ends, key=lambda end: float(end.fun)).x))


def _fit(qualities: Array, top1: Array, asked: float, variances: Array, noise: float) -> JointPredictor:
    x, center, scale = _standardize(qualities)
    count, stages, metrics = x.shape
    link = fit_link(top1, asked)
    values = link.transform(top1)
    target, size = _standardize_target(values)
    shared, own, residual = variances[:metrics], variances[metrics:-1], float(variances[-1])
    # of the weights, ordered as x is: stage by stage, in each metric by metric
    prior = np.kron(np.ones((stages, stages)), np.diag(shared)) + np.kron(np.eye(stages), np.diag(own))
    flat = x.reshape(count, -1)
    towards = flat @ prior / stages
    factor = cho_factor(towards @ flat.T + residual * np.eye(count), lower=True)
    weights = towards.T @ cho_solve(factor, target)
    covariance = prior / stages - towards.T @ cho_solve(factor, towards)
    deep = _add_metric_axis(qualities)
    return JointPredictor(
        KIND,
        asked,
        link.ceiling_percent,
        link.gap_percent,
        shared,
        own,
        residual,
        size * weights.reshape(stages, metrics),
        float(values.mean()),
        center,
        scale,
        size**2 * (covariance + covariance.T) / 2,
        noise,
        deep.min(axis=0),
        deep.max(axis=0),
    )


def _predict_leave_one_out(qualities: Array, top1: Array, asked: float, variances: Array) -> Array:
    found = np.empty(len(top1))
    for i in range(len(top1)):
        others = np.arange(len(top1)) != i
        found[i] = _fit(qualities[others], top1[others], asked, variances, 0.0)(qualities[i : i + 1])[0][0]
    return found


def _kernels(a: Array, b: Array) -> Array:
    """Return what a weight of variance 1 a stage gives two networks in common, float [2 metrics, n, m]: shared weights, then own ones."""
    stages = a.shape[1]
    shared = np.einsum("nk,mk->knm", a.sum(axis=1), b.sum(axis=1))
    return np.asarray(np.concatenate([shared, np.einsum("nsk,msk->knm", a, b)]) / stages)


def _standardize(qualities: Array) -> tuple[Array, Array, Array]:
    """Return the features [n, stages, metrics] about their means, by the deviation of a metric in all stages together, and these two."""
    features = log_quality(validate_qualities(_add_metric_axis(qualities)))
    center = features.mean(axis=0)
    spread = np.sqrt(np.square(features - center).mean(axis=(0, 1)))
    scale = np.where(spread > 1e-12, spread, 1.0)
    return (features - center) / scale, center, scale


def _standardize_target(values: Array) -> tuple[Array, float]:
    """Return the target about its mean by its deviation, and that; 1 where all networks are equally accurate."""
    spread = float(values.std())
    size = spread if spread > 1e-12 else 1.0
    return (values - values.mean()) / size, size


def _add_metric_axis(qualities: Array) -> Array:
    return qualities if qualities.ndim == 3 else qualities[..., None]
