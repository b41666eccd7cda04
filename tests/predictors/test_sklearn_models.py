"""Table 8's regressions and the Bayesian ones against scikit-learn, brute force and closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneOut

from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.predictors.sklearn_models import ADDITIVE, BAYESIAN, MODELS, fit_sklearn


def example(networks: int = 15, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    qualities = rng.uniform(0.05, 1.5, (networks, 3))
    return qualities, 80 - np.log(qualities) @ np.arange(1, 4) + noise * rng.normal(size=networks)


@pytest.mark.parametrize("kind", MODELS)
def test_each_explains_most_of_what_it_has_not_seen(kind: str) -> None:
    predictor = fit_sklearn(kind, *example(networks=40))
    unseen, expected = example(networks=60, seed=1)
    accuracy, std = predictor(unseen)
    assert np.mean((accuracy - expected) ** 2) < 0.5 * expected.var()
    assert (std > 0).all()
    assert predictor.noise < expected.std()
    again = fit_sklearn(kind, *example(networks=40))
    np.testing.assert_array_equal(again(unseen), (accuracy, std))


@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind != "lars"])
def test_five_networks_of_equal_accuracy_are_fitted_without_a_warning(kind: str) -> None:
    accuracy, std = fit_sklearn(kind, example(5)[0], np.full(5, 70.0))(example(9, seed=2)[0])
    np.testing.assert_allclose(accuracy, 70, atol=1e-6)
    assert np.isfinite(std).all()


def test_an_error_of_scikit_learn_is_reported() -> None:
    with pytest.raises(
        InsufficientDataError, match=r"lars cannot be fitted to these networks; got .*choose another kind"
    ):
        fit_sklearn("lars", example(5)[0], np.full(5, 70.0))


@pytest.mark.parametrize("kind", [*ADDITIVE, "sum_of_nsr"])
def test_what_the_blocks_add_is_the_difference_of_accuracies(kind: str) -> None:
    predictor = fit_sklearn(kind, *example())
    rng = np.random.default_rng(3)
    blocks = [rng.uniform(0.01, 0.5, size) for size in (3, 2, 4)]
    rows = np.array(list(product(range(3), range(2), range(4))))
    scores = predictor.scores(blocks)
    assert scores is not None
    accuracy = predictor(np.stack([values[rows[:, i]] for i, values in enumerate(blocks)], axis=1))[0]
    assert np.ptp(accuracy - np.sum([values[rows[:, i]] for i, values in enumerate(scores)], axis=0)) < 1e-9
    broken = predictor.scores([np.array([np.inf, 0.1]), *blocks[1:]])
    assert broken is not None
    assert broken[0][0] == -np.inf


@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind not in (*ADDITIVE, "sum_of_nsr")])
def test_a_nonlinear_model_is_not_a_sum(kind: str) -> None:
    predictor = fit_sklearn(kind, *example(), noise=0.1)
    assert predictor.scores([np.array([0.1])] * 3) is None
    assert predictor.quadratic([np.array([0.1])] * 3) is None


def test_the_sum_of_nsr_is_the_line_through_the_sums() -> None:
    qualities, top1 = example()
    sums = qualities.sum(axis=1, keepdims=True)
    unseen, _ = example(seed=1)
    line = LinearRegression().fit(sums, top1)
    assert line.coef_[0] < 0
    expected = line.predict(unseen.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(fit_sklearn("sum_of_nsr", qualities, top1)(unseen)[0], expected, rtol=1e-10)
    rising = fit_sklearn("sum_of_nsr", qualities, 50 + sums[:, 0])(unseen)[0]
    np.testing.assert_allclose(rising, (50 + sums).mean())  # a better block never lowers the accuracy


@pytest.mark.parametrize("kind", BAYESIAN)
def test_the_deviation_of_a_bayesian_one_grows_outside_of_the_fit(kind: str) -> None:
    qualities, top1 = example(networks=25)
    predictor = fit_sklearn(kind, qualities, top1)
    middle = np.exp(np.log(qualities).mean(axis=0))
    for factor in (4.0, 0.25):
        rows = np.stack([middle * factor**k for k in range(5)])
        assert (np.diff(predictor(rows)[1]) > 0).all()
        assert not predictor.extrapolates(rows[:1])[0]
        assert predictor.extrapolates(rows[-1:])[0]


@pytest.mark.parametrize("kind", BAYESIAN)
def test_the_covariance_with_the_noise_has_the_deviations_on_its_diagonal(kind: str) -> None:
    predictor, unseen = fit_sklearn(kind, *example(networks=25)), example(seed=1)[0]
    covariance, noise = predictor.covariance(unseen)
    assert noise > 0
    np.testing.assert_allclose(np.sqrt(np.diag(covariance) + noise), predictor(unseen)[1], rtol=1e-6)
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-9)
    assert np.linalg.eigvalsh(covariance).min() > -1e-6


def test_a_covariance_of_one_that_is_not_bayesian_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"only Bayesian predictors have a covariance; got 'ridge'; expected bayesian_ridge or gaussian_process",
    ):
        fit_sklearn("ridge", *example()).covariance(example()[0])


@pytest.mark.parametrize("kind", ["ridge", "bagging"])
def test_left_out_is_a_fit_to_the_others(kind: str) -> None:
    qualities, top1 = example(8)
    expected = [
        fit_sklearn(kind, qualities[others], top1[others], noise=0.0)(qualities[left_out])[0][0]
        for others, left_out in LeaveOneOut().split(qualities)
    ]
    predictor = fit_sklearn(kind, qualities, top1)
    np.testing.assert_allclose(predictor.predict_leave_one_out(qualities, top1), expected, rtol=1e-12)
    assert predictor.noise == pytest.approx(np.sqrt(np.mean((np.array(expected) - top1) ** 2)), rel=1e-12)


@pytest.mark.parametrize("bad", [np.inf, np.nan, -0.1])
@pytest.mark.parametrize("kind", ["ridge", "sum_of_nsr"])
def test_an_invalid_quality_is_refused(bad: float, kind: str) -> None:
    qualities, top1 = example()
    predictor = fit_sklearn(kind, qualities, top1)
    broken = qualities.copy()
    broken[3, 1] = bad
    with pytest.raises(ConfigError, match="every block quality must be finite and zero or more"):
        predictor(broken)
    with pytest.raises(ConfigError, match="every block quality must be finite and zero or more"):
        fit_sklearn(kind, broken, top1)
