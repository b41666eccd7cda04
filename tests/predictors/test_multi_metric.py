"""The joint predictor: closed forms, brute force, and its behavior with few and with many networks."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw.errors import ConfigError
from donna_hw.predictors import multi_metric as joint
from donna_hw.predictors.factory import KINDS, fit_predictor, predict_leave_one_out
from donna_hw.predictors.multi_metric import JointPredictor, fit_joint
from donna_hw.predictors.serialization import load_predictor

# of three stages and two metrics, in -log(ceiling - accuracy)
WEIGHTS = np.array([[0.3, 0.1], [0.2, 0.1], [0.4, 0.1]])


def example(networks: int = 40, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Networks whose accuracy saturates at 92 % in two metrics of three stages."""
    rng = np.random.default_rng(seed)
    qualities = np.exp(rng.normal(0, 0.5, (networks, 3, 2)))
    return qualities, 92 - np.exp(1 + (np.log(qualities) * WEIGHTS).sum(axis=(1, 2)) + rng.normal(0, noise, networks))


def test_it_finds_the_weights_that_made_the_accuracies() -> None:
    qualities, top1 = example(networks=200)
    predictor = fit_joint(qualities, top1, 92.0)
    assert predictor.ceiling_percent == 92.0
    clear = top1 < 92 - predictor.gap_percent  # nearer ones count as a gap below the ceiling
    assert clear.mean() > 0.5
    few = fit_joint(qualities[clear], top1[clear], 92.0)
    assert np.abs(few.weights / few.scale - WEIGHTS).max() < 0.15


def test_the_weights_are_those_of_ridge_regression_with_the_prior_in_full() -> None:
    """Brute force: (X^T X / noise + prior^-1)^-1 X^T y / noise, with the prior's covariance written out entry by entry."""
    qualities, top1 = example(networks=25, noise=0.1)
    predictor = fit_joint(qualities, top1, 92.0)
    x = (-np.log(qualities) - predictor.center) / predictor.scale
    y = predictor.link.transform(top1)
    prior = np.zeros((6, 6))
    places = list(product(range(3), range(2)))
    for (i, (stage, metric)), (j, (other_stage, other_metric)) in product(enumerate(places), repeat=2):
        if metric == other_metric:
            prior[i, j] = predictor.shared_variance[metric] / 3 + (
                predictor.stage_variance[metric] / 3 if stage == other_stage else 0.0
            )
    flat, size = x.reshape(25, 6), y.std()
    covariance = np.linalg.inv(flat.T @ flat / predictor.residual + np.linalg.inv(prior))
    weights = covariance @ flat.T @ (y - y.mean()) / predictor.residual
    np.testing.assert_allclose(predictor.weights.ravel(), weights, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(predictor.covariance, size**2 * covariance, rtol=1e-5, atol=1e-9)
    assert predictor.intercept == pytest.approx(y.mean())


def test_the_variances_are_where_the_evidence_is_highest() -> None:
    """Moving any of them either way makes the target, and the variances under their own prior, less likely."""
    qualities, top1 = example(networks=30, noise=0.1)
    x, _, _ = joint._standardize(qualities)
    target, _ = joint._standardize_target(joint.fit_link(top1, 92.0).transform(top1))
    variances = joint._fit_variances(x, target)
    kernels = np.concatenate([joint._kernels(x, x), np.eye(len(x))[None]])
    prior_mean = np.array([joint.LOG_VARIANCE] * 4 + [joint.LOG_NOISE])

    def negative_log_evidence(variances: np.ndarray) -> float:
        covariance = np.tensordot(variances, kernels, 1)
        sign, size = np.linalg.slogdet(covariance)
        assert sign > 0
        deviation = (np.log(variances) - prior_mean) / joint.LOG_STD
        return float(target @ np.linalg.solve(covariance, target) / 2 + size / 2 + deviation @ deviation / 2)

    lowest = negative_log_evidence(variances)
    for place, factor in product(range(5), (0.8, 1.25)):
        moved = variances.copy()
        moved[place] *= factor
        assert negative_log_evidence(moved) > lowest


def test_scores_order_networks_as_the_accuracy_does_and_leave_diverged_blocks_out() -> None:
    qualities, top1 = example()
    predictor = fit_joint(qualities, top1, 92.0)
    rng = np.random.default_rng(1)
    blocks = [np.exp(rng.normal(0, 0.5, (4, 2))) for _ in range(3)]
    blocks[1][2, 0] = np.inf
    scores = predictor.scores(blocks)
    assert scores[1][2] == -np.inf
    rows = [row for row in product(range(4), repeat=3) if row[1] != 2]
    sums = np.array([sum(scores[stage][m] for stage, m in enumerate(row)) for row in rows])
    accuracy, _ = predictor(np.array([[blocks[stage][m] for stage, m in enumerate(row)] for row in rows]))
    assert (np.diff(accuracy[np.argsort(sums)]) >= 0).all()
    np.testing.assert_allclose(
        predictor.link.transform(accuracy), sums - sums[0] + predictor.link.transform(accuracy[:1]), rtol=1e-9
    )


def test_one_metric_needs_no_axis() -> None:
    qualities, top1 = example()
    flat, deep = (fit_joint(values, top1, 92.0) for values in (qualities[..., 0], qualities[..., :1]))
    np.testing.assert_allclose(flat(qualities[..., 0])[0], deep(qualities[..., :1])[0], rtol=1e-12)


def test_left_out_networks_are_predicted_by_the_others() -> None:
    qualities, top1 = example(networks=12, noise=0.1)
    predictor = fit_joint(qualities, top1, 92.0)
    changed = top1.copy()
    changed[3] = 50.0  # the network left out has no influence
    assert predictor.predict_leave_one_out(qualities, changed)[3] == predictor.predict_leave_one_out(qualities, top1)[3]
    errors = predict_leave_one_out(qualities, top1, "joint", 92.0) - top1
    assert predictor.noise == pytest.approx(np.sqrt(np.square(errors).mean()))


def test_the_deviation_grows_away_from_the_fit_and_never_falls_below_the_noise() -> None:
    qualities, top1 = example(noise=0.2)
    predictor = fit_joint(qualities, top1, 92.0)
    middle = np.exp(-predictor.center)[None]
    away = middle * 4
    assert predictor(middle)[1][0] == pytest.approx(predictor.noise)
    assert predictor(away)[1][0] > predictor(middle)[1][0]
    assert not predictor.extrapolates(middle)[0]
    assert predictor.extrapolates(away * 100)[0]


@given(st.integers(5, 12), st.integers(0, 20))
@settings(max_examples=25, deadline=None)
def test_any_few_networks_give_accuracies_between_zero_and_the_ceiling(networks: int, seed: int) -> None:
    qualities, top1 = example(networks, 0.5, seed)
    predictor = fit_joint(qualities, np.clip(top1, 0, 100), 0.0)
    unseen, _ = example(50, 0.0, seed + 1)
    accuracy, std = predictor(unseen)
    assert ((accuracy > 0) & (accuracy <= predictor.ceiling_percent)).all()
    assert (std >= predictor.noise).all()


def test_equal_networks_and_constant_metrics_are_no_obstacle() -> None:
    qualities, _ = example(networks=6)
    qualities[..., 1] = 3.0
    predictor = fit_joint(qualities, np.full(6, 70.0))
    np.testing.assert_allclose(predictor(qualities)[0], 70.0)
    assert (predictor.weights[:, 1] == 0).all()


def test_it_is_saved_in_a_file(tmp_path: Path) -> None:
    qualities, top1 = example()
    predictor = fit_joint(qualities, top1, 92.0)
    predictor.save(tmp_path / "predictor.toml", {"fitted_to": {"quality": "kl+macs"}})
    loaded = load_predictor(tmp_path / "predictor.toml")
    assert isinstance(loaded, JointPredictor)
    np.testing.assert_array_equal(loaded(qualities), predictor(qualities))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "joint"])
