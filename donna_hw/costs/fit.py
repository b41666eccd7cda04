"""Fitting a cost to whole networks: sum or launch floor by cross-validation, and deviations that hold for networks left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from donna_hw.costs.additive_terms import AdditiveWeights, fit_floor, fit_sum
from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.hierarchical import MAX_VARIANCE_NETWORKS, FittedCost, IntervalCalibration
from donna_hw.errors import ConfigError, InsufficientDataError, UnknownNameError
from donna_hw.measurement.intervals import Z90, validate_samples
from donna_hw.spaces.space import Rows

KINDS = ("sum", "floor")
MIN_NETWORKS, MIN_NETWORKS_FLOOR = 4, 10
FOLDS = 10
FLOOR_ERROR_RATIO = (
    0.95  # the floor must err less than this of the sum's: the simpler model has the benefit of the doubt
)
MAX_SCORE = 4.0  # deviations; what lies further says no more about the others


@dataclass(frozen=True)
class FitResult:
    """A fitted cost and how it did on networks left out.

    kind: `sum` or `floor`. errors: log of measured over predicted by a fit to the other nine tenths, float [n]. held: share of them within
    the stated 90 % interval. mape_percent: mean absolute relative error of `errors`. mape_before_percent: of the basis alone, NaN where
    it expects nothing.
    """

    cost: FittedCost
    kind: str
    errors: np.ndarray
    coverage: float
    mape_percent: float
    prior_mape_percent: float


def fit_cost(
    name: str,
    basis: FeatureBasis,
    rows: Rows,
    measured: np.ndarray,
    *,
    kind: str = "auto",
    unit: str = "s",
    folds: int = FOLDS,
) -> FitResult:
    """Fit a cost to whole networks measured, int [n, stages + global axes] and float [n] in `unit`.

    kind: `sum`, `floor`, or `auto`: what errs less on networks left out. Raises `InsufficientDataError` below 4 networks (10 for a floor).
    """
    if kind not in (*KINDS, "auto"):
        raise UnknownNameError("a cost's kind must be a known one", got=kind, choices=[*KINDS, "auto"])
    least = MIN_NETWORKS_FLOOR if kind == "floor" else MIN_NETWORKS
    if len(measured) < least:
        raise InsufficientDataError(
            f"a cost needs at least {least} whole networks", got=len(measured), hint="measure more"
        )
    if len(rows) != len(measured):
        raise ConfigError(f"a cost needs an architecture for each of {len(measured)} measured networks", got=len(rows))
    validate_samples(measured, "whole networks to fit")
    floor = kind == "floor" or (kind == "auto" and bool(basis.launch_indices) and len(measured) >= MIN_NETWORKS_FLOOR)
    kinds = [one for one in KINDS if one == kind or (kind == "auto" and (one == "sum" or floor))]
    names = (name, unit)
    fits = {
        one: FittedCost.from_weights(names, basis, rows, measured, fit_prior_weights(one, basis, rows, measured)).fit()
        for one in kinds
    }
    tests = {one: _cross_validate(fit, one, folds) for one, fit in fits.items()}
    errs = {one: float(np.abs(np.expm1(-errors)).mean()) for one, (errors, _) in tests.items()}
    best = (
        "floor" if "floor" in errs and ("sum" not in errs or errs["floor"] < FLOOR_ERROR_RATIO * errs["sum"]) else "sum"
    )
    errors, deviations = tests[best]
    cost = fits[best]
    sizes = cost.standardize(measured / np.exp(errors))
    calibration = fit_calibration(errors / deviations, sizes)
    stretch = np.exp(calibration.level + calibration.slope * sizes)
    held = float((np.abs(errors) <= Z90 * deviations * stretch).mean())
    return FitResult(
        replace(cost, calibration=calibration), best, errors, held, 100 * errs[best], _prior_mape(basis, rows, measured)
    )


def fit_prior_weights(kind: str, basis: FeatureBasis, rows: Rows, measured: np.ndarray) -> AdditiveWeights:
    """Return the parts of the basis alone, fitted to measured networks."""
    sums = basis.sums(rows)
    return (
        fit_floor(sums, measured, basis.launch_indices)
        if kind == "floor"
        else fit_sum(sums, measured, basis.prior_weights)
    )


def fit_calibration(scores: np.ndarray, sizes: np.ndarray) -> IntervalCalibration:
    """Return what stretches deviations so that 1.645 of them hold nine in ten, at small and at large costs.

    scores: errors of networks left out over their stated deviations, float [n]; sizes: their standardised log costs, float [n].
    """
    squares = np.minimum(np.abs(scores), MAX_SCORE) ** 2
    level, slope = 0.0, 0.0
    for _ in range(
        20
    ):  # Newton's method for the most likely log deviation, a line in the size; its slope has a prior of width 0.2
        ratio = squares * np.exp(-2 * (level + slope * sizes))
        first = np.array([(1 - ratio).sum(), ((1 - ratio) * sizes).sum() + slope / 0.04])
        weights = 2 * np.maximum(ratio, 0.1)
        second = np.array(
            [[weights.sum(), (weights * sizes).sum()], [(weights * sizes).sum(), (weights * sizes**2).sum() + 1 / 0.04]]
        )
        step = np.linalg.solve(second, first)
        level, slope = level - float(np.clip(step[0], -1, 1)), slope - float(np.clip(step[1], -0.5, 0.5))
    level, slope = float(np.clip(level, -1, 2)), float(np.clip(slope, -0.5, 0.5))
    reach = np.quantile(np.abs(scores) * np.exp(-slope * sizes), min(0.9 * (1 + 1 / len(scores)), 1.0)) / Z90
    few = float(np.log(stats.t.ppf(0.95, max(len(scores) - 1, 1)) / Z90))  # the scores are few themselves
    return IntervalCalibration((level + float(np.log(max(reach, 1e-3)))) / 2 + few, slope)


def _cross_validate(cost: FittedCost, kind: str, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each network's log error and relative deviation, float [n] each, by fits to the networks of other folds."""
    count = len(cost.measured)
    errors, deviations = np.empty(count), np.empty(count)
    for part in np.array_split(np.random.default_rng(0).permutation(count), min(folds, count)):
        others = np.setdiff1d(np.arange(count), part)
        rows, measured = cost.rows[others], cost.measured[others]
        before = fit_prior_weights(kind, cost.basis, rows, measured)
        fit = FittedCost.from_weights((cost.name, cost.unit), cost.basis, rows, measured, before)
        if count > MAX_VARIANCE_NETWORKS:  # the spreads hardly depend on a tenth of so many
            fit = replace(
                fit,
                variance_params=replace(cost.variance_params, outlier_scale=cost.variance_params.outlier_scale[others]),
            )
        else:
            fit = fit.fit(cost.variance_params)
        mean = fit.mean(cost.rows[part])
        errors[part] = np.log(cost.measured[part] / mean)
        deviations[part] = fit.std(cost.rows[part]) / mean
    return errors, deviations


def _prior_mape(basis: FeatureBasis, rows: Rows, measured: np.ndarray) -> float:
    if not np.isfinite(basis.prior_weights).all():
        return float("nan")
    return float(100 * np.abs(basis.sums(rows) @ basis.prior_weights / measured - 1).mean())
