"""The linear algebra of a fitted cost: effects of blocks from networks, and how a cost rises with its parts."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular


def solve_effects(
    slopes: np.ndarray, errors: np.ndarray, noise: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the posterior of effects in a linear model, by the smaller of two systems: of the networks, or of the effects.

    Args:
        slopes: By how much each effect changes each network's log cost, float [n, m].
        errors: Errors of the networks' log costs, float [n].
        noise: Their variances, float [n].
        prior: Prior variances of the effects, float [m].

    Returns:
        The effects, float [m], and a root, float [r, m], of what the networks subtract from the prior covariance.
    """
    if len(errors) <= len(prior):
        scaled = slopes * prior
        factor = np.linalg.cholesky(scaled @ slopes.T + np.diag(noise))
        root = solve_triangular(factor, scaled, lower=True)
        return root.T @ solve_triangular(factor, errors, lower=True), root
    weighted = slopes / noise[:, None]
    posterior = np.linalg.inv(weighted.T @ slopes + np.diag(1 / prior))
    values, vectors = np.linalg.eigh(np.diag(prior) - (posterior + posterior.T) / 2)
    return posterior @ (weighted.T @ errors), np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T


def log_cost_gradients(sums: np.ndarray, total: np.ndarray, sharpness: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much the log cost rises with each part, float [n, K] per unit, and each part's share of the noise, float [n, K]."""
    if sharpness is None:
        return np.repeat(1 / total[:, None], sums.shape[1], axis=1), np.ones_like(sums)
    shares = (sums / total[:, None]) ** sharpness
    return shares / sums, shares


def apply_effects(columns: list[np.ndarray], effects: np.ndarray) -> np.ndarray:
    """Return what the effects, float [m], add to each part, float [n, K]; `columns` has float [n, effects of the part] for each."""
    ends = np.cumsum([part.shape[1] for part in columns])
    return np.stack([part @ values for part, values in zip(columns, np.split(effects, ends[:-1]), strict=True)], axis=1)
