"""A learned model of blocks never measured: a physical prior, linear in the features of their layers, and a Gaussian process on its error.

The logarithm of what is measured over the prior is a Gaussian process. Its covariance has two terms: the uncertainty of the prior's
weights, and a Matern 3/2 function of the distance between the logarithms of the features, for what is not linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize, nnls

from donna_hw.costs.features import BYTES, ELEMENTS, FEATURES, LAUNCHES, MACS, graph_features
from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.graph.graph import Graph
from donna_hw.measurement.intervals import Z90, Z95

MIN_BLOCKS = 8  # rows, below which no fit says how wrong it is
UNSEEN_STD = 1.0  # relative standard deviation of the weight of a feature that no measured block has: all but unknown
MAX_FIT_ROWS = (
    300  # rows that the covariance's four numbers are fitted and calibrated on; the time grows with their cube
)
FOLDS = 10  # of the cross-validation
# The logarithms of: the relative deviations of weights and of what is not linear, the distance, the deviation of each block by itself.
HYPER_PRIOR_MEAN = np.array([-2.0, -2.0, 0.0, -3.5])


class Prediction(NamedTuple):
    """Costs float [n], of the median, and the standard deviation of each one's logarithm, float [n]."""

    values: np.ndarray
    log_stds: np.ndarray

    def interval(self, z: float = Z95) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper end that lie z deviations away."""
        return self.values * np.exp(-z * self.log_stds), self.values * np.exp(z * self.log_stds)


@dataclass(frozen=True)
class GPLatencyModel:
    """The fitted model. weights: of the features and a constant, cost a unit. largest: of each feature among the measured blocks.

    hyper: see `HYPER_PRIOR_MEAN`. calibration: what the deviations are multiplied by, one or more, so that 90 % intervals hold 90 % of the measured
    blocks when all whose dearest layer is of the same shape are left out together. error: median relative error of these, in %.
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
        """Number of blocks that it was fitted on."""
        return len(self.features)

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """Return what blocks or networks of these layers cost."""
        features = feature_matrix(graphs)
        to_measured = self._covariance(features, self.features)
        spread = solve_triangular(self.cholesky, to_measured.T, lower=True)
        own = np.exp(2 * self.hyper[1]) + (self._scale_features(features) ** 2).sum(axis=1) + np.exp(2 * self.hyper[3])
        variance = np.maximum(own - (spread**2).sum(axis=0), np.exp(2 * self.hyper[3]))
        values = _prior_mean(features, self.weights) * np.exp(to_measured @ self.alpha)
        return Prediction(values, self.calibration * np.sqrt(variance))

    def select_informative(self, graphs: Sequence[Graph], count: int) -> tuple[list[int], np.ndarray]:
        """Return which of the graphs to measure first, and the mean deviation of all after 0, 1, ... of them, float [count + 1].

        Each next one is the one that takes most off the sum of the variances of all (greedy A-optimal design).
        """
        features = feature_matrix(graphs)
        spread = solve_triangular(self.cholesky, self._covariance(features, self.features).T, lower=True)
        covariance = self._covariance(features, features) - spread.T @ spread
        noise, order = float(np.exp(2 * self.hyper[3])), list[int]()
        deviations = [self._mean_std(covariance, order)]
        for _ in range(min(count, len(graphs))):
            gains = (covariance**2).sum(axis=0) / (np.diag(covariance) + noise)
            gains[order] = -1
            best = int(np.argmax(gains))
            order.append(best)
            column = covariance[:, best].copy()
            covariance -= np.outer(column, column) / (column[best] + noise)
            deviations.append(self._mean_std(covariance, order))
        return order, np.array(deviations)

    def _mean_std(self, covariance: np.ndarray, measured: list[int]) -> float:
        variance = np.maximum(np.diag(covariance), 0) + np.exp(2 * self.hyper[3])
        variance[measured] = 0
        return float(self.calibration * np.sqrt(variance).mean())

    def _scale_features(self, features: np.ndarray) -> np.ndarray:
        return _scale_features(features, self.weights, self.seen_features, self.hyper)

    def _covariance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        smooth = _matern(_embed_features(a, self.feature_max), _embed_features(b, self.feature_max), self.hyper)
        return np.asarray(self._scale_features(a) @ self._scale_features(b).T + smooth)


