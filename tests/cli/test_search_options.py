"""`donna-hw search` with several quantities, devices and methods; accuracies are made, tables are the shipped ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_search_paper_spaces import made_run

from donna_hw.costs.serialization import load_corrected_cost
from donna_hw.measurement.intervals import Z90
from donna_hw.predictors.serialization import load_predictor
from donna_hw.search.api import SearchRequest, SearchSettings, run_search
from donna_hw.spaces import load_space
from donna_hw.tables.lookup import load_table
from donna_hw.training.block_metrics import gather_qualities
from donna_hw.training.libraries import BlockLibrary

# the shipped tables were measured on a processor that need not be the one of the test
pytestmark = pytest.mark.filterwarnings("ignore:.*was measured on:UserWarning")
Main = Callable[..., tuple[int, str, str]]
NAME = "mobilenetv3_1.0"
SPACE = load_space(NAME)
ENERGY, LATENCY = "energy@tensor_unit", "latency@tensor_unit"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_run(NAME, tmp_path_factory.mktemp("made"))


@pytest.fixture
def found(run: Path, main: Main, tmp_path: Path) -> Callable[..., pd.DataFrame]:
    def search(*more: str, method: str = "nsga2") -> pd.DataFrame:
        out = tmp_path / "front.csv"
        words = ("--accuracy-from", run, "--method", method, "--samples", "300", "--population", "20", "--output", out)
        code, _, error = main("search", NAME, *words, *more)
        assert code == 0, error
        return pd.read_csv(out)

    return search


def sums(frame: pd.DataFrame, table: str) -> np.ndarray:
    """Return the sums of a table's rows for the networks of a front's CSV."""
    costs = load_table(table, Path("none")).costs(SPACE)
    numbers = [[stage.number_of_label(label) for label in frame[stage.name]] for stage in SPACE.stages]
    return costs.fixed + sum(block[picks] for block, picks in zip(costs.blocks, numbers, strict=True))


def corrected_costs(frame: pd.DataFrame, table: str) -> np.ndarray:
    """Return what a table with a correction beside it says of the networks of a front's CSV; that is not the sum of its rows."""
    rows = np.array([[s.number_of_label(label) for label in frame[s.name]] for s in SPACE.stages]).T
    cost = load_corrected_cost(SPACE, load_table(table, Path("none")))
    assert cost is not None
    assert np.abs(cost.mean(rows) / sums(frame, table) - 1).min() > 0.005
    return cost.mean(rows)


def test_two_quantities_of_one_device_have_columns_of_their_own(found: Callable[..., pd.DataFrame]) -> None:
    front = found("--cost", "tensor_unit", "--cost", ENERGY)
    assert {"tensor_unit_s", f"{ENERGY}_j"} <= set(front.columns)
    np.testing.assert_allclose(front["tensor_unit_s"], sums(front, f"tensor_unit/{NAME}"), rtol=1e-5)
    np.testing.assert_allclose(front[f"{ENERGY}_j"], sums(front, f"{ENERGY}/{NAME}"), rtol=1e-5)
    assert len(front) > 10


def test_a_constraint_on_a_cost_that_is_no_objective_holds(found: Callable[..., pd.DataFrame]) -> None:
    free = found("--cost", LATENCY)
    limit = float(np.median(sums(free, f"{ENERGY}/{NAME}")))
    front = found("--cost", LATENCY, "--constraint", f"{ENERGY}<={limit!r}J", "--constraint", "params<=7M")
    assert (sums(front, f"{ENERGY}/{NAME}") <= limit).all()
    assert (sums(front, f"params/{NAME}") <= 7e6).all()
    assert (sums(free, f"{ENERGY}/{NAME}") > limit).any()
    assert f"{ENERGY}_j" not in front.columns


