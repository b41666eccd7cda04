"""A table's CSV, read and checked: every invalid cell is refused with its line."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw.devices.backends.base import ORIGINS, UNITS
from donna_hw.errors import FileFormatError, TableError
from donna_hw.tables.table_info import SAMPLE_COLUMNS, SUMMARY, UNMEASURED_METHODS, TableInfo


def parse_cells(text: str, path: Path) -> pd.DataFrame:
    """Return a CSV's cells as text; each row must be as long as the header, whose names must differ."""
    try:
        header, *rows = csv.reader(StringIO(text), strict=True)
    except csv.Error as error:
        raise FileFormatError(f"{path}: not a CSV: {error}", hint="profile again") from None
    if len(set(header)) < len(header):
        raise FileFormatError(f"{path}: two columns of one name", got=", ".join(header), hint="profile again")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise FileFormatError(
                f"{path}, line {number}: {len(row)} cells, expected {len(header)}",
                hint="delete the line and profile again: it is written again",
            )
    return pd.DataFrame(rows, columns=header, dtype=str)


def parse_numbers(frame: pd.DataFrame, info: TableInfo, path: Path) -> pd.DataFrame:
    """Return the frame with its numbers parsed; raises `TableError` for a wrong unit, a missing column or an invalid value."""
    if info.origin not in ORIGINS:
        raise TableError(f"{path}: unknown origin", got=info.origin, choices=ORIGINS)
    if UNITS.get(info.quantity) != info.unit:
        known = [f"{quantity} in {unit}" for quantity, unit in UNITS.items()]
        raise TableError(f"{path}: wrong quantity or unit", got=f"{info.quantity} in {info.unit}", choices=known)
    needed = ["part", "layers_hash", info.column]
    if info.origin == "measured":
        needed += ["low_s", "high_s"]
    for column in needed:
        if column not in frame:
            raise TableError(
                f"{path}: no column {column} (times are in seconds), only {', '.join(frame.columns)}",
                hint="convert the unit and rename the column, or profile again",
            )
    if frame.empty:
        raise TableError(f"{path}: no rows", hint="profile again")
    numeric = [name for name in map(str, frame) if name.endswith("_s") or name in (info.column, "samples", "rounds")]
    unsampled = (
        frame["method"].isin((*UNMEASURED_METHODS, SUMMARY)).to_numpy()
        if "method" in frame
        else np.zeros(len(frame), bool)
    )
    empty = (frame["method"] == "empty").to_numpy() if "method" in frame else np.zeros(len(frame), bool)
    for column in numeric:
        values = pd.to_numeric(frame[column], errors="coerce")
        differences = info.in_context and column.endswith("_s")
        bad = _invalid_mask(values.to_numpy(np.float64), column, info)
        if column in SAMPLE_COLUMNS and column != info.column:
            bad &= ~(unsampled & (frame[column].to_numpy() == ""))
        bad &= ~(empty & (values.to_numpy(np.float64) == 0))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            rule = "a finite number" if differences else "a finite number, not negative, and above zero if measured"
            raise TableError(
                f"{path}, line {row + 2}: {column} must be {rule}",
                got=str(frame[column].iloc[row]),
                hint="delete the row and profile again: only its block is measured",
            )
        frame[column] = values
    suffix = {"s": "_s", "J": "_j"}.get(info.unit, "")
    if not info.column.endswith(suffix):
        raise TableError(f"{path}: the column of {info.quantity} in {info.unit} must end in {suffix}", got=info.column)
    if info.origin == "measured":
        reversed_ = (frame["low_s"] > frame["high_s"]).to_numpy()
        if reversed_.any():
            row = int(np.flatnonzero(reversed_)[0])
            raise TableError(
                f"{path}, line {row + 2}: low_s {frame['low_s'].iloc[row]} is above high_s {frame['high_s'].iloc[row]}",
                hint="delete the row and profile again",
            )
    return frame


def _invalid_mask(values: np.ndarray, column: str, info: TableInfo) -> np.ndarray:
    """Return which values are invalid; only differences of two chains and fitted times may be zero or less."""
    bad: np.ndarray = ~np.isfinite(values)
    if column.endswith("_s") and (info.in_context or info.origin == "fitted"):
        return bad
    bad |= values < 0
    return np.asarray(bad | ((values == 0) & (info.origin == "measured" and column == info.column)))
