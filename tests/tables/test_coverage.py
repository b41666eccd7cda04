"""Whether a table covers its space: every missing row is named, and every row of other layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from donna_hw._core.resources import data_roots
from donna_hw.devices.device import Device
from donna_hw.errors import TableError
from donna_hw.profiling.profiler import profile_space
from donna_hw.spaces import load_space
from donna_hw.tables.coverage import Coverage, block_key
from donna_hw.tables.latency_table import LatencyTable

NAME = "small_8px"
Main = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LatencyTable:
    return profile_space(load_space(NAME), Device.load("params"), tmp_path_factory.mktemp("tables"))


def test_a_whole_table_covers_its_space(table: LatencyTable) -> None:
    assert table.coverage(load_space(NAME)) == Coverage(3 * 24 + 3, (), ())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_exactly_the_rows_that_were_taken_out_or_changed_are_named(table: LatencyTable, data: st.DataObject) -> None:
    count = len(table.frame)
    gone = data.draw(st.sets(st.integers(0, count - 1), max_size=count))
    other = data.draw(st.sets(st.integers(0, count - 1)).map(lambda rows: rows - gone))
    space = load_space(NAME)
    keys = {row: key for key, row in table.rows_by_key(space).items()}
    frame = table.frame.copy()
    frame.loc[list(other), "layers_hash"] = "0" * 16
    found = replace(table, frame=frame.drop(index=list(gone)).reset_index(drop=True)).coverage(space)
    assert set(found.missing) == {keys[row] for row in gone}
    assert {key for key, _, _ in found.changed} == {keys[row] for row in other}
    assert all(measured == "0" * 16 != now for _, measured, now in found.changed)
    assert found.complete == (not gone and not other)
    assert found.total == count


def test_the_command_names_every_missing_row_and_ends_with_1(table: LatencyTable, main: Main, tmp_path: Path) -> None:
    space = load_space(NAME)
    part = table.frame[(table.frame["part"] != "stage2") & (table.frame["part"] != "tail")]
    placed = replace(table, frame=part, path=tmp_path / "part.csv")
    placed.write()
    code, text, _ = main("table", "validate", placed.path)
    assert code == 1
    stage = space.stage("stage2")
    missing = [f"missing: {' '.join(block_key(stage, m))}" for m in range(stage.size)]
    assert text.splitlines()[:-1] == [*missing, "missing: tail"]
    assert "25 are missing and 0 have a row of other layers" in text
    assert f"donna-hw profile {NAME} --device params" in text


def test_the_command_says_so_when_a_table_covers_its_space(main: Main, table: LatencyTable) -> None:
    code, text, _ = main("table", "validate", table.path)
    assert (code, text.count("\n")) == (0, 1)
    assert "all 75 blocks and fixed parts have a row, computed" in text


def test_a_table_of_another_space_is_refused(main: Main, table: LatencyTable) -> None:
    with pytest.raises(TableError, match=r"a table of small_8px, not of small_8px@16px"):
        table.coverage(load_space("small_8px@16px"))
    code, _, error = main("table", "validate", table.path, "--space", "small_28px")
    assert code == 2
    assert "a table of small_8px, not of small_28px" in error


SHIPPED = sorted((data_roots()[-1] / "latency_tables").glob("*/*/*.toml"))


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if "correction" not in path.name], ids=lambda p: "/".join(p.parts[-3:-1])
)
def test_every_shipped_table_covers_its_space(path: Path) -> None:
    table = LatencyTable.read(path.with_suffix(".csv"))
    assert table.coverage(load_space(table.info.space)).complete
