"""The latency of blocks that were never measured: a prior linear in the features of their layers, and a Gaussian process on its error.

The logarithm of the measured cost over the prior is a Gaussian process. Its covariance has two terms: the uncertainty of the prior's
weights, and a Matern 3/2 function of the distance between the logarithms of the features, for the nonlinear part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from donna_hw.costs.features import FEATURES, graph_features
from donna_hw.costs.gp_calibration import calibration_factor, evaluate_fold, largest_layer_shape, split_folds
from donna_hw.costs.gp_prior import HYPER_PRIOR_MEAN, embed_features, fit_weights, matern, prior_mean, scale_features
from donna_hw.costs.optimal_design import iter_a_optimal
from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.intervals import Z95

MIN_BLOCKS = 8  # fewer blocks do not show how wrong a fit is
# Rows that the four numbers of the covariance are fitted and calibrated on; the time grows with their cube.
MAX_FIT_ROWS = 300


class Prediction(NamedTuple):
    """Median costs, float [n], and the standard deviation of the logarithm of each, float [n]."""

    values: np.ndarray
    log_stds: np.ndarray

    def interval(self, z: float = Z95) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper ends of the intervals of z deviations either side."""
        return self.values * np.exp(-z * self.log_stds), self.values * np.exp(z * self.log_stds)


@dataclass(frozen=True)
class GPLatencyModel:
    """The fitted model.

    Args:
        weights: Cost per unit of each feature and of a constant.
        seen_features: Which features the measured blocks have.
        feature_max: The largest value of each feature among them.
        hyper: See `HYPER_PRIOR_MEAN`.
        features: Features of the measured blocks, float [n, F].
        cholesky: Cholesky factor of their covariance.
        alpha: The covariance's solution for their errors.
        calibration: Factor of the deviations, at least 1. It makes 90 % intervals hold 90 % of the measured blocks when all blocks
            whose largest layer has the same shape are left out together.
        median_error_percent: Median relative error of these.
    """

    weights: np.ndarray
    seen_features: np.ndarray
    feature_max: np.ndarray
    hyper: np.ndarray
    features: np.ndarray
    cholesky: np.ndarray
    alpha: np.ndarray
    calibration: float
    median_error_percent: float

    @property
    def block_count(self) -> int:
        """Number of blocks that the model was fitted to."""
        return len(self.features)

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """Return the costs of blocks or networks with these layers."""
        features = feature_matrix(graphs)
        to_measured = self._covariance(features, self.features)
        explained = solve_triangular(self.cholesky, to_measured.T, lower=True)
        prior = (
            np.exp(2 * self.hyper[1]) + (self._scale_features(features) ** 2).sum(axis=1) + np.exp(2 * self.hyper[3])
        )
        variance = np.maximum(prior - (explained**2).sum(axis=0), np.exp(2 * self.hyper[3]))
        values = prior_mean(features, self.weights) * np.exp(to_measured @ self.alpha)
        return Prediction(values, self.calibration * np.sqrt(variance))

    def select_informative(self, graphs: Sequence[Graph], count: int) -> tuple[list[int], np.ndarray]:
        """Return which graphs to measure first, and the mean deviation of all graphs after 0, 1, ... of them, float [count + 1].

        Each next graph lowers the sum of all variances most (greedy A-optimal design).
        """
        features = feature_matrix(graphs)
        explained = solve_triangular(self.cholesky, self._covariance(features, self.features).T, lower=True)
        covariance = self._covariance(features, features) - explained.T @ explained
        noise, order = np.full(len(graphs), np.exp(2 * self.hyper[3])), list[int]()
        deviations = [self._mean_std(covariance, order)]
        for best, remaining in islice(iter_a_optimal(covariance, noise), count):
            order.append(best)
            deviations.append(self._mean_std(remaining, order))
        return order, np.array(deviations)

    def _mean_std(self, covariance: np.ndarray, measured: list[int]) -> float:
        variance = np.maximum(np.diag(covariance), 0) + np.exp(2 * self.hyper[3])
        variance[measured] = 0
        return float(self.calibration * np.sqrt(variance).mean())

    def _scale_features(self, features: np.ndarray) -> np.ndarray:
        return scale_features(features, self.weights, self.seen_features, self.hyper)

    def _covariance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        smooth = matern(embed_features(a, self.feature_max), embed_features(b, self.feature_max), self.hyper)
        return np.asarray(self._scale_features(a) @ self._scale_features(b).T + smooth)


