"""The accuracy predictor against scikit-learn, brute force and closed forms."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import lsq_linear
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from donna_hw._core.ranking import predict_log_linear
from donna_hw.errors import ConfigError, FileFormatError, InsufficientDataError, UnknownNameError
from donna_hw.predictors.base import ALPHAS
from donna_hw.predictors.factory import fit_predictor
from donna_hw.predictors.linear import predict_leave_one_out
from donna_hw.predictors.serialization import load_predictor

KINDS = ("monotone", "ridge2", "ridge2_monotone")
NSR = st.floats(0, 20)
TOP1 = st.floats(0, 100)


def example(networks: int = 12, stages: int = 3, noise: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    qualities = rng.uniform(0.05, 1.5, (networks, stages))
    return qualities, 80 - np.log(qualities) @ np.arange(1, stages + 1) + noise * rng.normal(size=networks)


def paper(alpha: float) -> Pipeline:
    return make_pipeline(PolynomialFeatures(2, include_bias=False), StandardScaler(), Ridge(alpha))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["monotone", "ridge2_monotone"]),
    arrays(float, (8, 3), elements=NSR),
    arrays(float, 8, elements=TOP1),
    st.data(),
)
def test_a_better_block_never_lowers_the_monotone_prediction(
    kind: str, q: np.ndarray, top1: np.ndarray, data: st.DataObject
) -> None:
    predictor = fit_predictor(q, top1, kind)
    assert (predictor.weights >= 0).all()
    worse = data.draw(arrays(float, (4, 3), elements=NSR))
    better = worse * data.draw(arrays(float, (4, 3), elements=st.floats(0, 1)))
    assert (predictor(better)[0] >= predictor(worse)[0] - 1e-9).all()


def test_noiseless_data_give_back_their_coefficients() -> None:
    qualities, top1 = example(networks=40, noise=0.0)
    predictor = fit_predictor(qualities, top1, "monotone")
    assert predictor.alpha == min(ALPHAS)
    np.testing.assert_allclose(predictor.weights / predictor.scale, [1, 2, 3], rtol=1e-4)
    unseen, expected = example(seed=1, noise=0.0)
    np.testing.assert_allclose(predictor(unseen)[0], expected, atol=1e-3)


def test_a_wrong_sign_in_the_data_gets_no_weight_rather_than_a_negative_one() -> None:
    qualities, _ = example(networks=30)
    predictor = fit_predictor(qualities, 50 - np.log(qualities[:, 0]) + 2 * np.log(qualities[:, 1]), "monotone")
    assert predictor.weights[0] > 0
    assert predictor.weights[1] == 0


def test_the_paper_predictor_is_ridge_on_second_order_features() -> None:
    qualities, top1 = example()
    predictor = fit_predictor(qualities, top1, "ridge2")
    unseen, _ = example(seed=1)
    expected = paper(predictor.alpha).fit(qualities, top1).predict(unseen)
    np.testing.assert_allclose(predictor(unseen)[0], expected, rtol=1e-8)


@pytest.mark.parametrize("alpha", [1e-2, 1.0, 100.0])
def test_left_out_is_a_fit_to_the_others_for_ridge2(alpha: float) -> None:
    qualities, top1 = example()
    expected = [
        paper(alpha).fit(np.delete(qualities, i, 0), np.delete(top1, i)).predict(qualities[[i]])[0]
        for i in range(len(top1))
    ]
    np.testing.assert_allclose(predict_leave_one_out(qualities, top1, "ridge2", alpha), expected, rtol=1e-7)


@pytest.mark.parametrize("alpha", [1e-2, 1.0, 100.0])
def test_left_out_is_a_fit_to_the_others_for_monotone(alpha: float) -> None:
    qualities, top1 = example()
    expected = []
    for i in range(len(top1)):
        x, y = -np.log(np.delete(qualities, i, 0)), np.delete(top1, i)
        scaler = StandardScaler().fit(x)
        stacked = np.vstack([scaler.transform(x), np.sqrt(alpha) * np.eye(3)])
        target = np.concatenate([y - y.mean(), np.zeros(3)])
        weights = lsq_linear(stacked, target, (0, np.inf), method="bvls", tol=1e-14).x
        expected.append(y.mean() + scaler.transform(-np.log(qualities[[i]]))[0] @ weights)
    np.testing.assert_allclose(predict_leave_one_out(qualities, top1, "monotone", alpha), expected, rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_strength_of_the_ridge_has_the_smallest_left_out_error(kind: str) -> None:
    qualities, top1 = example(noise=3.0)
    predictor = fit_predictor(qualities, top1, kind)
    errors = {alpha: np.mean((predict_leave_one_out(qualities, top1, kind, alpha) - top1) ** 2) for alpha in ALPHAS}
    assert errors[predictor.alpha] == min(errors.values())
    assert predictor.noise == pytest.approx(np.sqrt(errors[predictor.alpha]), rel=1e-12)


def test_the_deviation_is_the_noise_in_the_middle_and_grows_outwards() -> None:
    qualities, top1 = example()
    predictor = fit_predictor(qualities, top1, "monotone")
    middle = np.exp(np.log(qualities).mean(axis=0))
    _, stds = predictor(np.stack([middle, 2 * middle, 4 * middle, 8 * middle]))
    assert stds[0] == pytest.approx(predictor.noise, rel=1e-12)
    assert (np.diff(stds) > 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(KINDS))
def test_a_saved_predictor_predicts_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str
) -> None:
    qualities, top1 = example(seed=seed)
    predictor, path = fit_predictor(qualities, top1, kind), tmp_path_factory.mktemp("saved") / "predictor.toml"
    predictor.save(path, {"fitted_to": {"networks": 12}})
    loaded = load_predictor(path)
    unseen, _ = example(seed=seed + 1)
    for saved, original in zip(loaded(unseen), predictor(unseen), strict=True):
        assert saved.tobytes() == original.tobytes()
    assert (loaded.extrapolates(unseen) == predictor.extrapolates(unseen)).all()


@pytest.mark.parametrize("text", ["", "[predictor]\nkind = 'monotone'\n", "[predictor]\nsurprise = 1\n", "[predic"])
def test_a_corrupt_predictor_is_a_bad_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "predictor.toml"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r"predictor\.toml"):
        load_predictor(path)


def test_a_quality_outside_the_fit_is_an_extrapolation() -> None:
    qualities, top1 = example()
    predictor = fit_predictor(qualities, top1, "monotone")
    low, high = qualities.min(axis=0), qualities.max(axis=0)
    rows = np.stack([low, high, (low + high) / 2, low - [0, 1e-9, 0], high + np.array([0, 0, 1e-9])])
    assert predictor.extrapolates(rows).tolist() == [False, False, False, True, True]


@pytest.mark.parametrize("bad", [np.inf, np.nan, -0.1])
@pytest.mark.parametrize("kind", KINDS)
def test_an_invalid_quality_is_refused_by_fit_and_prediction(bad: float, kind: str) -> None:
    qualities, top1 = example()
    predictor = fit_predictor(qualities, top1, kind)
    qualities[3, 1] = bad
    with pytest.raises(ConfigError, match="every block quality must be finite and zero or more"):
        predictor(qualities)
    with pytest.raises(ConfigError, match="every block quality must be finite and zero or more"):
        fit_predictor(qualities, top1, kind)


def test_five_networks_are_enough_and_four_are_not() -> None:
    qualities, top1 = example(networks=5)
    assert np.isfinite(fit_predictor(qualities, top1, "monotone")(qualities)[0]).all()
    with pytest.raises(InsufficientDataError, match=r"at least 5 finetuned networks.*got 4"):
        fit_predictor(qualities[:4], top1[:4], "monotone")


def test_an_unknown_kind_is_reported_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"unknown kind of predictor 'ridge3'; expected .*monotone, ridge, ridge2, ridge2_monotone.*did you mean 'ridge'",
    ):
        fit_predictor(*example(), "ridge3")


def test_the_rival_is_a_line_in_the_logarithm() -> None:
    macs = np.array([1e5, 2e5, 4e5, 9e5])
    np.testing.assert_allclose(predict_log_linear(np.array([3e5]), macs, 7 + 2 * np.log(macs)), 7 + 2 * np.log(3e5))


def test_what_the_blocks_add_is_the_difference_of_accuracies() -> None:
    """Brute force: for the monotone predictor, a network's accuracy is one constant plus what its blocks add."""
    rng = np.random.default_rng(3)
    predictor = fit_predictor(rng.uniform(0.01, 0.5, (20, 3)), rng.uniform(80, 90, 20), "monotone")
    blocks = [rng.uniform(0.01, 0.5, size) for size in (3, 2, 4)]
    scores = predictor.scores(blocks)
    assert scores is not None
    rows = np.array(list(product(range(3), range(2), range(4))))
    accuracy = predictor(np.stack([values[rows[:, i]] for i, values in enumerate(blocks)], axis=1))[0]
    added = sum(values[rows[:, i]] for i, values in enumerate(scores))
    assert np.ptp(accuracy - added) < 1e-9
    broken = predictor.scores([np.array([np.inf, 0.1]), *blocks[1:]])
    assert broken is not None
    assert broken[0][0] == -np.inf
    ridge = fit_predictor(rng.uniform(0.01, 0.5, (20, 3)), rng.uniform(80, 90, 20), "ridge2")
    assert ridge.scores(blocks) is None


