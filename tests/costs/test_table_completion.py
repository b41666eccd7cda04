"""Tables completed from others: what was measured stays, what was not is foretold and says so, and is measured afterwards."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fakes import QUICK, FakeBackend, FakeMachine, fake_device

from donna_hw.cli import cli
from donna_hw.costs.features import FEATURES
from donna_hw.costs.gaussian_process import feature_matrix
from donna_hw.costs.table_completion import complete_table
from donna_hw.errors import ConfigError, InsufficientDataError, TableError
from donna_hw.graph.graph import layers_hash
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.table_setup import select_sentinel
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.spaces import Axis, Space, Stage, load_space
from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import load_table
from donna_hw.tables.parts import list_parts
from donna_hw.tables.table_info import TableInfo


def deep_space(name: str, kernels: tuple[int, ...], expands: tuple[int, ...]) -> Space:
    axes = (Axis("kernel", kernels), Axis("expand", expands), Axis("depth", (1, 2, 3)))
    return Space(
        name=name,
        title="",
        input_shape=(3, 16, 16),
        before=(("stem", ConvNormAct(8)),),
        stages=(Stage("only", axes, partial(InvertedResidual, channels=8)),),
        after=(("head", Classifier(2)),),
    )


SMALL, LARGE = deep_space("small", (1, 3), (2, 4)), deep_space("large", (1, 3, 5), (2, 3, 4, 6))


def nanoseconds(space: Space) -> dict[str, int]:
    """A machine that takes 50 ps a multiply-accumulate, 1 ns a byte and 30 us a layer."""
    rates = [
        0.05 if "macs" in name else 1.0 if "bytes" in name else 3e4 * name.endswith("_layers") for name in FEATURES
    ]
    parts = {part.layers_hash: part.graph for part in list_parts(space)}
    costs = feature_matrix(list(parts.values())) @ [*rates, 5e3]
    return {key: round(cost) for key, cost in zip(parts, costs, strict=True)}


def profiled(space: Space, root: Path) -> tuple[FakeMachine, LatencyTable]:
    machine = FakeMachine(nanoseconds(space), layers_hash(select_sentinel(list_parts(space))))
    return machine, profile_space(
        space, fake_device(FakeBackend(machine)), root, QUICK, workers=create_in_process_workers
    )


def test_a_table_of_a_larger_space_is_foretold_and_says_so(tmp_path: Path) -> None:
    _, small = profiled(SMALL, tmp_path / "a")
    done = complete_table([small], LARGE, tmp_path / "b", [SMALL])
    true, rows = nanoseconds(LARGE), done.table.frame.to_dict("records")
    shared = {part.layers_hash for part in list_parts(SMALL)} & true.keys()
    assert (done.reused_count, done.predicted_count) == (len(shared), len(true) - len(shared))
    for row in rows:
        assert row["method"] == ("measured" if row["layers_hash"] in shared else "learned")
        assert (row["verdict"] == "learned") == (row["method"] == "learned")
        assert row["median_s"] == pytest.approx(true[row["layers_hash"]] / 1e9, rel=1e-3)
        assert row["low_s"] <= row["median_s"] <= row["high_s"]
    learned = done.table.frame[done.table.frame["method"] == "learned"]
    assert (learned[["samples", "rounds"]] == 0).all(axis=None)
    assert learned["raw_median_s"].isna().all()
    assert done.table.info.conditions["learned_from"] == len(small.frame)
    assert done.table.coverage(LARGE).complete
    assert (done.table.costs(LARGE).errors[0] > 0).any()
    before = done.table.path.read_bytes()
    LatencyTable.read(done.table.path).write()
    assert done.table.path.read_bytes() == before


def test_profiling_afterwards_measures_what_was_learned(tmp_path: Path) -> None:
    _, small = profiled(SMALL, tmp_path / "a")
    done = complete_table([small], LARGE, tmp_path / "b", [SMALL])
    machine, table = profiled(LARGE, tmp_path / "b")
    assert table.path == done.table.path
    assert set(machine.visits) == nanoseconds(LARGE).keys()
    assert set(table.frame["method"]) == {"measured"}
    assert not [key for key in table.info.conditions if key.startswith("learned")]


def test_a_table_that_is_there_is_completed_in_place_and_what_it_measured_stays(tmp_path: Path) -> None:
    _, whole = profiled(LARGE, tmp_path)
    kept = whole.frame.iloc[::2]
    LatencyTable(whole.info, kept, whole.path).write()
    partial_table = LatencyTable.read(whole.path)
    done = complete_table([partial_table], LARGE, tmp_path, [LARGE])
    again = complete_table([done.table], LARGE, tmp_path, [LARGE])
    assert again.table.frame.equals(done.table.frame)
    frame = again.table.frame.set_index(["part", "kernel", "expand", "depth"])
    old = partial_table.frame.set_index(["part", "kernel", "expand", "depth"])
    assert (frame.loc[old.index, "median_s"] == old["median_s"]).all()
    assert again.predicted_count == len(whole.frame) - len(kept)
    assert again.table.info.sentinel_reference_s == whole.info.sentinel_reference_s
    machine, full = profiled(LARGE, tmp_path)  # its samples are beside it: nothing is left to measure
    assert machine.visits == []
    assert full.frame.equals(whole.frame)


def test_a_table_that_holds_every_block_needs_no_model(tmp_path: Path) -> None:
    _, large = profiled(LARGE, tmp_path / "a")
    done = complete_table([large], SMALL, tmp_path / "b", [LARGE])
    assert (done.model, done.predicted_count, done.suggestions) == (None, 0, ())
    assert set(done.table.frame["method"]) == {"measured"}


def test_tables_of_different_machines_are_not_joined(tmp_path: Path) -> None:
    _, small = profiled(SMALL, tmp_path / "a")
    other = small.info.model_copy(update={"identity": small.info.identity | {"device_model": "another"}})
    other_table = LatencyTable(other, small.frame, tmp_path / "other.csv")
    with pytest.raises(TableError, match=r"device_model = .* different environments do not mix.*leave out"):
        complete_table([small, other_table], LARGE, tmp_path / "b", [SMALL])


def test_what_cannot_be_learned_is_said(tmp_path: Path) -> None:
    _, small = profiled(SMALL, tmp_path / "a")
    few = LatencyTable(small.info, small.frame.iloc[:5], small.path)
    with pytest.raises(InsufficientDataError, match="needs 8 measured blocks"):
        complete_table([few], LARGE, tmp_path / "b", [SMALL])
    with pytest.raises(ConfigError, match="donna-hw count; found 'macs in MAC'"):
        complete_table([load_table("macs/small_8px", tmp_path)], load_space("small_28px"), tmp_path / "b")
    assert not list((tmp_path / "b").rglob("*.csv"))


def test_the_command_reads_and_counts_its_own_rows(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        found = CliRunner().invoke(cli, ["table", *words], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return found.output

    text = run("complete", "onnxruntime_cpu/mobilenetv3_1.0", "--space", "proxylessnas_1.3", "--out", str(tmp_path))
    (path,) = tmp_path.rglob("*.csv")
    frame = LatencyTable.read(path).frame
    learned = int((frame["method"] == "learned").sum())
    assert f"{frame['layers_hash'][frame['method'] == 'learned'].nunique()} are learned" in text
    assert "halve the mean deviation" in text
    shown = run("show", str(path))
    assert f"learned, {learned} of {len(frame)} rows" in shown
    assert f"{learned} of its rows are learned" in run("check", str(path))


def test_a_simulated_tables_rows_get_intervals(tmp_path: Path) -> None:
    given = load_table("tensor_unit/mobilenetv3_1.0", tmp_path)
    space = load_space("mobilenetv3_1.0@192px")
    done = complete_table([given], space, tmp_path)
    assert isinstance(done.table.info, TableInfo)
    assert done.table.info.origin == "simulated"
    taken = done.table.frame[done.table.frame["method"] == "simulated"]
    assert (taken["low_s"] == taken["high_s"]).all()
    assert len(taken) + (done.table.frame["method"] == "learned").sum() == len(done.table.frame)
    assert np.isfinite(done.table.costs(space).errors[0]).all()
