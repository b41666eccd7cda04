"""The saturating predictor: closed forms, brute force, and its behavior outside of the range of the fit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from donna_hw.errors import ConfigError
from donna_hw.predictors.base import ALPHAS
from donna_hw.predictors.factory import fit_predictor, predict_leave_one_out
from donna_hw.predictors.saturating import SaturatingPredictor, fit_saturating

NSR = st.floats(0, 20)
TRUE = np.array([0.3, 0.2, 0.4])


def example(networks: int = 30, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Networks whose accuracy saturates at 92 %."""
    rng = np.random.default_rng(seed)
    qualities = rng.uniform(0.05, 1.5, (networks, 3))
    return qualities, 92 - np.exp(1 + np.log(qualities) @ TRUE) + noise * rng.normal(size=networks)


def test_noiseless_data_give_back_their_weights() -> None:
    qualities, _ = example()
    exact = fit_saturating(qualities, 92 - np.exp(1.5 + np.log(qualities) @ TRUE), 92.0)
    assert (exact.alpha, exact.ceiling_percent) == (min(ALPHAS), 92.0)
    np.testing.assert_allclose(exact.weights / exact.scale, TRUE, rtol=1e-3)
    unseen, _ = example(seed=1)
    np.testing.assert_allclose(exact(unseen)[0], 92 - np.exp(1.5 + np.log(unseen) @ TRUE), atol=2e-3)
    assert not exact.extrapolates(qualities).any()


@settings(max_examples=40, deadline=None)
@given(arrays(float, (8, 3), elements=NSR), arrays(float, 8, elements=st.floats(0, 100)), st.floats(0, 100), st.data())
def test_a_better_block_never_lowers_the_accuracy_which_lies_between_nothing_and_the_ceiling(
    qualities: np.ndarray, top1: np.ndarray, ceiling: float, data: st.DataObject
) -> None:
    predictor = fit_saturating(qualities, top1, ceiling)
    assert (predictor.weights >= 0).all()
    assert max(ceiling, top1.max()) <= predictor.ceiling_percent <= 100
    worse = data.draw(arrays(float, (4, 3), elements=st.floats(0, 1e6)))
    better = worse * data.draw(arrays(float, (4, 3), elements=st.floats(0, 1)))
    (high, high_std), (low, low_std) = predictor(better), predictor(worse)
    assert (high >= low - 1e-9).all()
    assert ((low >= 0) & (high <= predictor.ceiling_percent)).all()
    assert (np.isfinite(high_std) & (high_std >= predictor.noise) & (low_std >= predictor.noise)).all()


def test_the_two_halves_of_the_curve_meet_with_equal_slope() -> None:
    predictor = fit_saturating(*example(noise=0.1), 92.0)
    slopes = predictor.weights / predictor.scale
    # the link at the bend is -log(ceiling / 2); move along the first stage to reach it
    bend = -np.log(predictor.ceiling_percent / 2)
    row = predictor.center.copy()
    row[0] += (bend - predictor.intercept) / slopes[0]
    step = 1e-5
    around = np.stack([row + np.array([k * step / slopes[0], 0, 0]) for k in (-1, 0, 1)])
    below, at, above = predictor(np.exp(-around))[0]
    assert at == pytest.approx(predictor.ceiling_percent / 2, rel=1e-9)
    assert (above - at) / (at - below) == pytest.approx(1, rel=1e-4)
    assert (above - below) / (2 * step) == pytest.approx(predictor.ceiling_percent / 2, rel=1e-4)


def test_outside_of_the_fit_it_reports_so_stays_bounded_and_is_less_sure_of_worse_blocks() -> None:
    qualities, top1 = example(noise=0.1)
    predictor = fit_saturating(qualities, top1, 92.0)
    middle = np.exp(np.log(qualities).mean(axis=0))
    worse, better = (np.stack([middle * factor**k for k in range(6)]) for factor in (3.0, 1 / 3))
    for rows in (worse, better):
        assert predictor.extrapolates(rows)[[0, -1]].tolist() == [False, True]
    accuracy, std = predictor(worse)
    assert (np.diff(accuracy) < 0).all()
    assert accuracy[-1] > 0
    assert (np.diff(std) > 0).all()
    accuracy, std = predictor(better)
    assert (np.diff(accuracy) > 0).all()
    assert accuracy[-1] <= predictor.ceiling_percent
    assert (std >= predictor.noise).all()


