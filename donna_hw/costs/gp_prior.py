"""The prior of the Gaussian process on block costs: non-negative weights of layer features, and the covariance of the error."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from donna_hw.costs.features import BYTES, ELEMENTS, FEATURES, LAUNCHES, MACS

UNSEEN_STD = 1.0  # relative standard deviation of the weight of a feature that no measured block has: all but unknown
# The logarithms of: the relative deviations of the weights and of the nonlinear part, the distance, and each block's own deviation.
HYPER_PRIOR_MEAN = np.array([-2.0, -2.0, 0.0, -3.5])


def fit_weights(features: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return non-negative weights of least relative error, and which features occur; the others get a related feature's weight."""
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
    unfused = 4 * (weights[FEATURES.index("bytes_read")] + weights[FEATURES.index("bytes_written")])
    if not seen[piecewise]:
        weights[piecewise] = unfused
    if not seen[exponential]:
        weights[exponential] = max(weights[piecewise], unfused)
    return weights, seen


def prior_mean(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the costs that the weights predict, float [n]; the smallest positive cost for a block of which they know nothing."""
    return np.asarray(np.maximum(features @ weights, np.finfo(np.float64).tiny ** 0.5))


def scale_features(features: np.ndarray, weights: np.ndarray, seen: np.ndarray, hyper: np.ndarray) -> np.ndarray:
    """Return each feature's share of the prior times its weight's relative deviation; products of these rows are covariances."""
    shares: np.ndarray = features * weights / prior_mean(features, weights)[:, None]
    return shares * np.where(seen, np.exp(hyper[0]), UNSEEN_STD)


def embed_features(features: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Return the coordinates of blocks: logs of features above a thousandth of the largest one, a third of a unit per e-fold."""
    return np.asarray(np.log1p(1e3 * features / largest) / 3)


def matern(a: np.ndarray, b: np.ndarray, hyper: np.ndarray) -> np.ndarray:
    """Return the Matern 3/2 covariance of coordinates, float [n, m]."""
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    distance = np.sqrt(3 * np.maximum(squared, 0)) / np.exp(hyper[2])
    return np.asarray(np.exp(2 * hyper[1]) * (1 + distance) * np.exp(-distance))