def gains(qualities: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The features of the monotone second-order predictor, written out."""
    t = np.log(high / np.minimum(qualities, high))
    a, b, c = t.T
    return np.stack([a, b, c, a * a, a * b, a * c, b * b, b * c, c * c], axis=1)


def test_the_monotone_second_order_predictor_gives_back_noiseless_coefficients() -> None:
    qualities, _ = example(networks=60)
    true = np.array([1, 0, 2, 0.5, 0.25, 0, 0, 0.75, 1])
    predictor = fit_predictor(qualities, 60 + gains(qualities, qualities.max(axis=0)) @ true, "ridge2_monotone")
    np.testing.assert_allclose(predictor.weights / predictor.scale, true, atol=1e-2)


@pytest.mark.parametrize("alpha", [1.0, 100.0])
def test_left_out_is_a_fit_to_the_others_for_ridge2_monotone(alpha: float) -> None:
    """scikit-learn's Ridge with weights of zero or more, on standardized features."""
    qualities, top1 = example()
    expected = []
    for i in range(len(top1)):
        rest = np.delete(qualities, i, 0)
        model = make_pipeline(StandardScaler(), Ridge(alpha, positive=True, tol=1e-14, max_iter=100_000))
        model.fit(gains(rest, rest.max(axis=0)), np.delete(top1, i))
        expected.append(model.predict(gains(qualities[[i]], rest.max(axis=0)))[0])
    np.testing.assert_allclose(predict_leave_one_out(qualities, top1, "ridge2_monotone", alpha), expected, rtol=1e-6)


def test_the_quadratic_of_a_predictor_is_its_prediction_of_every_network() -> None:
    rng = np.random.default_rng(3)
    qualities, top1 = example(networks=30)
    predictor = fit_predictor(qualities, top1, "ridge2_monotone")
    blocks = [rng.uniform(0, 3, size) for size in (3, 2, 4)]
    quadratic = predictor.quadratic(blocks)
    assert quadratic is not None
    rows = np.array(list(product(range(3), range(2), range(4))))
    picked = np.stack([values[rows[:, i]] for i, values in enumerate(blocks)], axis=1)
    np.testing.assert_allclose(quadratic(rows), predictor(picked)[0], rtol=1e-12)
    written_out = [
        quadratic.intercept
        + sum(quadratic.linear[i][row[i]] for i in range(3))
        + sum(
            quadratic.interactions[i, j] * quadratic.t[i][row[i]] * quadratic.t[j][row[j]]
            for i in range(3)
            for j in range(i + 1, 3)
        )
        for row in rows
    ]
    np.testing.assert_allclose(quadratic(rows), written_out, rtol=1e-12)
    broken = predictor.quadratic([np.array([np.inf, 0.1]), *blocks[1:]])
    assert broken is not None
    assert broken.linear[0][0] == -np.inf
    assert predictor.scores(blocks) is None
    assert all(fit_predictor(qualities, top1, kind).quadratic(blocks) is None for kind in ("monotone", "ridge2"))
