"""`donna-hw table fit` and `table calibrate`: whole networks from a file, counted, or measured on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from donna_hw.costs.serialization import load_corrected_cost
from donna_hw.costs.table_sum import TableCost
from donna_hw.spaces import load_space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import load_table
from donna_hw.tables.network_measurements import MeasuredNetworks

Main = Callable[..., tuple[int, str, str]]
SPACE = load_space("small_8px")
MACS = load_table("macs/small_8px", Path("none"))


def counted(rows: np.ndarray) -> np.ndarray:
    return TableCost.of(SPACE, MACS).mean(rows)


def networks(folder: Path, count: int, device: str = "made") -> Path:
    """Write measured networks of a made device: 2 ns a MAC and 50 us a network, and 1 % of noise."""
    rows, rng = SPACE.random_rows(count, 0), np.random.default_rng(0)
    seconds = (2e-9 * counted(rows) + 5e-5) * np.exp(0.01 * rng.standard_normal(count))
    path = folder / "lab.networks.csv"
    MeasuredNetworks(SPACE, device, rows, seconds, {"source": "a test", "batch": 1}).write(path)
    return path


def judged(table: LatencyTable) -> float:
    """Return the mean absolute relative error of a table on networks of the made device without noise."""
    rows = SPACE.random_rows(500, 1)
    return float(np.abs(TableCost.of(SPACE, table).mean(rows) / (2e-9 * counted(rows) + 5e-5) - 1).mean())


def test_networks_alone_give_a_table_of_their_device(tmp_path: Path, main: Main) -> None:
    path = networks(tmp_path, 60)
    code, text, error = main("table", "fit", path, "--tables", tmp_path / "tables")
    assert code == 0, error
    assert "fitted to 60 whole networks" in text
    table = LatencyTable.read(tmp_path / "tables/made/small_8px/lab.csv")
    assert (table.info.origin, table.info.unit, table.info.identity["source"]) == ("fitted", "s", "a test")
    assert judged(table) < 0.02
    assert (table.frame[table.info.column.replace("_s", "_std_s")] > 0).all()
    assert "all 75 blocks" not in text
    assert main("table", "validate", table.path)[0] == 0
    assert main("table", "fit", path, "--tables", tmp_path / "tables")[0] == 0, "a fitted table is fitted again"


def test_a_table_of_counts_and_networks_give_a_latency_and_the_counts_stay_counts(tmp_path: Path, main: Main) -> None:
    path, tables = networks(tmp_path, 40), tmp_path / "tables"
    words = ("table", "calibrate", "macs/small_8px", "--tables", tables, "--networks", 20)
    code, text, error = main(*words, "--networks-file", path)
    assert code == 0, error
    assert "fitted to 20 whole networks" in text
    table = LatencyTable.read(tables / "made/small_8px/lab.csv")
    assert (table.info.device, table.info.unit, table.info.origin) == ("made", "s", "fitted")
    assert "macs/small_8px" in str(table.info.identity["prior"])
    assert judged(table) < 0.02
    assert not list(tables.glob("macs/**/*.correction.toml"))


def test_a_device_that_computes_is_corrected_in_its_own_unit(tmp_path: Path, main: Main) -> None:
    code, text, error = main("table", "calibrate", "macs/small_8px", "--tables", tmp_path, "--networks", 12)
    assert code == 0, error
    assert "MAC" in text
    table = load_table("macs/small_8px", tmp_path)
    cost = load_corrected_cost(SPACE, table)
    assert cost is not None
    rows = SPACE.random_rows(100, 3)
    assert cost.unit == "MAC"
    assert cost.mean(rows) == pytest.approx(counted(rows), rel=1e-3)


@pytest.mark.long
def test_a_table_is_corrected_by_measuring_here_and_goes_on_where_it_was(tmp_path: Path, main: Main) -> None:
    tables = tmp_path / "tables"
    words = ("small_8px", "--device", "onnxruntime_cpu", "--protocol", "quick", "--tables", tables, "--predict-repeats")
    assert main("profile", *words)[0] == 0
    words = ("table", "calibrate", "onnxruntime_cpu/small_8px", "--tables", tables, "--networks", 6)
    code, text, error = main(*words)
    assert code == 0, error
    assert "fitted to 6 whole networks" in text
    listed = next(tables.glob("**/*.networks.csv")).read_bytes()
    assert main(*words)[:2] == (0, text), "what was measured is not measured again"
    assert next(tables.glob("**/*.networks.csv")).read_bytes() == listed


def test_what_cannot_be_fitted_is_one_line_and_no_measured_table_is_lost(tmp_path: Path, main: Main) -> None:
    path = networks(tmp_path, 3)
    asked: dict[str, tuple[object, ...]] = {
        "at least 4 whole networks; got 3": ("fit", path),
        "no such file": ("fit", tmp_path / "none.networks.csv"),
        "must be named <variant>.networks.csv; got 'lab.csv'": ("fit", tmp_path / "lab.csv"),
        "the networks are of another space than small_28px; got 'small_8px'": (
            "calibrate",
            "macs/small_28px",
            "--tables",
            tmp_path,
            "--networks-file",
            path,
        ),
    }
    for says, words in asked.items():
        code, _, error = main("table", *words)
        assert (code, error.count("\n")) == (2, 1)
        assert says in error
    (tmp_path / "t/macs/small_8px").mkdir(parents=True)
    for source in (MACS.path, MACS.path.with_suffix(".toml")):
        (tmp_path / "t/macs/small_8px" / f"lab{source.suffix}").write_bytes(source.read_bytes())
    code, _, error = main("table", "fit", networks(tmp_path, 20, "macs"), "--tables", tmp_path / "t")
    assert code == 2
    assert "cannot be overwritten by a fitted table: its rows are computed" in error
    assert (tmp_path / "t/macs/small_8px/lab.csv").read_bytes() == MACS.path.read_bytes()
