"""Calibration of the Gaussian process on block costs: its errors on blocks that are left out together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solve_triangular

from donna_hw.costs.gp_prior import embed_features, fit_weights, matern, prior_mean, scale_features
from donna_hw.graph.graph import Graph
from donna_hw.measurement.intervals import Z90

FOLDS = 10  # of the cross-validation


def largest_layer_shape(graph: Graph) -> tuple[object, ...]:
    """Return the shape of the layer of most multiply-accumulates; it is unseen when all blocks that share it are left out together."""
    layer = max(graph.layers, key=lambda layer: layer.macs)
    return (layer.operator, layer.in_shape, layer.out_shape, layer.kernel, layer.stride, layer.groups)


def split_folds(labels: Sequence[object], rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return up to ten splits (training rows, held-out rows) that keep a label together; with a single label, rows are split freely."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels[row] for row in rows))}
    if len(numbers) == 1:
        return split_folds(range(rows.max() + 1), rows)
    shuffled = np.random.default_rng(0).permutation(len(numbers))
    fold = np.array([shuffled[numbers[labels[row]]] % FOLDS for row in rows])
    return [(rows[fold != number], rows[fold == number]) for number in np.unique(fold)]


def evaluate_fold(
    features: np.ndarray, logs: np.ndarray, noises: np.ndarray, hyper: np.ndarray, fold: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return how well the training rows of a fold predict its held-out rows.

    Args:
        features: Features of all blocks, float [n, F].
        logs: Logs of their costs, float [n].
        noises: Variances of the logs, float [n].
        hyper: The numbers of the covariance, see `HYPER_PRIOR_MEAN`.
        fold: Training rows and held-out rows.

    Returns:
        Errors of the logs, and predicted deviations, float [2, held-out rows].
    """
    train, test = fold
    weights, seen = fit_weights(features[train], np.exp(logs[train]))
    largest = np.maximum(features[train].max(axis=0), 1)
    train_scaled, test_scaled = (scale_features(features[rows], weights, seen, hyper) for rows in (train, test))
    train_points, test_points = (embed_features(features[rows], largest) for rows in (train, test))
    covariance = train_scaled @ train_scaled.T + matern(train_points, train_points, hyper) + np.diag(noises[train])
    factor = np.linalg.cholesky(covariance)
    cross = test_scaled @ train_scaled.T + matern(test_points, train_points, hyper)
    explained = solve_triangular(factor, cross.T, lower=True)
    residual = solve_triangular(factor, logs[train] - np.log(prior_mean(features[train], weights)), lower=True)
    errors = np.log(prior_mean(features[test], weights)) + residual @ explained - logs[test]
    variance = (test_scaled**2).sum(axis=1) + np.exp(2 * hyper[1]) + noises[test] - (explained**2).sum(axis=0)
    return np.stack([errors, np.sqrt(np.maximum(variance, noises[test]))])


def calibration_factor(scores: np.ndarray) -> float:
    """Return the factor that makes 90 % intervals hold 90 % of errors with deviations [2, n], counting one more error as the largest.

    It is at least one. Blocks similar to the measured ones may be easy to predict, but that does not transfer to a new layer.
    """
    ratios = np.abs(scores[0] / scores[1])
    quantile = min(np.ceil(0.9 * (len(ratios) + 1)) / len(ratios), 1.0)
    return float(max(np.quantile(ratios, quantile, method="higher") / Z90, 1.0))
