"""Rows that are composed, and rows that are differences of chains: what may be blank, zero or negative, and where."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from fakes import tiny_space

from donna_hw.errors import TableError
from donna_hw.graph.graph import layers_hash
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.table_info import TableInfo

STAGE = tiny_space().stages[0]
ROW = {"part": "first", "kernel": "1", "activation": "relu", "layers_hash": "a", "median_s": 0.002, "low_s": 0.001}
TIMES = {"high_s": 0.003, "raw_median_s": 0.002, "mean_s": 0.002, "min_s": 0.001}
BLANK = {"raw_median_s": "", "mean_s": "", "min_s": "", "method": "composed"}
MEASURED = {**ROW, **TIMES, "samples": 4, "rounds": 2, "method": "measured"}
COMPOSED = {**MEASURED, **BLANK, "kernel": "3", "samples": 0, "rounds": 0}


def table(path: Path, rows: list[dict[str, object]], *, mode: str = "isolated", column: str = "median_s") -> Path:
    identity = {"device_model": "fake", "mode": mode}
    told = {"device": "fake", "space": "tiny", "quantity": "latency", "unit": "s", "origin": "measured"}
    info = TableInfo(**told, column=column, identity=identity, donna_hw="0", created="")  # type: ignore[arg-type]
    LatencyTable(info, pd.DataFrame(rows), path / "t.csv").write()
    return path / "t.csv"


def test_composed_rows_have_no_samples_and_read_back(tmp_path: Path) -> None:
    path = table(tmp_path, [MEASURED, COMPOSED])
    found = LatencyTable.read(path)
    assert found.frame["raw_median_s"].isna().tolist() == [False, True]
    before = path.read_bytes()
    found.write()
    pd.testing.assert_frame_equal(LatencyTable.read(path).frame, found.frame)
    assert path.read_bytes() == before


@pytest.mark.parametrize("column", ["raw_median_s", "mean_s", "min_s"])
def test_a_measured_row_may_not_be_blank(tmp_path: Path, column: str) -> None:
    with pytest.raises(TableError, match=f"line 3: {column} must be a finite number"):
        LatencyTable.read(table(tmp_path, [COMPOSED, {**MEASURED, column: ""}]))


@pytest.mark.parametrize("column", ["median_s", "low_s", "high_s"])
def test_a_composed_row_has_a_cost_and_an_interval(tmp_path: Path, column: str) -> None:
    with pytest.raises(TableError, match=f"line 2: {column} must be a finite number"):
        LatencyTable.read(table(tmp_path, [{**COMPOSED, column: ""}, MEASURED]))


def test_a_composed_cost_is_not_blank_where_the_cost_is_a_mean(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="line 2: mean_s must be a finite number"):
        LatencyTable.read(table(tmp_path, [COMPOSED, MEASURED], column="mean_s"))


@pytest.mark.parametrize("bad", ["nan", "fast", "inf"])
def test_a_composed_row_is_blank_or_a_number(tmp_path: Path, bad: str) -> None:
    with pytest.raises(TableError, match="line 3: min_s must be a finite number"):
        LatencyTable.read(table(tmp_path, [MEASURED, {**COMPOSED, "min_s": bad}]))


@pytest.mark.parametrize("value", [0.0, -1e-6])
def test_only_in_a_chain_may_a_block_cost_nothing_or_less(tmp_path: Path, value: float) -> None:
    row = {**MEASURED, "median_s": value, "raw_median_s": value, "mean_s": value, "min_s": -1e-3, "low_s": -1e-3}
    found = LatencyTable.read(table(tmp_path, [row], mode="in_context"))
    assert found.frame["median_s"].tolist() == [value]
    space = tiny_space()
    assert found.lookup(space, "first", {"kernel": 1, "activation": "relu"}) == value
    with pytest.raises(TableError, match="line 2: median_s must be a finite number, zero or more"):
        LatencyTable.read(table(tmp_path, [row], mode="isolated"))


@pytest.mark.parametrize(("column", "bad"), [("samples", -1), ("rounds", -1), ("median_s", "nan"), ("low_s", "")])
def test_a_chains_counts_and_times_are_still_numbers(tmp_path: Path, column: str, bad: object) -> None:
    with pytest.raises(TableError, match=f"line 2: {column} must be a finite number"):
        LatencyTable.read(table(tmp_path, [{**MEASURED, column: bad}], mode="in_context"))


def test_the_costs_errors_of_a_composed_row_are_its_intervals_by_the_normal_law(tmp_path: Path) -> None:
    from scipy import stats

    space = tiny_space()
    rows = [{**COMPOSED, **dict(zip(("kernel", "activation"), map(str, STAGE.choice(m).values()), strict=True))}
            | {"part": stage.name, "layers_hash": layers_hash(space.block_graph(stage, m))}
            for stage in space.stages for m in range(stage.size)]  # fmt: skip
    rows += [{**MEASURED, "part": name, "kernel": "", "activation": "", "layers_hash": layers_hash(space.fixed_graph(name))}
             for name in space.fixed]  # fmt: skip
    costs = LatencyTable.read(table(tmp_path, rows)).costs(space)
    assert costs.errors[0] == pytest.approx(0.001 / stats.norm.ppf(0.975))
