"""Intervals over resampled networks: the matrices against one resample at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from donna_hw._core.bootstrap import BootstrapInterval, bootstrap_counts, equal_cost_concordances, kendall_taus
from donna_hw._core.ranking import equal_cost_concordance, kendall_tau

SEEDS = st.integers(0, 10_000)


def networks(seed: int, count: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, measured accuracies with ties among them, and costs."""
    rng = np.random.default_rng(seed)
    measured = rng.integers(0, 6, count).astype(float)
    return measured + rng.normal(0, 2, count).round(), measured, rng.uniform(1, 1.4, count)


@given(SEEDS)
def test_taus_are_those_of_the_resampled_networks(seed: int) -> None:
    values, measured, _ = networks(seed)
    weights = bootstrap_counts(len(values), draws=5, seed=seed)
    for found, counts in zip(kendall_taus(values, measured, weights), weights, strict=True):
        copies = np.repeat(np.arange(len(values)), counts)
        assert found == pytest.approx(kendall_tau(values[copies], measured[copies]), nan_ok=True)


@given(SEEDS)
def test_pairs_are_those_of_the_resampled_networks(seed: int) -> None:
    values, measured, costs = networks(seed)
    weights = bootstrap_counts(len(values), draws=5, seed=seed)
    for found, counts in zip(equal_cost_concordances(values, measured, costs, weights), weights, strict=True):
        copies = np.repeat(np.arange(len(values)), counts)
        share, _ = equal_cost_concordance(values[copies], measured[copies], costs[copies])
        assert found == pytest.approx(share, nan_ok=True)


def test_the_first_resample_is_the_set_itself() -> None:
    weights = bootstrap_counts(7, draws=3)
    assert weights[0].tolist() == [1] * 7
    assert weights.sum(axis=1).tolist() == [7] * 4


def test_an_interval_holds_95_of_100_draws() -> None:
    found = BootstrapInterval.from_draws(np.concatenate([[50.0], np.arange(101.0), [np.nan]]))
    assert (found.value, found.low, found.high) == (50.0, 2.5, 97.5)


def test_the_same_values_have_no_difference_in_any_resample() -> None:
    values, measured, _ = networks(3)
    weights = bootstrap_counts(len(values), draws=50)
    difference = kendall_taus(values, measured, weights) - kendall_taus(2 * values + 1, measured, weights)
    assert np.abs(difference[np.isfinite(difference)]).max() == 0
