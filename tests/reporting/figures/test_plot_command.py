"""`donna-hw plot` on a made run: what is drawn is the run's, and what is missing is one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from donna_hw.pipeline.run import open_run
from donna_hw.pipeline.steps.verify import evaluate_predictor
from donna_hw.reporting.figures.run_data import load_finetuning_curves, load_predictor_groups
from donna_hw.reporting.figures.search_data import (
    build_pareto_data,
    build_random_search_data,
    build_search_problem,
    load_or_search_front,
)
from donna_hw.search.random_search import sample_near_cost
from donna_hw.training.block_metrics import gather_qualities
from donna_hw.training.reference import read_reference_top1

Main = Callable[..., tuple[int, str, str]]
Made = tuple[Path, Path]


@pytest.fixture
def broken(made: Made, tmp_path: Path) -> Made:
    """Return a copy of the made run that a test may change."""
    shutil.copytree(made[1], tmp_path / "run")
    return made[0], tmp_path / "run"


def test_all_figures_that_a_run_has_data_for_are_drawn_the_same_each_time(
    made: Made, main: Main, tmp_path: Path
) -> None:
    recipe, folder = made
    files = []
    for place in ("a", "b"):
        code, out, error = main("plot", "paper", recipe, "--out", folder, "--output-dir", tmp_path / place)
        assert code == 0, error
        left_out = [line for line in out.splitlines() if line.startswith("left out")]
        assert left_out == [line for line in left_out if line.startswith("left out: detection: ")]
        assert "detectors.csv: no such file" in left_out[0]
        files.append({path.name: path.read_bytes() for path in (tmp_path / place).iterdir()})
    names = ("pareto", "finetuning", "predictor", "random-search", "architectures")
    assert sorted(files[0]) == sorted(f"{name}.{kind}" for name in names for kind in ("png", "svg"))
    assert files[0] == files[1]


def test_one_figure_at_another_cost_has_a_name_of_its_own(made: Made, main: Main, tmp_path: Path) -> None:
    recipe, folder = made
    code, _, error = main(
        "plot", "paper", recipe, "--out", folder, "--output-dir", tmp_path, "--pareto", "--cost", "params"
    )
    assert code == 0, error
    assert sorted(path.name for path in tmp_path.glob("pareto*")) == ["pareto-params.png", "pareto-params.svg"]
    assert "parameters [k]" in (tmp_path / "pareto-params.svg").read_text()


def test_detectors_are_drawn_where_the_run_has_them(broken: Made, main: Main) -> None:
    recipe, folder = broken
    (folder / "detectors.csv").write_text(
        "network,role,seed,start,top1_percent,map_percent,more\na,front,0,scratch,80,30,x\n"
    )
    code, _, error = main("plot", "paper", recipe, "--out", folder, "--detection")
    assert code == 0, error
    assert (folder / "figures" / "detection.svg").exists()


def test_what_lacks_is_one_line_with_its_cure(broken: Made, main: Main, tmp_path: Path) -> None:
    recipe, folder = broken
    (folder / "predictor.toml").unlink()
    (folder / "front.csv").unlink()
    for more, says in (
        (["--pareto"], "donna-hw fit RECIPE writes it"),
        (["--random-search"], "predictor.toml: no such file; donna-hw fit RECIPE writes it"),
        (["--predictor"], "predictor.toml: no such file; donna-hw fit RECIPE writes it"),
        (["--architectures"], "front.csv: no such file"),
        (["--architectures", "--networks", "0"], "must be at least 1"),
        (["--architectures", "--networks", "nowhere.csv"], "nowhere.csv"),
        (["--detection"], "detectors.csv: no such file"),
    ):
        code, _, error = main("plot", "paper", recipe, "--out", folder, *more)
        assert code == 2
        assert says in error
        assert error.count("\n") == 1
    code, out, _ = main("plot", "paper", recipe, "--out", folder)
    assert code == 0, "finetuning is drawn"
    assert out.count("left out: ") == 5


def test_a_torn_file_is_one_line_that_names_it(broken: Made, main: Main) -> None:
    recipe, folder = broken
    for name, text, flag, says in (
        ("detectors.csv", 'network,"', "--detection", "detectors.csv: not a valid CSV file"),
        ("detectors.csv", "network,role\n", "--detection", "detectors.csv: no column 'seed'"),
        ("verified.csv", "role\nfront\n", "--pareto", "verified.csv: no column 'network'"),
        (
            "verified.csv",
            "role,network,top1_percent,measured_s\nfront,a/b,1,1\n",
            "--pareto",
            "verified.csv: a network of",
        ),
        (
            "verified.csv",
            "role,network,top1_percent,measured_s\nfront,a/b/c,1,1\n",
            "--pareto",
            "verified.csv: stage1: unknown label 'a'",
        ),
        ("front.csv", "stage1,stage2\n", "--random-search", "front.csv has no column stage3"),
        ("front.csv", "", "--architectures", "front.csv"),
    ):
        (folder / name).write_text(text)
        code, _, error = main("plot", "paper", recipe, "--out", folder, flag)
        assert code == 2, error
        assert says in error
        assert error.count("\n") == 1


def test_a_folder_without_any_data_is_an_error(made: Made, main: Main, tmp_path: Path) -> None:
    code, out, error = main("plot", "paper", made[0], "--out", tmp_path / "empty")
    assert code == 2
    assert out.count("left out: ") == 6
    assert "donna-hw run RECIPE" in error


def test_a_cost_that_nobody_measured_names_the_known_ones(made: Made, main: Main) -> None:
    code, _, error = main("plot", "paper", made[0], "--out", made[1], "--pareto", "--cost", "v100")
    assert code == 2
    assert "macs" in error


def test_networks_are_drawn_from_any_front(made: Made, main: Main, tmp_path: Path) -> None:
    front = made[1] / "front.csv"
    code, _, error = main("plot", "networks", "small_8px", front, "--networks", 2, "--output", tmp_path / "nets")
    assert code == 0, error
    text = (tmp_path / "nets.svg").read_text()
    assert "(b)" in text
    assert "(c)" not in text
    assert "kMACs" in text
    code, _, error = main("plot", "networks", "donna", front, "--output", tmp_path / "nets")
    assert (code, error.count("\n")) == (2, 1)
    code, _, error = main(
        "plot", "paper", made[0], "--out", made[1], "--output-dir", tmp_path, "--architectures", "--networks", front
    )
    assert code == 0, error
    assert (tmp_path / "architectures.svg").read_text().count("% predicted") == len(pd.read_csv(front))


def test_boxes_of_random_search_hold_all_networks_within_the_tolerance_and_no_other(made: Made) -> None:
    recipe, folder = made
    with open_run(str(recipe), folder) as run:
        found = build_random_search_data(run, tolerance=0.03)
        aim = build_search_problem(run, None)
        model, front = aim.costs[0], load_or_search_front(run, aim)
        (every,) = sample_near_cost(aim, model, np.array([1.0]), seed=1, tolerance=np.inf, draws=1000)
        costs, percent = model.mean(every), aim.predictor(gather_qualities(aim.qualities, every))[0]
        assert (found.samples, len(found.levels)) == (1000, 3)
        for level in found.levels:
            within = np.abs(costs / level.cost - 1) <= 0.03
            assert within.sum() >= 5
            np.testing.assert_allclose(np.sort(level.random_percent), np.sort(percent[within]))
            near = np.abs(front.costs["macs"] / level.cost - 1) <= 0.03
            assert level.front_percent == front.accuracy[near].max()


def test_the_predictors_groups_are_those_that_its_page_judges(made: Made) -> None:
    recipe, folder = made
    with open_run(str(recipe), folder) as run:
        left_out, test = load_predictor_groups(run)
        frame = evaluate_predictor(run)
    for one, role in ((left_out, "library"), (test, "test")):
        lines = frame[frame["role"] == role]
        np.testing.assert_allclose(one.predicted_percent, lines["predicted_percent"])
        np.testing.assert_allclose(one.measured_percent, lines["top1_percent"])


def test_finetuning_is_drawn_of_networks_that_were_trained_both_ways(made: Made) -> None:
    recipe, folder = made
    with open_run(str(recipe), folder) as run:
        curves, reference = load_finetuning_curves(run)
    assert reference == read_reference_top1(folder / "reference") == 98.0
    assert {one.network for one in curves if one.scratch} == {one.network for one in curves if not one.scratch}
    assert len(curves) == 4
    assert {len(one.percent) for one in curves} == {8}


def test_the_clouds_are_the_cost_models_and_the_front_is_one(made: Made) -> None:
    recipe, folder = made
    with open_run(str(recipe), folder) as run:
        found, anew = build_pareto_data(run), build_pareto_data(run, "params")
        kept = pd.read_csv(folder / "front.csv")
    assert (found.cost, found.unit, anew.cost, anew.unit) == ("macs", "MAC", "params", "parameter")
    np.testing.assert_allclose(found.front["cost"], kept["macs_mac"], rtol=1e-4)
    np.testing.assert_allclose(found.front["percent"], kept["predicted_top1_percent"], atol=1e-3)
    for one in (found, anew):
        front = one.front.sort_values("cost")
        assert (np.diff(front["percent"]) > 0).all()
        best = np.interp(one.random["cost"], front["cost"], front["percent"])
        assert len(one.random) == 2000
        if one is anew:  # an exact search: no random network is above the stairs
            stairs = front["percent"].to_numpy()[np.searchsorted(front["cost"], one.random["cost"], side="right") - 1]
            assert (one.random["percent"] <= stairs + 1e-9).all()
        assert np.isfinite(best).all()
        assert not len(one.baselines), "published accuracies are of ImageNet"
    np.testing.assert_allclose(found.verified["cost"], found.verified["predicted_cost"])