def test_other_kinds_read_one_metric(kind: str) -> None:
    qualities, top1 = example()
    with pytest.raises(ConfigError, match="only the kind 'joint' reads several metrics"):
        fit_predictor(qualities, top1, kind)


def test_an_invalid_quality_is_refused() -> None:
    qualities, top1 = example()
    predictor = fit_joint(qualities, top1, 92.0)
    qualities[0, 0, 0] = np.inf
    with pytest.raises(ConfigError, match="every block quality must be finite"):
        predictor(qualities)


@pytest.mark.parametrize("seed", range(3))
def test_it_uses_the_difference_of_two_nearly_equal_metrics(seed: int) -> None:
    """Optimization from small variances only would end where the difference of nearly equal metrics is ignored."""
    rng = np.random.default_rng(seed)
    common, difference, noise = rng.normal(0, 1, (30, 4)), rng.normal(0, 0.1, (30, 4)), rng.normal(0, 0.1, 30)
    qualities = np.exp(np.stack([common, common + difference], axis=-1))
    top1 = 60 - np.exp(1 + 0.15 * common.sum(axis=1) + 3 * difference.sum(axis=1) + 0.3 * noise)
    variance = (
        np.square(predict_leave_one_out(qualities[:20], top1[:20], "joint", 60.0) - top1[:20]).mean() / top1[:20].var()
    )
    assert variance < 0.2
    predictor = fit_joint(qualities[:20], top1[:20], 60.0)
    assert np.square(predictor(qualities[20:])[0] - top1[20:]).mean() < 0.2 * top1[20:].var()