def test_one_search_over_two_devices(found: Callable[..., pd.DataFrame]) -> None:
    worst = found("--cost", "max(tensor_unit,onnxruntime_cpu)")
    ours, theirs = sums(worst, f"tensor_unit/{NAME}"), corrected_costs(worst, f"onnxruntime_cpu/{NAME}")
    np.testing.assert_allclose(worst["max(tensor_unit,onnxruntime_cpu)_s"], np.maximum(ours, theirs), rtol=1e-5)
    text = "0.7*tensor_unit+0.3*onnxruntime_cpu"
    weighted = found("--cost", text)
    ours, theirs = sums(weighted, f"tensor_unit/{NAME}"), corrected_costs(weighted, f"onnxruntime_cpu/{NAME}")
    np.testing.assert_allclose(weighted[f"{text}_s"], 0.7 * ours + 0.3 * theirs, rtol=1e-5)


def test_each_cost_has_a_front_in_a_file_of_its_name(run: Path, main: Main, tmp_path: Path) -> None:
    words = (
        "--accuracy-from",
        run,
        "--samples",
        "100",
        "--population",
        "20",
        "--separate-fronts",
        "--output",
        tmp_path / "front.csv",
    )
    code, _, error = main("search", NAME, "--cost", LATENCY, "--cost", "max(tensor_unit,onnxruntime_cpu)", *words)
    assert code == 0, error
    names = ["front-latency@tensor_unit.csv", "front-max-tensor_unit-onnxruntime_cpu.csv"]
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == names
    one = pd.read_csv(tmp_path / names[0])
    assert [name for name in one.columns if name.endswith("_s")] == [f"{LATENCY}_s", f"{LATENCY}_std_s"]


def test_a_search_by_quantile_compares_that_quantile(run: Path) -> None:
    few = SearchSettings("nsga2", 200, 20, quantile=0.9)
    free = run_search(SearchRequest(NAME, run, ["onnxruntime_cpu"], settings=few))
    limit = float(np.median(free.costs["onnxruntime_cpu_q90"]))
    limits = [f"onnxruntime_cpu<={limit!r}s"]
    front = run_search(SearchRequest(NAME, run, ["onnxruntime_cpu"], limits, settings=few))
    upper, std = front.costs["onnxruntime_cpu_q90"], front.cost_stds["onnxruntime_cpu_q90"]
    assert (std > 0).all()
    assert (upper <= limit).all()
    plain = corrected_costs(front.to_frame(), f"onnxruntime_cpu/{NAME}")
    np.testing.assert_allclose(upper, plain + 1.2815515594 * std, rtol=1e-9)  # the normal distribution's 90 % quantile


def test_a_diverse_front_and_a_random_one_say_so(run: Path, main: Main, found: Callable[..., pd.DataFrame]) -> None:
    front = found("--cost", LATENCY, "--max-overlap", "0.4")
    labels = front[[stage.name for stage in SPACE.stages]].to_numpy()
    equal = (labels[:, None] == labels[None]).mean(axis=2)
    assert (equal[~np.eye(len(front), dtype=bool)] <= 0.4).all()
    words = ("--accuracy-from", run, "--cost", LATENCY, "--samples", "100", "--population", "20")
    assert "no two with more than 40 % of equal blocks" in main("search", NAME, *words, "--max-overlap", "0.4")[1]
    assert "the best of 100 evaluated networks" in main("search", NAME, *words, "--method", "random")[1]


def test_a_front_says_what_it_predicts_and_what_lies_within_its_noise(run: Path) -> None:
    front = run_search(SearchRequest(NAME, run, [LATENCY], settings=SearchSettings("random", 200)))
    rows = gather_qualities(BlockLibrary(run / "block_library", SPACE).qualities(), front.rows)
    accuracy, std = load_predictor(run / "predictor.toml")(rows)
    np.testing.assert_array_equal(front.accuracy, accuracy)
    # the simulator's latencies have no error: only a cheaper network of nearly the same accuracy may be better
    order = np.arange(len(front))
    expected = [bool((accuracy[i] - accuracy[:i] <= Z90 * np.hypot(std[i], std[:i])).any()) for i in order]
    assert front.within_noise.tolist() == expected
    assert front.to_frame()["within_noise"].tolist() == expected
