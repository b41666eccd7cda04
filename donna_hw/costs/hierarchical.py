"""FittedCost: what networks cost by whole networks measured, on the ground of a table or of the layers; with calibrated deviations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from donna_hw.costs.additive_terms import AdditiveWeights
from donna_hw.costs.base import CostTerms, smooth_max
from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.marginal_likelihood import Observations, VarianceParams, compute_outlier_scale, fit_variance_params
from donna_hw.costs.random_effects import EffectGroup, build_effect_groups, iter_term_costs
from donna_hw.spaces.space import Rows

GAUSS_NEWTON_STEPS = 4  # of Gauss-Newton: the smooth maximum bends little within the effects
MAX_VARIANCE_NETWORKS = 300  # networks by which the spreads are found; the effects are fitted to all
MIN_TERM_RATIO = 0.05  # an effect may take at most 95 % of a part
EMPTY_PARAMS = VarianceParams(np.empty(0), np.empty(0), 0.0, np.empty(0))


@dataclass(frozen=True)
class IntervalCalibration:
    """What a deviation is multiplied by so that it holds for networks left out: exp(level + slope * standardised log cost)."""

    level: float = 0.0
    slope: float = 0.0


@dataclass(frozen=True)
class FittedCost:
    """A launch floor or a sum whose blocks are the basis's, each with its effects; linear in the effects, so that it has parts.

    name, unit: see `CostModel`. rows, measured: the networks fitted, int [n, stages + global axes] and float [n]. before: the weights of
    the basis. centre, width: mean and standard deviation of the log costs, to standardise by.
    """

    name: str
    unit: str
    basis: FeatureBasis
    rows: Rows
    measured: np.ndarray
    prior: AdditiveWeights
    variance_params: VarianceParams
    calibration: IntervalCalibration
    log_mean: float
    log_std: float

    @classmethod
    def from_weights(
        cls, names: tuple[str, str], basis: FeatureBasis, rows: Rows, measured: np.ndarray, before: AdditiveWeights
    ) -> FittedCost:
        """Return the model before its spreads are found; names: of the cost and of its unit."""
        logs = np.log(measured)
        centre, width = float(logs.mean()), max(float(logs.std()), 1e-3)
        return cls(*names, basis, rows, measured, before, EMPTY_PARAMS, IntervalCalibration(), centre, width)

    def fit(self, start: VarianceParams | None = None) -> FittedCost:
        """Return the model with the spreads of highest evidence, found from `start` on; not calibrated yet."""
        few = np.linspace(0, len(self.rows) - 1, min(len(self.rows), MAX_VARIANCE_NETWORKS)).astype(int)
        plain = replace(self, rows=self.rows[few], measured=self.measured[few])
        spreads = fit_variance_params(plain._observations, start)
        if len(few) < len(self.rows):
            spreads = replace(spreads, outlier_scale=np.ones(len(self.rows)))
            for _ in range(2):
                spreads = replace(spreads, outlier_scale=replace(self, variance_params=spreads)._outlier_scale())
        return replace(self, variance_params=spreads)

    @classmethod
    def from_prior(cls, names: tuple[str, str], basis: FeatureBasis, candidates: Rows) -> FittedCost | None:
        """Return what is expected before any network is measured, None where the basis expects nothing."""
        if not np.isfinite(basis.prior_weights).all():
            return None
        before = AdditiveWeights(basis.prior_weights[None], None)
        plain = cls.from_weights(names, basis, candidates, basis.sums(candidates) @ basis.prior_weights, before)
        means = plain._observations.prior_means
        spreads = VarianceParams(means[:-2], means[-2:-1], 0.0, np.empty(0))
        return replace(plain, rows=candidates[:0], measured=plain.measured[:0], variance_params=spreads)

    def mean(self, rows: Rows) -> np.ndarray:
        """Return the expected cost of each row, float [n] (the median, where the noise is taken to be relative)."""
        return smooth_max(self._sums(rows), self.prior.sharpness)

    def std(self, rows: Rows) -> np.ndarray:
        """Return the standard deviation of each row's cost about its mean: 1.645 of it either way hold nine networks in ten."""
        mean = self.mean(rows)
        sensitivity, shares = self._sensitivity(rows)
        sizes = self.standardize(mean)
        variance = self._variance(sensitivity) + self.variance_params.noise(shares, sizes)
        return np.asarray(mean * np.sqrt(variance) * self._inflation(sizes))

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the standard deviation of cost(a) - cost(b), float [n].

        What both share cancels in the effects; of the noise, which no effect explains, as much is taken to cancel as there are stages in
        common.
        """
        found, noise = [], []
        for rows in (a, b):
            mean, (sensitivity, shares) = self.mean(rows), self._sensitivity(rows)
            sizes = self.standardize(mean)
            inflation = self._inflation(sizes)
            found.append(sensitivity * (mean * inflation)[:, None])
            noise.append((mean * inflation) ** 2 * self.variance_params.noise(shares, sizes))
        differ = (a != b).mean(axis=1)
        return np.asarray(np.sqrt(self._variance(found[0] - found[1]) + (noise[0] + noise[1]) * differ))

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms:
        """Return the additive parts at one value number of each global axis."""
        setting = int(np.ravel_multi_index(settings, self.basis.setting_counts)) if self.basis.setting_counts else 0
        terms = [
            list(iter_term_costs(self.basis, weights, effects, setting))
            for weights, effects in zip(self.prior.weights, self.effects, strict=True)
        ]
        constants = tuple(float(found[0][0]) for found in terms)
        return CostTerms(tuple(tuple(found[1:]) for found in terms), constants, self.prior.sharpness)

    @property
    def relative_noise(self) -> float:
        """The relative deviation that a typical network keeps however many are measured."""
        shares = self._sensitivity(self.rows)[1].mean(axis=0, keepdims=True)
        return float(np.sqrt(self.variance_params.noise(shares, np.zeros(1))[0]) * np.exp(self.calibration.level))

    def covariance(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of the log costs that is left after the fit, float [n, n], and the variance of their noise, float [n]."""
        sensitivity, shares = self._sensitivity(rows)
        taken = sensitivity @ self._root.T
        left = (sensitivity * self._prior_variance) @ sensitivity.T - taken @ taken.T
        return left, self.variance_params.noise(shares, self.standardize(self.mean(rows)))

    def effect_covariance(self) -> np.ndarray:
        """Return the covariance of all effects, part after part and group after group, float [m, m]."""
        return np.asarray(np.diag(self._prior_variance) - self._root.T @ self._root)

    def _groups(self, rows: Rows) -> list[list[EffectGroup]]:
        last = len(self.prior.weights) - 1
        return [
            build_effect_groups(self.basis, weights, rows, work=part == last)
            for part, weights in enumerate(self.prior.weights)
        ]

    @cached_property
    def _training_groups(self) -> list[list[EffectGroup]]:
        return self._groups(self.rows)

    def _outlier_scale(self) -> np.ndarray:
        """Return how far off each network fitted is, about the effects that are there."""
        mean, (slopes, shares) = self.mean(self.rows), self._sensitivity(self.rows)
        plain = self.variance_params.noise(shares, self.standardize(mean))
        return compute_outlier_scale(plain, np.log(self.measured / mean), self._variance(slopes))

    @cached_property
    def _observations(self) -> Observations:
        """The networks fitted, seen about the basis's own parts."""
        sums = self.basis.sums(self.rows) @ self.prior.weights.T
        whole = smooth_max(sums, self.prior.sharpness)
        rises, shares = _log_cost_gradients(sums, whole, self.prior.sharpness)
        kernels, fixed, weights = [], [], []
        for part, groups in enumerate(self._training_groups):
            for group in groups:
                columns = group.columns * rises[:, [part]]
                kernels.append(columns @ columns.T)
                fixed.append(group.is_fixed)
                weights.append(group.name == "weights")
        errors = np.log(self.measured / whole)
        return Observations(errors, kernels, shares, self.standardize(whole), tuple(fixed), tuple(weights))

    @cached_property
    def _prior_variance(self) -> np.ndarray:
        """Prior variance of every effect, float [m]."""
        groups = [group for part in self._training_groups for group in part]
        variances = np.exp(2 * self.variance_params.log_effects)
        return np.concatenate(
            [np.full(group.columns.shape[1], value) for group, value in zip(groups, variances, strict=True)]
        )

    @cached_property
    def _posterior(self) -> tuple[np.ndarray, np.ndarray]:
        """Effects, float [m], and a root of what the networks took from their prior covariance, float [n, m]."""
        columns = [np.hstack([group.columns for group in groups]) for groups in self._training_groups]
        before = self.basis.sums(self.rows) @ self.prior.weights.T
        noise = (
            self.variance_params.noise(self._observations.shares, self._observations.sizes)
            * self.variance_params.outlier_scale
        )
        effects = np.zeros(len(self._prior_variance))
        if not len(self.rows):
            return effects, np.empty((0, len(effects)))
        for _ in range(GAUSS_NEWTON_STEPS):
            sums = before + _apply_effects(columns, effects)
            sums = np.maximum(sums, MIN_TERM_RATIO * before)
            whole = smooth_max(sums, self.prior.sharpness)
            rises, _ = _log_cost_gradients(sums, whole, self.prior.sharpness)
            slopes = np.hstack([each * rises[:, [part]] for part, each in enumerate(columns)])
            errors = np.log(self.measured / whole) + slopes @ effects
            effects, taken = _solve_effects(slopes, errors, noise, self._prior_variance)
        return effects, taken

    @cached_property
    def _root(self) -> np.ndarray:
        return self._posterior[1]

    @cached_property
    def effects(self) -> list[dict[str, np.ndarray]]:
        """The effects of each part by the name of their group, as `iter_term_costs` takes them."""
        effects, start, found = self._posterior[0], 0, []
        for groups in self._training_groups:
            own = {}
            for group in groups:
                own[group.name] = effects[start : start + group.columns.shape[1]]
                start += group.columns.shape[1]
            found.append(own)
        return found

    @cached_property
    def _terms_by_setting(self) -> list[CostTerms]:
        counts = self.basis.setting_counts
        return [
            self.additive_terms(tuple(map(int, np.unravel_index(i, counts)))) if counts else self.additive_terms()
            for i in range(len(self.basis.fixed))
        ]

    def _sums(self, rows: Rows) -> np.ndarray:
        """Return each part of each row, float [n, K]; no part is below a twentieth of the basis's."""
        at = self.basis.setting_index(rows)
        sums = np.empty((len(rows), len(self.prior.weights)))
        for setting in np.unique(at):
            here = at == setting
            sums[here] = self._terms_by_setting[setting].sums(rows[here])
        return np.asarray(np.maximum(sums, MIN_TERM_RATIO * (self.basis.sums(rows) @ self.prior.weights.T)))

    def _sensitivity(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return by how much each effect changes each row's log cost, float [n, m], and the shares of the parts, float [n, K]."""
        sums = self._sums(rows)
        rises, shares = _log_cost_gradients(sums, smooth_max(sums, self.prior.sharpness), self.prior.sharpness)
        groups = self._groups(rows)
        return np.hstack(
            [group.columns * rises[:, [part]] for part, each in enumerate(groups) for group in each]
        ), shares

    def _variance(self, sensitivity: np.ndarray) -> np.ndarray:
        """Return the posterior variance of rows of effects, float [n]."""
        prior = (sensitivity**2 * self._prior_variance).sum(axis=1)
        return np.asarray(np.maximum(prior - ((sensitivity @ self._root.T) ** 2).sum(axis=1), 0.0))

    def standardize(self, costs: np.ndarray) -> np.ndarray:
        """Return the logs of costs, standardised as those of the networks fitted were, float [n]."""
        return np.asarray(np.clip((np.log(costs) - self.log_mean) / self.log_std, -2.5, 2.5))

    def _inflation(self, sizes: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(self.calibration.level + self.calibration.slope * sizes))


def _solve_effects(
    slopes: np.ndarray, errors: np.ndarray, noise: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the effects float [m] of errors float [n], and a root float [r, m] of what they take from the prior covariance.

    By the smaller of the two systems: of the networks, or of the effects.
    """
    if len(errors) <= len(prior):
        spread = slopes * prior
        root = np.linalg.cholesky(spread @ slopes.T + np.diag(noise))
        taken = solve_triangular(root, spread, lower=True)
        return taken.T @ solve_triangular(root, errors, lower=True), taken
    weighed = slopes / noise[:, None]
    left = np.linalg.inv(weighed.T @ slopes + np.diag(1 / prior))
    values, vectors = np.linalg.eigh(np.diag(prior) - (left + left.T) / 2)
    return left @ (weighed.T @ errors), np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T


def _log_cost_gradients(sums: np.ndarray, whole: np.ndarray, sharpness: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much the log cost rises with each part, float [n, K] per unit, and the shares of the noise, float [n, K]."""
    if sharpness is None:
        return np.repeat(1 / whole[:, None], sums.shape[1], axis=1), np.ones_like(sums)
    shares = (sums / whole[:, None]) ** sharpness
    return shares / sums, shares


def _apply_effects(columns: list[np.ndarray], effects: np.ndarray) -> np.ndarray:
    """Return what the effects add to each part, float [n, K]."""
    ends = np.cumsum([each.shape[1] for each in columns])
    return np.stack([each @ own for each, own in zip(columns, np.split(effects, ends[:-1]), strict=True)], axis=1)