def feature_matrix(graphs: Sequence[Graph]) -> np.ndarray:
    """Return the features of each graph and a one, float [n, len(FEATURES) + 1].

    Raises `ConfigError` for a torch module, or an 8-bit layer, in one.
    """
    for layer in (layer for graph in graphs for layer in graph.layers):
        if layer.module_spec is not None or layer.dtype != "float32":
            rule = "a latency can be foretold of float32 layers of donna_hw's own operators alone"
            kind = "the torch module" if layer.module_spec is not None else f"the {layer.dtype} layer"
            raise ConfigError(rule, got=f"{kind} {layer.name}", hint="measure the blocks that hold it")
    return np.array([[*graph_features(graph), 1.0] for graph in graphs]).reshape(-1, len(FEATURES) + 1)


def fit_gp_latency_model(
    graphs: Sequence[Graph], values: np.ndarray, errors: np.ndarray | None = None, tables: Sequence[str] = ()
) -> GPLatencyModel:
    """Fit the model to measured blocks: their layers, costs float [n] above zero, and the costs' relative standard errors float [n].

    tables: the name of the table that each block is of; where these are several, the deviations are calibrated with each left out whole
    too, for tables measured on different days differ as a whole.
    Raises `InsufficientDataError` for fewer than 8 blocks, `ConfigError` for costs that are not above zero.
    """
    if len(graphs) < MIN_BLOCKS:
        raise InsufficientDataError(f"a learned model needs {MIN_BLOCKS} measured blocks or more", got=len(graphs))
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ConfigError("a learned model needs costs above zero", got=f"{np.min(values):.3g}")
    features = feature_matrix(graphs)
    errors = np.zeros(len(values)) if errors is None else errors
    weights, seen = _fit_weights(features, values)
    largest = np.maximum(features.max(axis=0), 1)
    residual = np.log(values / _prior_mean(features, weights))
    places = _embed_features(features, largest)

    def covariance(hyper: np.ndarray, rows: np.ndarray) -> np.ndarray:
        weighted = _scale_features(features[rows], weights, seen, hyper)
        smooth = _matern(places[rows], places[rows], hyper)
        found: np.ndarray = weighted @ weighted.T + smooth + np.diag(np.exp(2 * hyper[3]) + errors[rows] ** 2)
        return found

    some = np.sort(np.random.default_rng(0).permutation(len(values))[:MAX_FIT_ROWS])

    def surprise(hyper: np.ndarray) -> float:
        """Return the negative log of the marginal likelihood, and of a prior that keeps four numbers of few rows sane."""
        factor = np.linalg.cholesky(covariance(hyper, some))
        apart = solve_triangular(factor, residual[some], lower=True)
        return float(apart @ apart / 2 + np.log(np.diag(factor)).sum() + ((hyper - HYPER_PRIOR_MEAN) ** 2).sum() / 2)

    bounds = np.stack([HYPER_PRIOR_MEAN - 5, HYPER_PRIOR_MEAN + 4], axis=1)
    hyper = minimize(surprise, HYPER_PRIOR_MEAN, method="L-BFGS-B", bounds=bounds, options={"maxiter": 30}).x
    factor = np.linalg.cholesky(covariance(hyper, np.arange(len(values))))

    def left_out(labels: Sequence[object]) -> np.ndarray:
        """Return each row's error and deviation, float [2, n], from weights and a process fitted without the rows of its label."""
        return np.hstack(
            [_evaluate_fold(features, np.log(values), noises, hyper, fold) for fold in _split_folds(labels, some)]
        )

    noises = np.exp(2 * hyper[3]) + errors**2
    apart = left_out([_largest_layer_shape(graph) for graph in graphs])
    calibrations = [_calibration_factor(apart)]
    if len(set(tables)) > 1:
        calibrations.append(_calibration_factor(left_out(tables)))
    return GPLatencyModel(
        weights=weights,
        seen_features=seen,
        feature_max=largest,
        hyper=hyper,
        features=features,
        cholesky=factor,
        alpha=cho_solve((factor, True), residual),
        calibration=max(calibrations),
        median_error_percent=float(100 * np.median(np.abs(np.expm1(apart[0])))),
    )


