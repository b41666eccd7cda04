"""Which architectures to finetune next: random ones, or the most informative ones."""

from __future__ import annotations

import numpy as np

from donna_hw.costs.optimal_design import select_a_optimal
from donna_hw.errors import ConfigError
from donna_hw.predictors.base import Array, flatten_metrics, log_quality, validate_qualities
from donna_hw.predictors.linear import compute_scaling
from donna_hw.predictors.sklearn_models import SklearnPredictor

STRATEGIES = ("uniform", "d_optimal", "variance")
# small compared with the information of one network; keeps the matrix regular while there are fewer networks than weights
PRIOR = 1e-3


def select_uniform(candidates: int, count: int, rng: np.random.Generator) -> Array:
    """Return the numbers of `count` different candidates, int [count], uniformly at random; raises `ConfigError` for too few candidates."""
    _validate_count(candidates, count)
    return rng.choice(candidates, count, replace=False)


def select_d_optimal(candidates: Array, finetuned: Array, count: int) -> Array:
    """Select the candidates that determine the weights of a linear predictor best; no accuracies are needed.

    Greedy: each next network increases the determinant of X^T X most, where the columns of X are 1 and the standardized -log qualities
    of all selected networks (Fedorov, 1972, one network at a time).

    Args:
        candidates: Qualities of the networks to select from, float [n, stages] or [n, stages, metrics].
        finetuned: Qualities of the networks that are finetuned already, of the same form.
        count: Number of networks to select.

    Returns:
        Numbers of different candidates, int [count].

    Raises:
        ConfigError: When there are fewer candidates than `count`.
    """
    _validate_count(len(candidates), count)
    features = flatten_metrics(log_quality(validate_qualities(candidates)))
    center, scale = compute_scaling(features)
    x = _add_intercept((features - center) / scale)
    before = _add_intercept((flatten_metrics(log_quality(validate_qualities(finetuned))) - center) / scale)
    inverse = np.linalg.inv(before.T @ before + PRIOR * np.eye(x.shape[1]))
    selected: list[int] = []
    for _ in range(count):
        gains = ((x @ inverse) * x).sum(axis=1)  # the determinant grows by the factor 1 + gain
        gains[selected] = -np.inf
        best = int(np.argmax(gains))
        selected.append(best)
        column = inverse @ x[best]
        inverse = inverse - np.outer(column, column) / (1 + x[best] @ column)
    return np.array(selected, np.int64)


def select_by_variance(predictor: SklearnPredictor, candidates: Array, count: int) -> Array:
    """Select the candidates that reduce a Bayesian predictor's mean variance over all candidates most.

    Greedy, as `select_a_optimal`.

    Args:
        predictor: A Bayesian predictor.
        candidates: Qualities of the networks to select from, float [n, stages].
        count: Number of networks to select.

    Returns:
        Numbers of different candidates, int [count].

    Raises:
        ConfigError: For a predictor that is not Bayesian, or fewer candidates than `count`.
    """
    _validate_count(len(candidates), count)
    covariance, noise = predictor.covariance(candidates)
    return select_a_optimal(covariance, np.full(len(candidates), noise), count)


def _add_intercept(features: Array) -> Array:
    return np.hstack([np.ones((len(features), 1)), features])


def _validate_count(candidates: int, count: int) -> None:
    if count > candidates:
        raise ConfigError(f"at least {count} candidates are needed to select {count} networks", got=candidates)
