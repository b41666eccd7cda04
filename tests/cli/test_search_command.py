"""`donna-hw search` with a finished run: any costs, limits, tables of other chips."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from paths import ROOT
from tiny_run import Main, TinyRun

from donna_hw.predictors.multi_metric import JointPredictor
from donna_hw.predictors.serialization import load_predictor
from donna_hw.search.api import SearchRequest, SearchSettings, run_search
from donna_hw.training.block_metrics import JOINT_METRICS

FEW = SearchSettings("nsga2", samples=40, population=20)
TABLE = "latency_tables/onnxruntime_cpu/small_8px/isolated-b1-float32-t1.toml"


def found(main: Main, run: TinyRun, *more: str, out: Path) -> pd.DataFrame:
    words = [
        "search",
        "small_8px",
        "--accuracy-from",
        str(run.folder),
        *more,
        "--method",
        "nsga2",
        "--samples",
        "100",
        "--population",
        "20",
    ]
    code, _, error = main(*words, "--output", str(out))
    assert code == 0, error
    return pd.read_csv(StringIO(out.read_text()))


def predict_that_every_block_counts(run: TinyRun) -> None:
    """Replace the predictor: fitted to a handful of networks trained for a moment, it may find that no block matters."""
    path = run.folder / "predictor.toml"
    fitted = load_predictor(path)
    assert isinstance(fitted, JointPredictor)
    weights = np.zeros_like(fitted.weights)
    weights[:, 0] = 1  # of KL
    replace(fitted, weights=weights).save(path, {"fitted_to": {"quality": JOINT_METRICS}})


def test_two_costs_and_a_limit_give_a_front_within_it(broken: TinyRun, main: Main, tmp_path: Path) -> None:
    predict_that_every_block_counts(broken)
    costs = ["--cost", "onnxruntime_cpu", "--cost", "macs"]
    free = found(main, broken, *costs, out=tmp_path / "free.csv")
    limit = float(free["macs_mac"].median())
    front = found(main, broken, *costs, "--constraint", f"macs<={limit / 1e3!r}kMAC", out=tmp_path / "limited.csv")
    assert {"onnxruntime_cpu_s", "onnxruntime_cpu_std_s", "macs_mac"} <= set(front.columns)
    assert (front["macs_mac"] <= limit * (1 + 1e-6)).all()
    assert (free["macs_mac"] > limit).any()
    points = front[["onnxruntime_cpu_s", "macs_mac"]].assign(worse=-front["predicted_top1_percent"]).to_numpy()
    for i, point in enumerate(points):
        assert not (np.delete(points, i, 0) < point).all(axis=1).any()


def test_the_costs_of_the_front_are_the_tables_sums(tiny_run: TinyRun, main: Main, tmp_path: Path) -> None:
    front = found(main, tiny_run, "--cost", "macs", out=tmp_path / "front.csv")
    path = next((tiny_run.folder / "latency_tables" / "macs" / "small_8px").glob("isolated-b1-float32.csv"))
    table = pd.read_csv(StringIO(path.read_text()), dtype=str, keep_default_na=False)
    column = table.columns[-1]
    label = "k" + table["kernel"] + "-e" + table["expand"] + "-d" + table["depth"] + "-" + table["style"]
    cost = dict(zip(zip(table["part"], label, strict=True), table[column].astype(float), strict=True))
    fixed = table.loc[~table["part"].str.startswith("stage"), column].astype(float).sum()
    for row in front.to_dict("records"):
        expected = fixed + sum(cost[stage, row[stage]] for stage in ("stage1", "stage2", "stage3"))
        assert row["macs_mac"] == pytest.approx(expected, rel=1e-5)


def test_a_seed_gives_the_same_file(tiny_run: TinyRun, main: Main, tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        found(main, tiny_run, "--cost", "macs", "--seed", "7", out=tmp_path / name)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_a_folder_of_tables_comes_before_the_runs_own(broken: TinyRun, tmp_path: Path) -> None:
    place = tmp_path / "tables" / "macs" / "small_8px"
    place.mkdir(parents=True)
    for path in (broken.folder / "latency_tables" / "macs" / "small_8px").glob("isolated-b1-float32.*"):
        place.joinpath(path.name).write_bytes(path.read_bytes())
    table = place / "isolated-b1-float32.csv"
    frame = pd.read_csv(StringIO(table.read_text()), dtype=str, keep_default_na=False)
    frame[frame.columns[-1]] = (2 * frame[frame.columns[-1]].astype(float)).astype(str)
    table.write_text(frame.to_csv(index=False))
    own = run_search(SearchRequest("small_8px", broken.folder, ["macs"], settings=FEW))
    doubled = run_search(SearchRequest("small_8px", broken.folder, ["macs"], tables=tmp_path / "tables", settings=FEW))
    np.testing.assert_allclose(doubled.costs["macs"], 2 * own.costs["macs"])


def test_a_table_of_another_chip_is_used_with_a_warning_that_names_both(broken: TinyRun) -> None:
    import tomllib

    path = broken.folder / TABLE
    here = tomllib.loads(path.read_text())["identity"]["device_model"]
    path.write_text(path.read_text().replace(here, "Abacus 3000"))
    with pytest.warns(UserWarning, match="Abacus 3000") as caught:
        front = run_search(SearchRequest("small_8px", broken.folder, ["onnxruntime_cpu"], settings=FEW))
    assert len(front) > 0
    assert len(caught) == 1
    assert here in str(caught[0].message)


def test_a_table_of_this_chip_and_a_count_warn_of_nothing(tiny_run: TinyRun) -> None:
    # Warnings are errors here.
    assert len(run_search(SearchRequest("small_8px", tiny_run.folder, ["onnxruntime_cpu", "macs"], settings=FEW))) > 0


def test_a_named_variant_is_chosen_where_there_are_several(broken: TinyRun, main: Main) -> None:
    folder = (broken.folder / TABLE).parent
    for path in folder.glob("isolated-b1-float32-t1.*"):
        path.with_name(path.name.replace("-t1", "-t2")).write_bytes(path.read_bytes())
    words = [
        "search",
        "small_8px",
        "--accuracy-from",
        broken.folder,
        "--method",
        "nsga2",
        "--samples",
        "40",
        "--population",
        "20",
    ]
    code, _, error = main(*words, "--cost", "onnxruntime_cpu")
    assert code == 2
    assert "several tables in" in error
    assert "name one; got 'onnxruntime_cpu'; expected " in error
    assert "onnxruntime_cpu/isolated-b1-float32-t2" in error
    assert main(*words, "--cost", "onnxruntime_cpu/isolated-b1-float32-t2")[0] == 0


def test_a_front_by_counts_is_verified_by_counting_whole_networks(broken: TinyRun, main: Main, tmp_path: Path) -> None:
    predict_that_every_block_counts(broken)
    words = ["search", "small_8px", "--accuracy-from", broken.folder, "--samples", "60", "--population", "20"]
    code, said, error = main(*words, "--cost", "macs", "--verify-networks", "4", "--output", tmp_path / "front.csv")
    assert code == 0, error
    assert "the front is stable after 1 rounds, with 4 networks measured whole" in said
    place = broken.folder / "latency_tables" / "macs" / "small_8px"
    rounds = pd.read_csv(StringIO((place / "isolated-b1-float32.verification.csv").read_text()))
    assert rounds[["new_networks", "mape_percent", "coverage", "is_stable"]].to_numpy().tolist() == [[4, 0, 1, True]]
    assert (place / "isolated-b1-float32.correction.toml").exists()
    assert len(pd.read_csv(tmp_path / "front.csv")) > 0


def test_a_search_may_measure_every_network_that_it_looks_at(broken: TinyRun, main: Main, tmp_path: Path) -> None:
    fronts = [
        found(
            main, broken, "--cost", cost, "--tables", str(tmp_path / "own"), "--seed", "2", out=tmp_path / "front.csv"
        )
        for cost in ("measured@macs", "macs")
    ]
    assert fronts[0].iloc[:, :5].equals(fronts[1].iloc[:, :5]), "counts add up, so that both see the same networks"
    assert fronts[0]["measured@macs_mac"].tolist() == fronts[1]["macs_mac"].tolist()


def test_what_cannot_be_verified_is_one_line(broken: TinyRun, main: Main, tmp_path: Path) -> None:
    words = ["search", "small_8px", "--accuracy-from", broken.folder, "--samples", "60", "--population", "20"]
    code, _, error = main(*words, "--cost", "measured@macs", "--verify-networks", "4", "--tables", tmp_path / "own")
    assert (code, "needs no verification" in error, error.count("\n")) == (2, True, 1)
    code, _, error = main(*words, "--cost", "macs", "--verify-networks", "3")
    assert code == 2
    shipped = ROOT / "latency_tables"
    code, _, error = main(*words, "--cost", "tensor_unit", "--verify-networks", "4")
    assert (code, "cannot be listed next to a shipped table" in error, "--tables" in error) == (2, True, True)
    code, _, error = main(*words, "--cost", "measured@tensor_unit", "--tables", shipped)
    assert (code, "cannot measure in the folder of shipped tables" in error, "--tables" in error) == (2, True, True)


def test_a_shipped_table_is_verified_in_a_folder_of_its_own(broken: TinyRun, main: Main, tmp_path: Path) -> None:
    shipped = ROOT / "latency_tables" / "tensor_unit" / "small_8px"
    before = {path: path.read_bytes() for path in shipped.iterdir()}
    predict_that_every_block_counts(broken)
    words = ["search", "small_8px", "--accuracy-from", broken.folder, "--samples", "60", "--population", "20"]
    code, said, error = main(*words, "--cost", "tensor_unit", "--verify-networks", "4", "--tables", tmp_path / "own")
    assert code == 0, error
    assert "front" in said
    assert list((tmp_path / "own" / "tensor_unit" / "small_8px").glob("*.correction.toml"))
    assert {path: path.read_bytes() for path in shipped.iterdir()} == before