def _fit_weights(features: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights, none below zero, of least relative error, and which features were seen; the others get a neighbour's weight."""
    terms = features / values[:, None]
    norms = np.linalg.norm(terms, axis=0)
    seen = norms > 0
    norms[~seen] = 1
    weights: np.ndarray = nnls(terms / norms, np.ones(len(values)))[0] / norms
    for names in (MACS, BYTES, LAUNCHES):
        columns = [FEATURES.index(name) for name in names]
        known = [weights[column] for column in columns if seen[column]]
        weights[[column for column in columns if not seen[column]]] = np.mean(known) if known else 0.0
    exponential, piecewise = (FEATURES.index(name) for name in ELEMENTS)
    # an activation that is not fused with its layer reads its map and writes it once more, four bytes an element
    again = 4 * (weights[FEATURES.index("bytes_read")] + weights[FEATURES.index("bytes_written")])
    if not seen[piecewise]:
        weights[piecewise] = again
    if not seen[exponential]:
        weights[exponential] = max(weights[piecewise], again)
    return weights, seen


def _prior_mean(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return what the weights foretell, float [n]; the least there is for a block of which they know nothing."""
    return np.asarray(np.maximum(features @ weights, np.finfo(np.float64).tiny ** 0.5))


def _scale_features(features: np.ndarray, weights: np.ndarray, seen: np.ndarray, hyper: np.ndarray) -> np.ndarray:
    """Return each feature's share of the prior times its weight's relative deviation: columns of which the products are covariances."""
    shares: np.ndarray = features * weights / _prior_mean(features, weights)[:, None]
    return shares * np.where(seen, np.exp(hyper[0]), UNSEEN_STD)


def _embed_features(features: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Return where blocks lie: logarithms of features, from a thousandth of the largest upwards, a third of a unit each e-fold."""
    return np.asarray(np.log1p(1e3 * features / largest) / 3)


def _matern(a: np.ndarray, b: np.ndarray, hyper: np.ndarray) -> np.ndarray:
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    distance = np.sqrt(3 * np.maximum(squared, 0)) / np.exp(hyper[2])
    return np.asarray(np.exp(2 * hyper[1]) * (1 + distance) * np.exp(-distance))


def _largest_layer_shape(graph: Graph) -> tuple[object, ...]:
    """Return the shape of the layer of most multiply-accumulates; when all blocks that share it are left out together, it is unseen."""
    layer = max(graph.layers, key=lambda layer: layer.macs)
    return (layer.operator, layer.in_shape, layer.out_shape, layer.kernel, layer.stride, layer.groups)


def _split_folds(labels: Sequence[object], rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return up to ten (rows kept, rows left out) of the rows, those of one label together; of one label alone, each by itself."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels[row] for row in rows))}
    if len(numbers) == 1:
        return _split_folds(range(rows.max() + 1), rows)
    shuffled = np.random.default_rng(0).permutation(len(numbers))
    fold = np.array([shuffled[numbers[labels[row]]] % FOLDS for row in rows])
    return [(rows[fold != number], rows[fold == number]) for number in np.unique(fold)]


def _evaluate_fold(
    features: np.ndarray, logs: np.ndarray, noises: np.ndarray, hyper: np.ndarray, fold: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return the errors of the logarithms and the deviations of a fold's rows left out, float [2, rows], from those kept."""
    kept, out = fold
    weights, seen = _fit_weights(features[kept], np.exp(logs[kept]))
    largest = np.maximum(features[kept].max(axis=0), 1)
    own, new = (_scale_features(features[rows], weights, seen, hyper) for rows in (kept, out))
    here, there = (_embed_features(features[rows], largest) for rows in (kept, out))
    factor = np.linalg.cholesky(own @ own.T + _matern(here, here, hyper) + np.diag(noises[kept]))
    spread = solve_triangular(factor, (new @ own.T + _matern(there, here, hyper)).T, lower=True)
    residual = solve_triangular(factor, logs[kept] - np.log(_prior_mean(features[kept], weights)), lower=True)
    off = np.log(_prior_mean(features[out], weights)) + residual @ spread - logs[out]
    variance = (new**2).sum(axis=1) + np.exp(2 * hyper[1]) + noises[out] - (spread**2).sum(axis=0)
    return np.stack([off, np.sqrt(np.maximum(variance, noises[out]))])


def _calibration_factor(apart: np.ndarray) -> float:
    """Return the factor that makes 90 % intervals hold 90 % of errors with deviations [2, n], one more error taken as the largest.

    At least one: blocks alike to those measured may be easy, but they say nothing of a layer never seen.
    """
    ratios = np.abs(apart[0] / apart[1])
    place = min(np.ceil(0.9 * (len(ratios) + 1)) / len(ratios), 1.0)
    return float(max(np.quantile(ratios, place, method="higher") / Z90, 1.0))