def test_the_deviation_is_propagated_through_the_link() -> None:
    """At the middle of the fit only the noise is left; elsewhere the slope of the link times the deviation of the weights' sum."""
    qualities, top1 = example(noise=0.2)
    predictor = fit_saturating(qualities, top1, 92.0)
    middle = np.exp(-predictor.center)[None]
    assert predictor(middle)[1][0] == pytest.approx(predictor.noise, rel=1e-9)
    row, step = qualities[:1], 1e-6
    accuracy, std = predictor(row)
    x = (-np.log(row[0]) - predictor.center) / predictor.scale
    of_link = np.sqrt(x @ predictor.covariance @ x)
    moved = SaturatingPredictor(**{**vars(predictor), "intercept": predictor.intercept + step})
    slope = (moved(row)[0][0] - accuracy[0]) / step
    assert std[0] == pytest.approx(np.hypot(predictor.noise, slope * of_link), rel=1e-4)


def test_a_network_at_the_ceiling_does_not_blow_the_fit_up() -> None:
    qualities, top1 = example(networks=20, noise=0.05)
    moved = top1.copy()
    moved[top1.argmax()] = 92.0
    unseen, _ = example(seed=2)
    change = fit_saturating(qualities, moved, 92.0)(unseen)[0] - fit_saturating(qualities, top1, 92.0)(unseen)[0]
    assert np.abs(change).max() < top1.std()  # the network itself moved by that much
    near = moved - 1e-3 * (moved == 92.0)
    change = fit_saturating(qualities, moved, 92.0)(unseen)[0] - fit_saturating(qualities, near, 92.0)(unseen)[0]
    assert np.abs(change).max() < 0.01  # at the ceiling hardly differs from close to it
    perfect = fit_saturating(qualities, np.where(top1 > np.median(top1), 100.0, 99.0), 100.0)
    assert np.isfinite(perfect(unseen)[0]).all()
    assert perfect(unseen)[0].max() <= 100


def test_what_the_blocks_add_orders_all_networks_as_their_accuracies_do() -> None:
    """Brute force over all networks of a small space, accuracies from the ceiling down to nearly nothing."""
    predictor = fit_saturating(*example(noise=0.1), 92.0)
    rng = np.random.default_rng(3)
    blocks = [np.exp(rng.uniform(-4, 6, size)) for size in (3, 4, 5)]
    rows = np.array(list(product(range(3), range(4), range(5))))
    accuracy = predictor(np.stack([values[rows[:, i]] for i, values in enumerate(blocks)], axis=1))[0]
    scores = predictor.scores(blocks)
    added = np.sum([values[rows[:, i]] for i, values in enumerate(scores)], axis=0)
    assert (np.diff(accuracy[np.argsort(added)]) > 0).all()
    assert predictor.scores([np.array([np.inf, 0.1]), *blocks[1:]])[0][0] == -np.inf
    assert predictor.quadratic(blocks) is None


def test_left_out_is_a_fit_to_the_others() -> None:
    qualities, top1 = example(networks=8, noise=0.3)
    predictor = fit_saturating(qualities, top1, 92.0)
    predictions = predict_leave_one_out(qualities, top1, "saturating", 92.0)
    np.testing.assert_array_equal(predictions, predictor.predict_leave_one_out(qualities, top1))
    assert predictor.noise == pytest.approx(np.sqrt(np.mean((predictions - top1) ** 2)), rel=1e-12)
    moved = top1.copy()
    moved[3] = 50.0
    changed = predictor.predict_leave_one_out(qualities, moved)
    assert changed[3] == predictions[3]
    assert (np.delete(changed, 3) != np.delete(predictions, 3)).all()


def test_it_beats_a_plain_sum_where_accuracy_saturates() -> None:
    qualities, top1 = example(noise=0.1)
    unseen, expected = example(networks=200, seed=5)
    errors = {
        kind: np.mean((fit_predictor(qualities, top1, kind, 92.0)(unseen)[0] - expected) ** 2)
        for kind in ("monotone", "saturating")
    }
    assert errors["saturating"] < errors["monotone"] / 2


@pytest.mark.parametrize(("top1", "ceiling"), [(101.0, 90.0), (-1.0, 90.0), (90.0, 101.0)])
def test_a_value_that_is_not_a_percentage_is_refused(top1: float, ceiling: float) -> None:
    qualities, accuracies = example()
    accuracies[0] = top1
    with pytest.raises(ConfigError, match=r"must be in 0\.\.100 %; got"):
        fit_predictor(qualities, accuracies, "saturating", ceiling)
