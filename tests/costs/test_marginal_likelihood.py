"""The evidence's slope is its difference quotient, and spreads that made the data are found again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from donna_hw.costs.marginal_likelihood import (
    STUDENT_T_DOF,
    Observations,
    VarianceParams,
    _negative_log_evidence,
    compute_outlier_scale,
    fit_variance_params,
)


def observed(count: int, noise: float, seed: int) -> Observations:
    rng = np.random.default_rng(seed)
    wide, narrow = rng.standard_normal((count, 20)), rng.standard_normal((count, 20))
    errors = 0.1 * wide @ rng.standard_normal(20) + noise * rng.standard_normal(count)
    sizes = rng.standard_normal(count)
    kernels = [wide @ wide.T, narrow @ narrow.T]
    return Observations(errors, kernels, np.ones((count, 1)), sizes, (False, False), (False, False))


def test_the_slope_is_the_difference_quotient() -> None:
    data = observed(30, 0.05, 0)
    far = np.random.default_rng(1).uniform(0.8, 3, 30)
    point = np.array([-2.0, -3.5, -2.5, 0.3])
    _, slope = _negative_log_evidence(point, data, far)
    numeric = approx_fprime(point, lambda z: _negative_log_evidence(z, data, far)[0], 1e-6)
    assert slope == pytest.approx(numeric, rel=1e-3, abs=1e-3)


def test_the_spreads_that_made_the_data_are_found() -> None:
    found = fit_variance_params(observed(300, 0.03, 2))
    assert np.exp(found.log_effects[0]) == pytest.approx(0.1, rel=0.35)
    assert np.exp(found.log_effects[1]) < 0.01
    assert np.exp(found.log_noise[0]) == pytest.approx(0.03, rel=0.35)


def test_a_network_far_off_is_believed_less() -> None:
    plain = np.full(4, 0.01**2)
    errors = np.array([0.0, 0.01, -0.01, 0.2])
    found = compute_outlier_scale(plain, errors, np.zeros(4))
    assert found == pytest.approx((STUDENT_T_DOF + (errors / 0.01) ** 2) / (STUDENT_T_DOF + 1))


def test_noise_grows_with_the_cost_and_adds_over_the_parts() -> None:
    spreads = VarianceParams(np.empty(0), np.log([0.03, 0.04]), 0.5, np.empty(0))
    alone = spreads.noise(np.array([[1.0, 1.0]]), np.zeros(1))
    assert alone == pytest.approx(0.05**2, rel=1e-4)
    assert spreads.noise(np.array([[1.0, 1.0]]), np.ones(1)) == pytest.approx(np.e * 0.05**2, rel=1e-4)
