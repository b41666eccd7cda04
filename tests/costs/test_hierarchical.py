"""Fitted costs on made devices: errors, deviations, differences, parts."""

from __future__ import annotations

import numpy as np
import pytest
from cost_examples import floor_of, made_basis, noisy, random_rows, sum_of

from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.fit import FitResult, fit_calibration, fit_cost
from donna_hw.costs.hierarchical import FittedCost, _solve_effects
from donna_hw.errors import ConfigError, InsufficientDataError, UnknownNameError
from donna_hw.measurement.intervals import Z90


def fitted(basis: FeatureBasis, count: int, relative: float = 0.02, *, spread: float = 0.1, seed: int = 0) -> FitResult:
    rows = random_rows(basis, count, seed + 10)
    return fit_cost("made", basis, rows, noisy(sum_of(basis, rows, spread), relative, seed))


@pytest.mark.parametrize("sizes", [0, 5])
def test_unseen_networks_are_foretold_almost_as_well_as_the_noise_allows(sizes: int) -> None:
    basis = made_basis(settings=sizes)
    fit, others = fitted(basis, 100), random_rows(basis, 2000, 1)
    truth = sum_of(basis, others, 0.1)
    errors = fit.cost.mean(others) / truth - 1
    assert np.sqrt(np.mean(errors**2)) < 0.012
    assert fit.kind == "sum"


def test_nine_in_ten_lie_within_the_stated_interval_at_small_and_at_large_costs() -> None:
    held = []
    for seed in range(4):
        basis = made_basis(seed)
        cost = fitted(basis, 60, 0.03, seed=seed).cost
        others = random_rows(basis, 1500, seed + 100)
        measured = noisy(sum_of(basis, others, 0.1), 0.03, seed + 50)
        inside = np.abs(np.log(measured / cost.mean(others))) <= Z90 * cost.std(others) / cost.mean(others)
        held.append([inside[third].mean() for third in np.array_split(np.argsort(cost.mean(others)), 3)])
    assert (np.abs(np.mean(held, axis=0) - 0.91) < 0.06).all()


def test_a_device_that_waits_is_a_floor_and_its_parts_join_to_the_mean() -> None:
    basis = made_basis(stages=6)
    rows = random_rows(basis, 80, 0)
    fit = fit_cost("made", basis, rows, noisy(floor_of(basis, rows), 0.01, 0))
    assert fit.kind == "floor"
    others = random_rows(basis, 300, 1)
    parts = fit.cost.additive_terms()
    assert len(parts.terms) == 2
    assert fit.cost.mean(others) == pytest.approx(parts.combine(parts.sums(others)), rel=1e-9)
    assert np.abs(fit.cost.mean(others) / floor_of(basis, others) - 1).mean() < 0.01
    as_sum = fit_cost("made", basis, rows, noisy(floor_of(basis, rows), 0.01, 0), kind="sum")
    assert as_sum.mape_percent > fit.mape_percent


def test_exact_costs_are_found_exactly() -> None:
    basis = made_basis()
    fit, others = fitted(basis, 200, 0.0, spread=0.05), random_rows(basis, 500, 1)
    assert fit.cost.mean(others) == pytest.approx(sum_of(basis, others, 0.05), rel=0.003)


def test_one_network_far_off_hardly_moves_the_others() -> None:
    basis = made_basis()
    rows, others = random_rows(basis, 60, 0), random_rows(basis, 500, 1)
    seconds = noisy(sum_of(basis, rows), 0.01, 0)
    stalled = seconds.copy()
    stalled[7] *= 3
    clean, hit = (fit_cost("made", basis, rows, values).cost.mean(others) for values in (seconds, stalled))
    assert np.abs(hit / clean - 1).max() < 0.02


def test_what_two_networks_share_cancels_in_their_difference() -> None:
    basis = made_basis()
    cost = fitted(basis, 40).cost
    a, b = random_rows(basis, 200, 1), random_rows(basis, 200, 2)
    found = cost.std_of_difference(a, b)
    assert found == pytest.approx(cost.std_of_difference(b, a), rel=1e-12)
    assert (cost.std_of_difference(a, a) == 0).all()
    one = a.copy()
    one[:, 0] = (one[:, 0] + 1) % basis.stages[0].shape[1]
    assert (cost.std_of_difference(a, one) < np.sqrt(cost.std(a) ** 2 + cost.std(one) ** 2)).all()


def test_more_networks_leave_less_unknown() -> None:
    basis = made_basis()
    rows = random_rows(basis, 300, 1)
    known = [fitted(basis, count).cost.covariance(rows)[0].trace() for count in (12, 40, 120)]
    assert known[0] > known[1] > known[2]


def test_many_networks_are_fitted_with_the_spreads_of_some() -> None:
    basis = made_basis()
    fit, others = fitted(basis, 400), random_rows(basis, 500, 1)
    assert len(fit.cost.variance_params.outlier_scale) == 400
    assert np.abs(fit.cost.mean(others) / sum_of(basis, others, 0.1) - 1).mean() < 0.005


def test_what_is_expected_needs_no_network() -> None:
    basis = made_basis(errors=True)
    rows = random_rows(basis, 50, 0)
    cost = FittedCost.from_prior(("made", "s"), basis, rows)
    assert cost is not None
    assert cost.mean(rows) == pytest.approx(basis.sums(rows)[:, 0], rel=1e-12)
    assert (cost.std(rows) > 0).all()
    assert FittedCost.from_prior(("made", "s"), made_basis(), rows) is None


@pytest.mark.parametrize("growth", [-0.3, 0.0, 0.3])
def test_calibration_stretches_to_nine_in_ten(growth: float) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.standard_normal(4000)
    scores = 1.5 * np.exp(growth * sizes) * rng.standard_normal(4000)
    found = fit_calibration(scores, sizes)
    assert (found.level, found.slope) == (pytest.approx(np.log(1.5), abs=0.06), pytest.approx(growth, abs=0.06))


def test_too_few_or_unknown_is_refused() -> None:
    basis = made_basis()
    rows = random_rows(basis, 9, 0)
    with pytest.raises(InsufficientDataError, match="at least 4 whole networks; found 3"):
        fit_cost("made", basis, rows[:3], np.ones(3))
    with pytest.raises(InsufficientDataError, match="at least 10 whole networks; found 9"):
        fit_cost("made", basis, rows, np.ones(9), kind="floor")
    with pytest.raises(UnknownNameError, match="a cost's kind"):
        fit_cost("made", basis, rows, np.ones(9), kind="cubic")
    with pytest.raises(ConfigError, match="an architecture for each"):
        fit_cost("made", basis, rows, np.ones(8))


def test_both_systems_give_the_same_effects_and_covariance() -> None:
    rng = np.random.default_rng(0)
    slopes, noise, prior = rng.standard_normal((12, 12)), rng.uniform(0.1, 1, 12), rng.uniform(0.1, 2, 12)
    errors = rng.standard_normal(12)
    by_networks = _solve_effects(slopes, errors, noise, prior)
    more = np.vstack([slopes, np.zeros((1, 12))])  # a network that no effect touches says nothing
    by_effects = _solve_effects(more, np.append(errors, 0.3), np.append(noise, 1.0), prior)
    assert by_effects[0] == pytest.approx(by_networks[0], rel=1e-8)
    assert by_effects[1].T @ by_effects[1] == pytest.approx(by_networks[1].T @ by_networks[1], rel=1e-7, abs=1e-9)
