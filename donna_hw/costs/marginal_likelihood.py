"""How widely effects and noise vary, by the marginal likelihood of the measured networks (type-II maximum likelihood)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

# Priors of log deviations: mean and width.
EFFECT_PRIOR, WEIGHT_PRIOR, NOISE_PRIOR = (-3.0, 1.5), (-0.7, 0.3), (-3.3, 1.5)
GROWTH_PRIOR_STD = 0.5  # width of the prior of the noise's growth with the cost
STUDENT_T_DOF = 4.0  # degrees of freedom of Student's t: one network in 50 may be far off
REWEIGHTING_ROUNDS = 4  # of weighting the networks again
MIN_VARIANCE = 1e-9  # keeps the matrix of exact data regular; a deviation of 0.003 %


@dataclass(frozen=True)
class VarianceParams:
    """How widely effects and noise vary.

    Args:
        log_effects: Log prior deviation of each group of effects, float [G].
        log_noise: Log of each part's relative noise, float [K].
        growth: How the noise's log grows with the standardized log cost.
        outlier_scale: Factor of each network's noise variance, float [n]; above 1 for outliers, which then count less.
    """

    log_effects: np.ndarray
    log_noise: np.ndarray
    growth: float
    outlier_scale: np.ndarray

    def noise(self, shares: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Return the relative noise variance of networks, float [n], of shares float [n, K] and standardized log costs float [n]."""
        variance: np.ndarray = ((shares * np.exp(self.log_noise)) ** 2).sum(axis=1)
        return np.asarray(variance * np.exp(2 * self.growth * sizes) + MIN_VARIANCE)


@dataclass(frozen=True)
class Observations:
    """Networks as the marginal likelihood uses them.

    Args:
        errors: Errors in log cost, float [n].
        kernels: Covariance [n, n] of each group of effects, at a deviation of 1.
        shares: Share of each part in the noise, float [n, K].
        sizes: Standardized log costs, float [n].
        is_fixed: Which groups have a prior deviation of 1.
        is_weight: Which group is that of the basis's weights.
    """

    errors: np.ndarray
    kernels: list[np.ndarray]
    shares: np.ndarray
    sizes: np.ndarray
    is_fixed: tuple[bool, ...]
    is_weight: tuple[bool, ...]

    @property
    def prior_means(self) -> np.ndarray:
        """Prior means of the log deviations and the growth, float [G + K + 1]."""
        return self._priors[:, 0]

    @property
    def prior_widths(self) -> np.ndarray:
        """Widths of these priors, float [G + K + 1]."""
        return self._priors[:, 1]

    @property
    def _priors(self) -> np.ndarray:
        kinds = zip(self.is_fixed, self.is_weight, strict=True)
        effects = [(0.0, 1.0) if fixed else WEIGHT_PRIOR if weight else EFFECT_PRIOR for fixed, weight in kinds]
        return np.array([*effects, *[NOISE_PRIOR] * self.shares.shape[1], (0.0, GROWTH_PRIOR_STD)])


def fit_variance_params(observed: Observations, start: VarianceParams | None = None) -> VarianceParams:
    """Return the parameters of highest evidence under weak priors; outliers are weighted down as by Student's t."""
    means, widths = observed.prior_means, observed.prior_widths
    point = means if start is None else np.concatenate([start.log_effects, start.log_noise, [start.growth]])
    groups, parts = len(observed.kernels), observed.shares.shape[1]
    bounds = (
        [(0.0, 0.0) if fixed else (-8.0, 1.0) for fixed in observed.is_fixed] + [(-9.0, 0.0)] * parts + [(-1.0, 1.0)]
    )
    scale = np.ones(len(observed.errors))
    params = None
    for iteration in range(REWEIGHTING_ROUNDS):

        def objective(z: np.ndarray, scale: np.ndarray = scale) -> tuple[float, np.ndarray]:
            value, slope = _negative_log_evidence(z, observed, scale)
            pull = (z - means) / widths
            return value + float(pull @ pull) / 2, slope + pull / widths

        steps = 50 if iteration == 0 and start is None else 15
        point = minimize(objective, point, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps}).x
        params = VarianceParams(point[:groups], point[groups : groups + parts], float(point[-1]), scale)
        scale = compute_outlier_scale(params.noise(observed.shares, observed.sizes), *_residuals(params, observed))
    assert params is not None  # noqa: S101  at least one round
    return VarianceParams(params.log_effects, params.log_noise, params.growth, scale)


def compute_outlier_scale(noise: np.ndarray, residuals: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the outlier scale of each network: (dof + expected square of its relative noise) / (dof + 1) of Student's t.

    Args:
        noise: Noise variance without outliers, float [n].
        residuals: Errors that the effects do not explain, float [n].
        variance: Variance of the explained part, float [n].

    Returns:
        Float [n].
    """
    return np.asarray((STUDENT_T_DOF + (residuals**2 + variance) / noise) / (STUDENT_T_DOF + 1))


def _residuals(params: VarianceParams, observed: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors that the effects do not explain, and the variance of the explained part, float [n] each."""
    noise = params.noise(observed.shares, observed.sizes) * params.outlier_scale
    inverse, _ = _inverse_and_logdet(_effect_covariance(params, observed) + np.diag(noise))
    return noise * (inverse @ observed.errors), np.maximum(noise - noise**2 * np.diag(inverse), 0.0)


def _effect_covariance(params: VarianceParams, observed: Observations) -> np.ndarray:
    """Return the covariance of the observed errors without the noise, float [n, n]."""
    return np.asarray(
        sum(np.exp(2 * log) * kernel for log, kernel in zip(params.log_effects, observed.kernels, strict=True))
    )


def _negative_log_evidence(z: np.ndarray, observed: Observations, scale: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the negative log evidence up to a constant, and its gradient."""
    groups, parts = len(observed.kernels), observed.shares.shape[1]
    params = VarianceParams(z[:groups], z[groups : groups + parts], float(z[-1]), scale)
    try:
        noise = params.noise(observed.shares, observed.sizes) * scale
        inverse, log_size = _inverse_and_logdet(_effect_covariance(params, observed) + np.diag(noise))
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(z)
    solved = inverse @ observed.errors
    gap = inverse - np.outer(solved, solved)
    by_part = (observed.shares * np.exp(params.log_noise)) ** 2
    grown = np.diag(gap) * np.exp(2 * params.growth * observed.sizes) * scale
    slope = [
        np.exp(2 * log) * np.vdot(gap, kernel) for log, kernel in zip(params.log_effects, observed.kernels, strict=True)
    ]
    slope += list(grown @ by_part)
    slope.append(float(grown @ (by_part.sum(axis=1) * observed.sizes)))
    return float(observed.errors @ solved) / 2 + log_size / 2, np.array(slope)


def _inverse_and_logdet(matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a positive matrix's inverse and the log of its determinant."""
    root = np.linalg.cholesky(matrix)
    inverse = np.linalg.inv(root)
    return inverse.T @ inverse, float(2 * np.log(np.diag(root)).sum())