def feature_matrix(graphs: Sequence[Graph]) -> np.ndarray:
    """Return the features of each graph followed by a one, float [n, len(FEATURES) + 1].

    Raises `ConfigError` for a graph with a torch module or an 8-bit layer.
    """
    for layer in (layer for graph in graphs for layer in graph.layers):
        if layer.module_spec is not None or layer.dtype != "float32":
            kind = "the torch module" if layer.module_spec is not None else f"the {layer.dtype} layer"
            raise ConfigError(
                f"cannot predict the latency of {kind} {layer.name}: only float32 layers of built-in operators are supported",
                hint="measure the blocks that contain it",
            )
    return np.array([[*graph_features(graph), 1.0] for graph in graphs]).reshape(-1, len(FEATURES) + 1)


def fit_gp_latency_model(
    graphs: Sequence[Graph], values: np.ndarray, errors: np.ndarray | None = None, tables: Sequence[str] = ()
) -> GPLatencyModel:
    """Fit the model to measured blocks.

    Args:
        graphs: The layers of each block.
        values: Their costs, float [n], above zero.
        errors: Relative standard errors of the costs, float [n]; None for exact costs.
        tables: Name of each block's table. With several tables the deviations are also calibrated with each table left out completely,
            since tables measured on different days differ as a whole.

    Returns:
        The model.

    Raises:
        InsufficientDataError: There are fewer than 8 blocks.
        ConfigError: A cost is not above zero, or a block has layers of which no latency can be predicted.
    """
    if len(graphs) < MIN_BLOCKS:
        raise InsufficientDataError(
            f"predicting latencies needs at least {MIN_BLOCKS} measured blocks", got=len(graphs)
        )
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ConfigError("predicting latencies needs costs above zero", got=f"{np.min(values):.3g}")
    features = feature_matrix(graphs)
    errors = np.zeros(len(values)) if errors is None else errors
    weights, seen = fit_weights(features, values)
    largest = np.maximum(features.max(axis=0), 1)
    residual = np.log(values / prior_mean(features, weights))
    points = embed_features(features, largest)

    def covariance(hyper: np.ndarray, rows: np.ndarray) -> np.ndarray:
        weighted = scale_features(features[rows], weights, seen, hyper)
        smooth = matern(points[rows], points[rows], hyper)
        total: np.ndarray = weighted @ weighted.T + smooth + np.diag(np.exp(2 * hyper[3]) + errors[rows] ** 2)
        return total

    sample = np.sort(np.random.default_rng(0).permutation(len(values))[:MAX_FIT_ROWS])

    def negative_log_posterior(hyper: np.ndarray) -> float:
        """Return the negative log of the marginal likelihood times a prior, which bounds the four numbers where rows are few."""
        factor = np.linalg.cholesky(covariance(hyper, sample))
        whitened = solve_triangular(factor, residual[sample], lower=True)
        return float(
            whitened @ whitened / 2 + np.log(np.diag(factor)).sum() + ((hyper - HYPER_PRIOR_MEAN) ** 2).sum() / 2
        )

    bounds = np.stack([HYPER_PRIOR_MEAN - 5, HYPER_PRIOR_MEAN + 4], axis=1)
    hyper = minimize(
        negative_log_posterior, HYPER_PRIOR_MEAN, method="L-BFGS-B", bounds=bounds, options={"maxiter": 30}
    ).x
    factor = np.linalg.cholesky(covariance(hyper, np.arange(len(values))))

    def cross_validate(labels: Sequence[object]) -> np.ndarray:
        """Return each row's error and deviation, float [2, n], from weights and a process fitted without the rows of its label."""
        return np.hstack(
            [evaluate_fold(features, np.log(values), noises, hyper, fold) for fold in split_folds(labels, sample)]
        )

    noises = np.exp(2 * hyper[3]) + errors**2
    scores = cross_validate([largest_layer_shape(graph) for graph in graphs])
    calibrations = [calibration_factor(scores)]
    if len(set(tables)) > 1:
        calibrations.append(calibration_factor(cross_validate(tables)))
    return GPLatencyModel(
        weights=weights,
        seen_features=seen,
        feature_max=largest,
        hyper=hyper,
        features=features,
        cholesky=factor,
        alpha=cho_solve((factor, True), residual),
        calibration=max(calibrations),
        median_error_percent=float(100 * np.median(np.abs(np.expm1(scores[0])))),
    )
