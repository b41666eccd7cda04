"""Fitting a cost to whole networks: a sum or a launch floor by cross-validation, with deviations that hold for held-out networks."""

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
# The floor is used where its error is below this share of the sum's: in doubt the simpler model is better.
FLOOR_ERROR_RATIO = 0.95
MAX_SCORE = 4.0  # deviations; errors beyond are clipped, since they carry no more information about the others


@dataclass(frozen=True)
class FitResult:
    """A fitted cost and its errors on held-out networks.

    Args:
        cost: The cost, fitted to all networks.
        kind: `sum` or `floor`.
        errors: Log of measured over predicted cost, each by a fit to the other nine tenths, float [n].
        coverage: Share of held-out networks within their 90 % intervals.
        mape_percent: Mean absolute relative error of held-out networks.
        prior_mape_percent: The same of the basis alone; NaN where it has no prior weights.
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
    """Fit a cost to whole measured networks.

    Args:
        name: Name of the cost.
        basis: The prior, from a table (`from_table`), from layer features (`from_layers`), or without knowledge (`uniform`).
        rows: The networks, int [n, stages + global axes].
        measured: Their costs, float [n], in `unit`.
        kind: `sum`, `floor` (a launch floor: the device waits for launches or for the work), or `auto`: whichever errs less on held-out
            networks.
        unit: Unit of the costs.
        folds: Folds of the cross-validation.

    Returns:
        The fitted cost and its errors on held-out networks.

    Raises:
        InsufficientDataError: There are fewer than 4 networks, or 10 for a floor.
        UnknownNameError: `kind` is none of these.
        ConfigError: There are not as many costs as networks.
        MeasurementError: A cost is not a positive finite number.
    """
    if kind not in (*KINDS, "auto"):
        raise UnknownNameError("unknown kind of cost", got=kind, choices=[*KINDS, "auto"])
    minimum = MIN_NETWORKS_FLOOR if kind == "floor" else MIN_NETWORKS
    if len(measured) < minimum:
        raise InsufficientDataError(
            f"fitting a cost needs at least {minimum} whole networks", got=len(measured), hint="measure more"
        )
    if len(rows) != len(measured):
        raise ConfigError(f"{len(measured)} measured costs need as many architectures", got=len(rows))
    validate_samples(measured, "whole networks to fit")
    floor = kind == "floor" or (kind == "auto" and bool(basis.launch_indices) and len(measured) >= MIN_NETWORKS_FLOOR)
    kinds = [name for name in KINDS if name == kind or (kind == "auto" and (name == "sum" or floor))]
    names, fits, tests = (name, unit), {}, {}
    for candidate in kinds:
        prior = fit_prior_weights(candidate, basis, rows, measured)
        fits[candidate] = FittedCost.from_weights(names, basis, rows, measured, prior).fit()
    for candidate, fit in fits.items():
        tests[candidate] = _cross_validate(fit, candidate, folds)
    mapes = {candidate: float(np.abs(np.expm1(-errors)).mean()) for candidate, (errors, _) in tests.items()}
    best = "sum"
    if "floor" in mapes and ("sum" not in mapes or mapes["floor"] < FLOOR_ERROR_RATIO * mapes["sum"]):
        best = "floor"
    errors, deviations = tests[best]
    cost = fits[best]
    sizes = cost.standardize(measured / np.exp(errors))
    calibration = fit_calibration(errors / deviations, sizes)
    factor = np.exp(calibration.level + calibration.slope * sizes)
    return FitResult(
        cost=replace(cost, calibration=calibration),
        kind=best,
        errors=errors,
        coverage=float((np.abs(errors) <= Z90 * deviations * factor).mean()),
        mape_percent=100 * mapes[best],
        prior_mape_percent=_prior_mape(basis, rows, measured),
    )


def fit_prior_weights(kind: str, basis: FeatureBasis, rows: Rows, measured: np.ndarray) -> AdditiveWeights:
    """Return the weights of the basis alone, fitted to measured networks."""
    sums = basis.sums(rows)
    return (
        fit_floor(sums, measured, basis.launch_indices)
        if kind == "floor"
        else fit_sum(sums, measured, basis.prior_weights)
    )


def fit_calibration(scores: np.ndarray, sizes: np.ndarray) -> IntervalCalibration:
    """Return the factor of deviations that makes 1.645 of them hold nine networks in ten, at small and at large costs.

    Args:
        scores: Errors of held-out networks over their predicted deviations, float [n].
        sizes: Standardized log costs of these networks, float [n].

    Returns:
        The factor, as a function of the cost.
    """
    squares = np.minimum(np.abs(scores), MAX_SCORE) ** 2
    level, slope = 0.0, 0.0
    # Newton's method for the most likely log deviation, which is linear in the size; its slope has a prior of width 0.2.
    for _ in range(20):
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
    few_scores = float(np.log(stats.t.ppf(0.95, max(len(scores) - 1, 1)) / Z90))  # as by Student's t
    return IntervalCalibration((level + float(np.log(max(reach, 1e-3)))) / 2 + few_scores, slope)


def _cross_validate(cost: FittedCost, kind: str, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each network's log error and relative deviation, float [n] each, by fits to the networks of the other folds."""
    count = len(cost.measured)
    errors, deviations = np.empty(count), np.empty(count)
    for part in np.array_split(np.random.default_rng(0).permutation(count), min(folds, count)):
        others = np.setdiff1d(np.arange(count), part)
        rows, measured = cost.rows[others], cost.measured[others]
        prior = fit_prior_weights(kind, cost.basis, rows, measured)
        fit = FittedCost.from_weights((cost.name, cost.unit), cost.basis, rows, measured, prior)
        if count > MAX_VARIANCE_NETWORKS:  # the variance parameters hardly depend on a tenth of so many
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
