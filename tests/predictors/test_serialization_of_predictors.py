"""Predictors of every kind in files: the same after reading, nothing of scikit-learn but its training set, corrupt files refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import tomli_w

from donna_hw.errors import FileFormatError
from donna_hw.pipeline.recipe_schema import LibraryConfig
from donna_hw.predictors.factory import KINDS, fit_predictor
from donna_hw.predictors.serialization import load_predictor, read_metric, read_roles


def example(seed: int = 0, networks: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    qualities = rng.uniform(0.05, 1.5, (networks, 3))
    return qualities, 80 - np.log(qualities) @ np.arange(1, 4) + rng.normal(size=networks)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_predictor_predicts_the_same(kind: str, tmp_path: Path) -> None:
    predictor, path, unseen = fit_predictor(*example(), kind, 90.0), tmp_path / "predictor.toml", example(1)[0]
    predictor.save(path, {"fitted_to": {"networks": 12, "quality": "l1", "roles": {"library": 10, "front": 2}}})
    loaded = load_predictor(path)
    assert (loaded.kind, loaded.noise) == (kind, predictor.noise)
    for saved, original in zip(loaded(unseen), predictor(unseen), strict=True):
        assert saved.tobytes() == original.tobytes()
    assert (loaded.extrapolates(unseen) == predictor.extrapolates(unseen)).all()
    np.testing.assert_array_equal(loaded.predict_leave_one_out(*example()), predictor.predict_leave_one_out(*example()))
    assert read_metric(path) == "l1"
    assert read_roles(path) == ("library", "front")


def test_a_recipe_knows_every_kind() -> None:
    assert get_args(LibraryConfig.model_fields["predictor"].annotation) == KINDS


def test_a_file_that_does_not_state_it_was_fitted_to_the_nsr_of_the_library(tmp_path: Path) -> None:
    path = tmp_path / "predictor.toml"
    fit_predictor(*example()).save(path, {})
    assert (read_metric(path), read_roles(path)) == ("nsr", ("library",))


@pytest.mark.parametrize("fitted", [{"quality": "psnr"}, {"quality": 3}, {"quality": ["nsr"]}])
def test_an_unknown_metric_is_refused(tmp_path: Path, fitted: dict[str, object]) -> None:
    path = tmp_path / "predictor.toml"
    fit_predictor(*example()).save(path, {"fitted_to": fitted})
    with pytest.raises(
        FileFormatError,
        match=r"predictor\.toml: fitted_to\.quality must be a metric, or several joined by \+; got .*expected nsr",
    ):
        read_metric(path)


@pytest.mark.parametrize("kind", ["monotone", "saturating", "ridge", "gaussian_process"])
@pytest.mark.parametrize("change", ["missing", "surplus", "nan", "text", "unknown kind"])
def test_a_broken_predictor_is_a_bad_file(kind: str, change: str, tmp_path: Path) -> None:
    path = tmp_path / "predictor.toml"
    fit_predictor(*example(), kind).save(path, {})
    content = tomllib.loads(path.read_text())
    saved = content["predictor"]
    if change == "missing":
        del saved["noise"]
    saved |= {"surplus": {"more": 1.0}, "nan": {"noise": float("nan")}, "text": {"noise": [["a"], 1]}}.get(change, {})
    saved |= {"kind": "ridge3"} if change == "unknown kind" else {}
    path.write_text(tomli_w.dumps(content))
    with pytest.raises(FileFormatError, match=r"predictor\.toml: not a predictor \(.*\); run donna-hw fit RECIPE"):
        load_predictor(path)


def test_a_refitted_predictor_that_differs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictor.toml"
    fit_predictor(*example(), "ridge").save(path, {})
    content = tomllib.loads(path.read_text())
    content["predictor"]["top1_percent"][0] += 0.5
    path.write_text(tomli_w.dumps(content))
    with pytest.raises(
        FileFormatError, match=r"ridge, fitted again, predicts accuracies that differ by up to .* % from the saved ones"
    ):
        load_predictor(path)


@pytest.mark.parametrize("qualities", [[1.0, 2.0], [[-1.0, 2.0, 3.0]] * 12, [[1.0, 2.0]] * 3])
def test_an_invalid_training_set_is_refused(tmp_path: Path, qualities: list[object]) -> None:
    path = tmp_path / "predictor.toml"
    fit_predictor(*example(), "lasso").save(path, {})
    content = tomllib.loads(path.read_text())
    content["predictor"]["qualities"] = qualities
    path.write_text(tomli_w.dumps(content))
    with pytest.raises(FileFormatError, match=r"predictor\.toml: not a predictor \("):
        load_predictor(path)
