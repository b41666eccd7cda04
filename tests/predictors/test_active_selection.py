"""Which networks to finetune next, against brute force; learning curves against fits by hand."""

from __future__ import annotations

import numpy as np
import pytest

from donna_hw._core.ranking import kendall_tau
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.predictors.active_selection import PRIOR, select_by_variance, select_d_optimal, select_uniform
from donna_hw.predictors.factory import fit_predictor
from donna_hw.predictors.learning_curves import AccuracyData, learning_curve
from donna_hw.predictors.sklearn_models import fit_sklearn


def sample_qualities(networks: int, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(-1, 1, (networks, 3)))


def sample_networks(networks: int, seed: int = 0, noise: float = 0.2) -> AccuracyData:
    qualities = sample_qualities(networks, seed)
    rng = np.random.default_rng([seed, 1])
    return AccuracyData(qualities, 80 - np.log(qualities) @ np.arange(1, 4) + noise * rng.normal(size=networks))


def determinant(candidates: np.ndarray, *parts: np.ndarray) -> float:
    logs = -np.log(candidates)
    x = np.vstack([(-np.log(part) - logs.mean(axis=0)) / logs.std(axis=0) for part in parts])
    x = np.hstack([np.ones((len(x), 1)), x])
    return float(np.linalg.slogdet(x.T @ x + PRIOR * np.eye(4))[1])


def test_each_d_optimal_network_raises_the_determinant_most() -> None:
    candidates, before = sample_qualities(30), sample_qualities(3, seed=1)
    order = select_d_optimal(candidates, before, 6).tolist()
    for k, selected in enumerate(order):
        finetuned = [before, candidates[order[:k]]]
        determinants = [determinant(candidates, *finetuned, candidates[[i]]) for i in range(30)]
        determinants = [-np.inf if i in order[:k] else value for i, value in enumerate(determinants)]
        assert determinants[selected] == pytest.approx(max(determinants), abs=1e-9)


def test_d_optimal_networks_are_more_informative_than_uniform_ones() -> None:
    candidates, none = sample_qualities(200), sample_qualities(0)
    d_optimal = determinant(candidates, candidates[select_d_optimal(candidates, none, 10)])
    uniform = [
        determinant(candidates, candidates[select_uniform(200, 10, np.random.default_rng(s))]) for s in range(50)
    ]
    assert d_optimal > max(uniform)


def test_the_next_network_lowers_the_variance_most() -> None:
    """Brute force for the linear Bayesian predictor: the posterior after one more observation, in closed form."""
    pool, candidates = sample_networks(20), sample_qualities(15, seed=2)
    predictor = fit_sklearn("bayesian_ridge", *pool)
    covariance, noise = predictor.covariance(candidates)
    after = []
    for i in range(15):
        gain = covariance[:, i] / (covariance[i, i] + noise)
        after.append(np.trace(covariance - np.outer(gain, covariance[i])))
    assert select_by_variance(predictor, candidates, 1).tolist() == [int(np.argmin(after))]
    several = select_by_variance(fit_sklearn("gaussian_process", *pool), candidates, 15)
    assert sorted(several.tolist()) == list(range(15))


def test_more_networks_than_candidates_are_refused() -> None:
    for choose in (
        lambda: select_uniform(3, 4, np.random.default_rng(0)),
        lambda: select_d_optimal(sample_qualities(3), sample_qualities(2), 4),
        lambda: select_by_variance(fit_sklearn("bayesian_ridge", *sample_networks(9)), sample_qualities(3), 4),
    ):
        with pytest.raises(ConfigError, match="at least 4 candidates are needed to select 4 networks; got 3"):
            choose()


def test_a_learning_curve_equals_fits_by_hand() -> None:
    pool, test = sample_networks(12), sample_networks(30, seed=1)
    frame = learning_curve(pool, test, sizes=(5, 12), draws=2, seed=4).set_index(["choice", "networks"])
    assert len(frame) == 6
    predicted = fit_predictor(*pool)(test.qualities)[0]  # all strategies select the whole pool
    for choice in ("uniform", "d_optimal", "variance"):
        line = frame.loc[choice, 12]
        assert line["kendall_tau"] == pytest.approx(kendall_tau(predicted, test.top1_percent), abs=1e-6)
        assert line["mse"] == pytest.approx(np.mean((predicted - test.top1_percent) ** 2), rel=1e-6)
    taus, errors = [], []
    for draw in range(2):
        first = select_uniform(12, 12, np.random.default_rng([4, draw]))[:5]
        prediction = fit_predictor(pool.qualities[first], pool.top1_percent[first])(test.qualities)[0]
        taus.append(kendall_tau(prediction, test.top1_percent))
        errors.append(np.mean((prediction - test.top1_percent) ** 2))
    for choice in ("uniform", "d_optimal", "variance"):  # all start with the same networks
        line = frame.loc[choice, 5]
        assert line["kendall_tau"] == pytest.approx(np.mean(taus), rel=1e-12)
        assert line["mse_error"] == pytest.approx(np.std(errors, ddof=1) / np.sqrt(2), rel=1e-9)


def test_more_networks_help() -> None:
    frame = learning_curve(
        sample_networks(40, noise=1.0), sample_networks(80, seed=1), strategies=("uniform",), sizes=(5, 40), draws=4
    )
    few, many = frame.set_index("networks").loc[5], frame.set_index("networks").loc[40]
    assert many["mse"] < few["mse"]
    assert many["kendall_tau"] > few["kendall_tau"]


@pytest.mark.parametrize("sizes", [(), (4, 10), (5, 13)])
def test_sizes_that_the_pool_lacks_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"sizes must be in 5\.\.12, which is the size of the pool"):
        learning_curve(sample_networks(12), sample_networks(5), sizes=sizes)


def test_an_unknown_strategy_is_reported_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown selection strategy 'best'; expected uniform, d_optimal or variance"
    ):
        learning_curve(sample_networks(12), sample_networks(5), strategies=("best",))
