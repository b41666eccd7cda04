"""Evidence: how widely effects and noise spread, by the marginal likelihood of the networks measured (type-II maximum likelihood)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

EFFECT_PRIOR, WEIGHT_PRIOR, NOISE_PRIOR = (
    (-3.0, 1.5),
    (-0.7, 0.3),
    (-3.3, 1.5),
)  # priors of log deviations: mean and width
GROWTH_PRIOR_STD = 0.5  # width of the prior of the noise's growth with the cost
STUDENT_T_DOF = 4.0  # degrees of freedom of Student's t: one network in 50 may be far off
REWEIGHTING_ROUNDS = 4  # of weighing the networks anew
MIN_VARIANCE = 1e-9  # keeps the matrix of exact data regular; a deviation of 0.003 %


@dataclass(frozen=True)
class VarianceParams:
    """log_effects: log prior deviation of each group, float [G]; log_noise: of each part's relative noise, float [K].

    growth: how the noise's log grows with the standardised log cost. outlying: float [n], above 1 where a measured network is far
    off, and is believed that much less.
    """

    log_effects: np.ndarray
    log_noise: np.ndarray
    growth: float
    outlier_scale: np.ndarray

    def noise(self, shares: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Return the relative noise variance of networks, float [n]; shares: float [n, K]; sizes: standardised log costs float [n]."""
        each: np.ndarray = ((shares * np.exp(self.log_noise)) ** 2).sum(axis=1)
        return np.asarray(each * np.exp(2 * self.growth * sizes) + MIN_VARIANCE)


@dataclass(frozen=True)
class Observations:
    """Networks as the evidence sees them: errors float [n] in log cost, kernels [n, n] of each group, shares [n, K], sizes [n].

    fixed: which groups have a prior deviation of 1; weights: which one is of the basis's weights.
    """

    errors: np.ndarray
    kernels: list[np.ndarray]
    shares: np.ndarray
    sizes: np.ndarray
    is_fixed: tuple[bool, ...]
    is_weight: tuple[bool, ...]

    @property
    def prior_means(self) -> np.ndarray:
        """What the log spreads are expected to be, float [G + K + 1]."""
        return self._priors[:, 0]

    @property
    def prior_widths(self) -> np.ndarray:
        """How far the log spreads may be from that, float [G + K + 1]."""
        return self._priors[:, 1]

    @property
    def _priors(self) -> np.ndarray:
        kinds = zip(self.is_fixed, self.is_weight, strict=True)
        effects = [(0.0, 1.0) if fixed else WEIGHT_PRIOR if weight else EFFECT_PRIOR for fixed, weight in kinds]
        return np.array([*effects, *[NOISE_PRIOR] * self.shares.shape[1], (0.0, GROWTH_PRIOR_STD)])


def fit_variance_params(observed: Observations, start: VarianceParams | None = None) -> VarianceParams:
    """Return the spreads of highest evidence under weak priors, networks far off weighed down as Student's t has it."""
    means, widths = observed.prior_means, observed.prior_widths
    point = means if start is None else np.concatenate([start.log_effects, start.log_noise, [start.growth]])
    groups, parts = len(observed.kernels), observed.shares.shape[1]
    bounds = (
        [(0.0, 0.0) if fixed else (-8.0, 1.0) for fixed in observed.is_fixed] + [(-9.0, 0.0)] * parts + [(-1.0, 1.0)]
    )
    far = np.ones(len(observed.errors))
    spreads = None
    for turn in range(REWEIGHTING_ROUNDS):

        def objective(z: np.ndarray, far: np.ndarray = far) -> tuple[float, np.ndarray]:
            value, slope = _negative_log_evidence(z, observed, far)
            pull = (z - means) / widths
            return value + float(pull @ pull) / 2, slope + pull / widths

        tries = 50 if turn == 0 and start is None else 15
        point = minimize(objective, point, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": tries}).x
        spreads = VarianceParams(point[:groups], point[groups : groups + parts], float(point[-1]), far)
        far = compute_outlier_scale(spreads.noise(observed.shares, observed.sizes), *_residuals(spreads, observed))
    assert spreads is not None  # noqa: S101  at least one round
    return VarianceParams(spreads.log_effects, spreads.log_noise, spreads.growth, far)


def compute_outlier_scale(plain: np.ndarray, left: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return how far off each network is, float [n]: (TAILS + expected square of its noise) / (TAILS + 1).

    plain: noise variance without outliers; left: errors that the effects leave; variance: how well those effects are known.
    """
    return np.asarray((STUDENT_T_DOF + (left**2 + variance) / plain) / (STUDENT_T_DOF + 1))


def _residuals(spreads: VarianceParams, observed: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors that the effects leave, and the variance of what the effects explain, float [n] each."""
    noise = spreads.noise(observed.shares, observed.sizes) * spreads.outlier_scale
    inverse, _ = _inverse_and_logdet(_effect_covariance(spreads, observed) + np.diag(noise))
    return noise * (inverse @ observed.errors), np.maximum(noise - noise**2 * np.diag(inverse), 0.0)


def _effect_covariance(spreads: VarianceParams, observed: Observations) -> np.ndarray:
    """Return the covariance of the observed errors, noise left out, float [n, n]."""
    return np.asarray(
        sum(np.exp(2 * log) * kernel for log, kernel in zip(spreads.log_effects, observed.kernels, strict=True))
    )


def _negative_log_evidence(z: np.ndarray, observed: Observations, far: np.ndarray) -> tuple[float, np.ndarray]:
    """Return minus the log evidence but for a constant, and its slope."""
    groups, parts = len(observed.kernels), observed.shares.shape[1]
    spreads = VarianceParams(z[:groups], z[groups : groups + parts], float(z[-1]), far)
    try:
        noise = spreads.noise(observed.shares, observed.sizes) * far
        inverse, log_size = _inverse_and_logdet(_effect_covariance(spreads, observed) + np.diag(noise))
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(z)
    solved = inverse @ observed.errors
    gap = inverse - np.outer(solved, solved)
    each = (observed.shares * np.exp(spreads.log_noise)) ** 2
    grown = np.diag(gap) * np.exp(2 * spreads.growth * observed.sizes) * far
    slope = [
        np.exp(2 * log) * np.vdot(gap, kernel)
        for log, kernel in zip(spreads.log_effects, observed.kernels, strict=True)
    ]
    slope += list(grown @ each)
    slope.append(float(grown @ (each.sum(axis=1) * observed.sizes)))
    return float(observed.errors @ solved) / 2 + log_size / 2, np.array(slope)


def _inverse_and_logdet(matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a positive matrix's inverse and the log of its determinant."""
    root = np.linalg.cholesky(matrix)
    inverse = np.linalg.inv(root)
    return inverse.T @ inverse, float(2 * np.log(np.diag(root)).sum())
