"""FittedCost: a cost fitted to whole measured networks, with a table or layer features as the prior and calibrated deviations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from donna_hw.costs.additive_terms import AdditiveWeights
from donna_hw.costs.base import CostTerms, smooth_max
from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.effect_solver import apply_effects, log_cost_gradients, solve_effects
from donna_hw.costs.marginal_likelihood import Observations, VarianceParams, compute_outlier_scale, fit_variance_params
from donna_hw.costs.random_effects import EffectGroup, build_effect_groups, iter_term_costs
from donna_hw.spaces.space import Rows

GAUSS_NEWTON_STEPS = 4  # enough, since the smooth maximum bends little within the effects
MAX_VARIANCE_NETWORKS = 300  # networks that the variance parameters are fitted to; the effects are fitted to all
MIN_TERM_RATIO = 0.05  # effects can lower a part by at most 95 %
EMPTY_PARAMS = VarianceParams(np.empty(0), np.empty(0), 0.0, np.empty(0))


@dataclass(frozen=True)
class IntervalCalibration:
    """The factor of a deviation that makes it hold for held-out networks: exp(level + slope * standardized log cost)."""

    level: float = 0.0
    slope: float = 0.0


@dataclass(frozen=True)
class FittedCost:
    """A launch floor or a sum over the blocks of a basis, each with its effects. It is linear in the effects, so it has additive parts.

    Args:
        name: See `CostModel`.
        unit: See `CostModel`.
        basis: The prior of each block.
        rows: The networks that it was fitted to, int [n, stages + global axes].
        measured: Their costs, float [n].
        prior: The weights of the basis.
        variance_params: How widely effects and noise vary.
        calibration: Factor of the deviations.
        log_mean: Mean of the networks' log costs.
        log_std: Their standard deviation.
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
        cls, names: tuple[str, str], basis: FeatureBasis, rows: Rows, measured: np.ndarray, prior: AdditiveWeights
    ) -> FittedCost:
        """Return the model before its variance parameters are fitted; `names` are those of the cost and of its unit."""
        logs = np.log(measured)
        mean, std = float(logs.mean()), max(float(logs.std()), 1e-3)
        return cls(*names, basis, rows, measured, prior, EMPTY_PARAMS, IntervalCalibration(), mean, std)

    def fit(self, start: VarianceParams | None = None) -> FittedCost:
        """Return the model with the variance parameters of highest evidence, searched from `start`; it is not calibrated yet."""
        sample = np.linspace(0, len(self.rows) - 1, min(len(self.rows), MAX_VARIANCE_NETWORKS)).astype(int)
        sampled = replace(self, rows=self.rows[sample], measured=self.measured[sample])
        params = fit_variance_params(sampled._observations, start)
        if len(sample) < len(self.rows):
            params = replace(params, outlier_scale=np.ones(len(self.rows)))
            for _ in range(2):
                params = replace(params, outlier_scale=replace(self, variance_params=params)._outlier_scale())
        return replace(self, variance_params=params)

    @classmethod
    def from_prior(cls, names: tuple[str, str], basis: FeatureBasis, candidates: Rows) -> FittedCost | None:
        """Return the cost that is expected before any network is measured; None where the basis has no prior weights."""
        if not np.isfinite(basis.prior_weights).all():
            return None
        prior = AdditiveWeights(basis.prior_weights[None], None)
        unfitted = cls.from_weights(names, basis, candidates, basis.sums(candidates) @ basis.prior_weights, prior)
        means = unfitted._observations.prior_means
        params = VarianceParams(means[:-2], means[-2:-1], 0.0, np.empty(0))
        return replace(unfitted, rows=candidates[:0], measured=unfitted.measured[:0], variance_params=params)

    def mean(self, rows: Rows) -> np.ndarray:
        """Return the expected cost of each row, float [n] (the median, since the noise is modeled as relative)."""
        return smooth_max(self._sums(rows), self.prior.sharpness)

    def std(self, rows: Rows) -> np.ndarray:
        """Return the standard deviation of each row's cost about its mean; 1.645 of it either way hold nine networks in ten."""
        mean = self.mean(rows)
        sensitivity, shares = self._sensitivity(rows)
        sizes = self.standardize(mean)
        variance = self._variance(sensitivity) + self.variance_params.noise(shares, sizes)
        return np.asarray(mean * np.sqrt(variance) * self._inflation(sizes))

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the standard deviation of cost(a) - cost(b), float [n].

        Effects that both networks share cancel. The noise, which no effect explains, is assumed to cancel by the share of common stages.
        """
        slopes, noise = [], []
        for rows in (a, b):
            mean, (sensitivity, shares) = self.mean(rows), self._sensitivity(rows)
            sizes = self.standardize(mean)
            inflation = self._inflation(sizes)
            slopes.append(sensitivity * (mean * inflation)[:, None])
            noise.append((mean * inflation) ** 2 * self.variance_params.noise(shares, sizes))
        differ = (a != b).mean(axis=1)
        return np.asarray(np.sqrt(self._variance(slopes[0] - slopes[1]) + (noise[0] + noise[1]) * differ))

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms:
        """Return the additive parts at one value index of each global axis."""
        setting = int(np.ravel_multi_index(settings, self.basis.setting_counts)) if self.basis.setting_counts else 0
        terms = [
            list(iter_term_costs(self.basis, weights, effects, setting))
            for weights, effects in zip(self.prior.weights, self.effects, strict=True)
        ]
        constants = tuple(float(part[0][0]) for part in terms)
        return CostTerms(tuple(tuple(part[1:]) for part in terms), constants, self.prior.sharpness)

    @property
    def relative_noise(self) -> float:
        """The relative deviation of a typical network that remains however many are measured."""
        shares = self._sensitivity(self.rows)[1].mean(axis=0, keepdims=True)
        return float(np.sqrt(self.variance_params.noise(shares, np.zeros(1))[0]) * np.exp(self.calibration.level))

    def covariance(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of the log costs that remains after the fit, float [n, n], and the variance of their noise, float [n]."""
        sensitivity, shares = self._sensitivity(rows)
        explained = sensitivity @ self._root.T
        remaining = (sensitivity * self._prior_variance) @ sensitivity.T - explained @ explained.T
        return remaining, self.variance_params.noise(shares, self.standardize(self.mean(rows)))

    def effect_covariance(self) -> np.ndarray:
        """Return the covariance of all effects, ordered by part and group, float [m, m]."""
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
        """Return the outlier scale of each fitted network, given the current effects."""
        mean, (slopes, shares) = self.mean(self.rows), self._sensitivity(self.rows)
        noise = self.variance_params.noise(shares, self.standardize(mean))
        return compute_outlier_scale(noise, np.log(self.measured / mean), self._variance(slopes))

    @cached_property
    def _observations(self) -> Observations:
        """The fitted networks, relative to the prior cost."""
        sums = self.basis.sums(self.rows) @ self.prior.weights.T
        total = smooth_max(sums, self.prior.sharpness)
        gradients, shares = log_cost_gradients(sums, total, self.prior.sharpness)
        kernels, is_fixed, is_weight = [], [], []
        for part, groups in enumerate(self._training_groups):
            for group in groups:
                columns = group.columns * gradients[:, [part]]
                kernels.append(columns @ columns.T)
                is_fixed.append(group.is_fixed)
                is_weight.append(group.name == "weights")
        errors = np.log(self.measured / total)
        return Observations(errors, kernels, shares, self.standardize(total), tuple(is_fixed), tuple(is_weight))

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
        """Effects, float [m], and a root of what the networks subtract from their prior covariance, float [r, m]."""
        columns = [np.hstack([group.columns for group in groups]) for groups in self._training_groups]
        prior_sums = self.basis.sums(self.rows) @ self.prior.weights.T
        noise = (
            self.variance_params.noise(self._observations.shares, self._observations.sizes)
            * self.variance_params.outlier_scale
        )
        effects = np.zeros(len(self._prior_variance))
        if not len(self.rows):
            return effects, np.empty((0, len(effects)))
        for _ in range(GAUSS_NEWTON_STEPS):
            sums = prior_sums + apply_effects(columns, effects)
            sums = np.maximum(sums, MIN_TERM_RATIO * prior_sums)
            total = smooth_max(sums, self.prior.sharpness)
            gradients, _ = log_cost_gradients(sums, total, self.prior.sharpness)
            slopes = np.hstack([values * gradients[:, [part]] for part, values in enumerate(columns)])
            errors = np.log(self.measured / total) + slopes @ effects
            effects, root = solve_effects(slopes, errors, noise, self._prior_variance)
        return effects, root

    @cached_property
    def _root(self) -> np.ndarray:
        return self._posterior[1]

    @cached_property
    def effects(self) -> list[dict[str, np.ndarray]]:
        """The effects of each part by the name of their group, as `iter_term_costs` takes them."""
        effects, start, parts = self._posterior[0], 0, []
        for groups in self._training_groups:
            by_group = {}
            for group in groups:
                by_group[group.name] = effects[start : start + group.columns.shape[1]]
                start += group.columns.shape[1]
            parts.append(by_group)
        return parts

    @cached_property
    def _terms_by_setting(self) -> list[CostTerms]:
        counts = self.basis.setting_counts
        return [
            self.additive_terms(tuple(map(int, np.unravel_index(i, counts)))) if counts else self.additive_terms()
            for i in range(len(self.basis.fixed))
        ]

    def _sums(self, rows: Rows) -> np.ndarray:
        """Return each part of each row, float [n, K]; no part is below a twentieth of its prior."""
        settings = self.basis.setting_index(rows)
        sums = np.empty((len(rows), len(self.prior.weights)))
        for setting in np.unique(settings):
            index = settings == setting
            sums[index] = self._terms_by_setting[setting].sums(rows[index])
        return np.asarray(np.maximum(sums, MIN_TERM_RATIO * (self.basis.sums(rows) @ self.prior.weights.T)))

    def _sensitivity(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return by how much each effect changes each row's log cost, float [n, m], and the shares of the parts, float [n, K]."""
        sums = self._sums(rows)
        gradients, shares = log_cost_gradients(sums, smooth_max(sums, self.prior.sharpness), self.prior.sharpness)
        groups = self._groups(rows)
        return np.hstack(
            [group.columns * gradients[:, [part]] for part, of_part in enumerate(groups) for group in of_part]
        ), shares

    def _variance(self, sensitivity: np.ndarray) -> np.ndarray:
        """Return the posterior variance of linear combinations of the effects, float [n, m], as float [n]."""
        prior = (sensitivity**2 * self._prior_variance).sum(axis=1)
        return np.asarray(np.maximum(prior - ((sensitivity @ self._root.T) ** 2).sum(axis=1), 0.0))

    def standardize(self, costs: np.ndarray) -> np.ndarray:
        """Return the logs of costs, standardized by those of the fitted networks, float [n]."""
        return np.asarray(np.clip((np.log(costs) - self.log_mean) / self.log_std, -2.5, 2.5))

    def _inflation(self, sizes: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(self.calibration.level + self.calibration.slope * sizes))
