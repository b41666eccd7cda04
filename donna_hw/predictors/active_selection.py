"""Which architectures to finetune next: by chance, or by what they would tell."""

from __future__ import annotations

import numpy as np

from donna_hw.costs.optimal_design import select_a_optimal
from donna_hw.errors import ConfigError
from donna_hw.predictors.base import Array, flatten_metrics, log_quality, validate_qualities
from donna_hw.predictors.linear import compute_scaling
from donna_hw.predictors.sklearn_models import SklearnPredictor

STRATEGIES = ("uniform", "d_optimal", "variance")
# beside the information of one network: what a determinant needs before there are as many networks as weights
PRIOR = 1e-3


def select_uniform(candidates: int, count: int, rng: np.random.Generator) -> Array:
    """Return the numbers of `count` different candidates, int [count], each as likely as any other."""
    _validate_count(candidates, count)
    return rng.choice(candidates, count, replace=False)


def select_d_optimal(candidates: Array, finetuned: Array, count: int) -> Array:
    """Return the numbers of `count` different candidates, int [count], that make the weights of a linear predictor known best.

    candidates, chosen: qualities float [n, stages] or [n, stages, metrics] of networks to choose from, and of those that are finetuned
    already. Greedy: each next network raises the determinant of X^T X most, X being 1 and the standardised -log qualities of all that
    are chosen (Fedorov, 1972, one network at a time). No accuracy is needed.
    """
    _validate_count(len(candidates), count)
    features = flatten_metrics(log_quality(validate_qualities(candidates)))
    center, scale = compute_scaling(features)
    x = _add_intercept((features - center) / scale)
    before = _add_intercept((flatten_metrics(log_quality(validate_qualities(finetuned))) - center) / scale)
    inverse = np.linalg.inv(before.T @ before + PRIOR * np.eye(x.shape[1]))
    found: list[int] = []
    for _ in range(count):
        gains = ((x @ inverse) * x).sum(axis=1)  # the determinant grows by the factor 1 + gain
        gains[found] = -np.inf
        best = int(np.argmax(gains))
        found.append(best)
        column = inverse @ x[best]
        inverse = inverse - np.outer(column, column) / (1 + x[best] @ column)
    return np.array(found, np.int64)


def select_by_variance(predictor: SklearnPredictor, candidates: Array, count: int) -> Array:
    """Return the numbers of `count` different candidates, int [count], that lower a Bayesian predictor's mean variance of all of them most.

    candidates: qualities float [n, stages]. Greedy, as in `costs.design`; raises `ConfigError` for a predictor that is not Bayesian.
    """
    _validate_count(len(candidates), count)
    covariance, noise = predictor.covariance(candidates)
    return select_a_optimal(covariance, np.full(len(candidates), noise), count)


def _add_intercept(features: Array) -> Array:
    return np.hstack([np.ones((len(features), 1)), features])


def _validate_count(candidates: int, count: int) -> None:
    if count > candidates:
        raise ConfigError("there must be as many candidates as are chosen", got=candidates, hint=f"give {count}")
