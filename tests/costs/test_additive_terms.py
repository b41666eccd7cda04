"""Non-negative weights of a basis: exact costs give them back."""

from __future__ import annotations

import numpy as np
import pytest
from cost_examples import floor_of, made_basis, random_rows, sum_of

from donna_hw.costs.additive_terms import fit_floor, fit_sum
from donna_hw.costs.base import smooth_max
from donna_hw.errors import ConfigError


@pytest.mark.parametrize("count", [12, 100])
def test_a_sum_is_found(count: int) -> None:
    basis = made_basis()
    rows, others = random_rows(basis, count, 1), random_rows(basis, 500, 2)
    parts = fit_sum(basis.sums(rows), sum_of(basis, rows), basis.prior_weights)
    assert (parts.weights >= 0).all()
    predicted = basis.sums(others) @ parts.weights[0]
    assert predicted == pytest.approx(sum_of(basis, others), rel=0.01)


@pytest.mark.parametrize("count", [30, 100])
def test_a_floor_is_found(count: int) -> None:
    basis = made_basis(stages=6)
    rows, others = random_rows(basis, count, 1), random_rows(basis, 500, 2)
    parts = fit_floor(basis.sums(rows), floor_of(basis, rows), basis.launch_indices)
    assert (parts.weights >= 0).all()
    predicted = smooth_max(basis.sums(others) @ parts.weights.T, parts.sharpness)
    errors = predicted / floor_of(basis, others) - 1
    assert np.abs(errors).mean() < 0.02


def test_prior_weights_hold_where_networks_do_not_determine_them() -> None:
    """Two networks that a table predicts exactly leave its weight at 1; a device 1.5 times as slow moves it."""
    basis = made_basis(errors=True)
    rows = random_rows(basis, 2, 0)
    sums = basis.sums(rows)
    assert fit_sum(sums, sums[:, 0], basis.prior_weights).weights[0] == pytest.approx([1, 0, 0], abs=1e-6)
    rows = random_rows(basis, 200, 0)
    slow = fit_sum(basis.sums(rows), 1.5 * basis.sums(rows)[:, 0], basis.prior_weights).weights[0]
    assert slow[0] == pytest.approx(1.5, rel=0.02)


def test_a_basis_without_layers_has_no_floor() -> None:
    with pytest.raises(ConfigError, match="does not count layers, which a launch floor needs"):
        fit_floor(np.ones((5, 2)), np.ones(5), ())
