"""The correction kept beside a table: it reads back, and no default stands in for a key or value that no fit gives."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from donna_hw.costs.correction import Correction
from donna_hw.errors import BadFile, BadSetting, DonnaError, UnknownName
from donna_hw.files import write_toml
from donna_hw.table import LatencyTable, TableInfo
from donna_hw.tables import correction_of, write_correction

GOOD = Correction(scale=1.1, offset=-1e-7, residual=0.01, networks=8, mape_before=5.0, mape_loo=1.0)


@pytest.fixture
def table(tmp_path: Path) -> LatencyTable:
    """A table of no rows: only its place matters here."""
    info = TableInfo(
        device="d",
        space="s",
        quantity="latency",
        unit="s",
        origin="measured",
        column="median_s",
        identity={},
        donna_hw="0",
        created="",
    )
    return LatencyTable(info, pd.DataFrame(), tmp_path / "t.csv")


def test_a_correction_reads_back_and_may_be_absent(table: LatencyTable) -> None:
    assert correction_of(table) is None
    write_correction(table, GOOD)
    assert correction_of(table) == GOOD


@pytest.mark.parametrize("key", sorted(asdict(GOOD)))
def test_a_missing_key_is_named_and_no_default_stands_in(table: LatencyTable, key: str) -> None:
    write_toml(table.path.with_suffix(".correction.toml"), {k: v for k, v in asdict(GOOD).items() if k != key})
    with pytest.raises(BadSetting, match=f"the key '{key}' must be given"):
        correction_of(table)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("scale", "1.1", BadSetting),
        ("scale", True, BadSetting),
        ("scale", 0.0, BadSetting),
        ("scale", -1.0, BadSetting),
        ("scale", float("nan"), BadSetting),
        ("offset", float("inf"), BadSetting),
        ("offset", [1.0], BadSetting),
        ("residual", -0.1, BadSetting),
        ("networks", 8.5, BadSetting),
        ("scales", 1.0, UnknownName),
    ],
)
def test_a_value_that_no_fit_gives_is_named(
    table: LatencyTable, key: str, value: object, error: type[DonnaError]
) -> None:
    write_toml(table.path.with_suffix(".correction.toml"), {**asdict(GOOD), key: value})
    with pytest.raises(error, match=key):
        correction_of(table)


def test_a_torn_correction_is_a_bad_file(table: LatencyTable) -> None:
    table.path.with_suffix(".correction.toml").write_text("scale = 1.")
    with pytest.raises(BadFile, match="valid TOML"):
        correction_of(table)
