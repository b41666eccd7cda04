"""Compares two measured tables block by block: is a difference significant, as seconds and as ratios to the sentinel?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw.errors import TableError
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.welch import IntervalRows, WelchTest, welch_test
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import axis_columns, row_names

REQUIRED_COLUMNS = ("median_s", "low_s", "high_s", "rounds")


@dataclass(frozen=True)
class TableComparison:
    """Two tables, block by block.

    frame_a, frame_b: their matched rows, in one order. absolute: in seconds. relative: as ratios to the sentinel, which takes out a
    factor common to a whole table; None where the two have no sentinel in common. only_a, only_b: blocks without a partner; other_layers:
    blocks of one name and different layers, not compared. unlike, conditions: (what, in A, in B) of every difference of identity, and of
    recorded conditions.
    """

    a: LatencyTable
    b: LatencyTable
    frame_a: pd.DataFrame
    frame_b: pd.DataFrame
    absolute: WelchTest
    relative: WelchTest | None
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    changed_blocks: tuple[str, ...]
    identity_differences: tuple[tuple[str, Scalar | None, Scalar | None], ...]
    condition_differences: tuple[tuple[str, Scalar | None, Scalar | None], ...]

    @property
    def names(self) -> list[str]:
        """Names of the compared blocks [n]."""
        return row_names(self.frame_a)

    @property
    def half_widths(self) -> tuple[float, float]:
        """Median over blocks of half the 95 % interval as a share of the median, in A and in B."""
        a, b = (float(np.median(half_width(frame))) for frame in (self.frame_a, self.frame_b))
        return a, b

    def to_frame(self) -> pd.DataFrame:
        """Return every compared block as a row: its names, both tables' numbers, and the test of each view."""
        found = self.frame_a[["part", *axis_columns(self.frame_a), "layers_hash"]].copy()
        for name, frame in (("a", self.frame_a), ("b", self.frame_b)):
            for column in (*REQUIRED_COLUMNS, "verdict"):
                if column in frame:
                    found[f"{name}_{column}"] = frame[column]
        for name, unit, view in (("absolute", "_s", self.absolute), ("relative", "", self.relative)):
            if view is None:
                continue
            for bound, values in (("", view.estimate), ("_low", view.low), ("_high", view.high)):
                if view.scale == "log":
                    found[f"{name}_ratio{bound}"] = np.exp(values)
                else:
                    found[f"{name}_difference{bound}{unit}"] = values
            for column in ("t", "dof", "p", "adjusted_p", "significant", "significant_fdr"):
                found[f"{name}_{column}"] = getattr(view, column)
        return found


def compare_tables(a: LatencyTable, b: LatencyTable) -> TableComparison:
    """Compare two measured latency tables of one space; raises `TableError` when that cannot be done.

    Rows are matched by part and axis values. Each is Student's t interval over rounds, and the difference of two is judged by Welch's
    test: on logarithms, or on the plain difference where a table was measured in a chain or has an interval that reaches zero.
    """
    for table in (a, b):
        _validate_measured(table)
    if a.info.space != b.info.space:
        raise TableError(
            "two tables can be compared when they are of one space",
            got=f"{a.info.space} in {a.path}, {b.info.space} in {b.path}",
            hint="name two tables of the same space",
        )
    rows_a, rows_b = _rows_by_key(a.frame, a.path), _rows_by_key(b.frame, b.path)
    names_a, names_b = row_names(a.frame), row_names(b.frame)
    hashes_a, hashes_b = a.frame["layers_hash"].tolist(), b.frame["layers_hash"].tolist()
    both = [key for key in rows_a if key in rows_b]
    same = [key for key in both if hashes_a[rows_a[key]] == hashes_b[rows_b[key]]]
    if not same:
        raise TableError(
            "two tables can be compared when they have a block in common",
            got=f"none of {len(rows_a)} and {len(rows_b)}, and {len(both)} of one name with different layers",
            hint="the space was changed between them: profile again",
        )
    frame_a = a.frame.iloc[[rows_a[key] for key in same]].reset_index(drop=True)
    frame_b = b.frame.iloc[[rows_b[key] for key in same]].reset_index(drop=True)
    scale = "log" if _use_log_scale(a, frame_a) and _use_log_scale(b, frame_b) else "linear"
    measured_a, measured_b = _interval_rows(frame_a), _interval_rows(frame_b)
    relative = None
    unit_a_s, unit_b_s = a.info.sentinel_reference_s, b.info.sentinel_reference_s
    if a.info.sentinel and a.info.sentinel == b.info.sentinel and unit_a_s is not None and unit_b_s is not None:
        relative = welch_test(measured_a.to_unit(unit_a_s), measured_b.to_unit(unit_b_s), scale)
    return TableComparison(
        a=a,
        b=b,
        frame_a=frame_a,
        frame_b=frame_b,
        absolute=welch_test(measured_a, measured_b, scale),
        relative=relative,
        only_a=tuple(names_a[row] for key, row in rows_a.items() if key not in rows_b),
        only_b=tuple(names_b[row] for key, row in rows_b.items() if key not in rows_a),
        changed_blocks=tuple(names_a[rows_a[key]] for key in both if hashes_a[rows_a[key]] != hashes_b[rows_b[key]]),
        identity_differences=_differences(_identity(a), _identity(b)),
        condition_differences=_differences(a.info.conditions, b.info.conditions),
    )


def half_width(frame: pd.DataFrame) -> np.ndarray:
    """Return half of each row's 95 % interval as a share of its median, float [n]; infinite where the median is not above zero."""
    median = frame["median_s"].to_numpy(np.float64)
    half = (frame["high_s"] - frame["low_s"]).to_numpy(np.float64) / 2
    return np.where(median > 0, half / np.where(median > 0, median, 1), np.inf)


def _interval_rows(frame: pd.DataFrame) -> IntervalRows:
    return IntervalRows(*(frame[column].to_numpy(np.float64) for column in REQUIRED_COLUMNS))


def _use_log_scale(table: LatencyTable, frame: pd.DataFrame) -> bool:
    return table.info.identity.get("mode") != "in_context" and bool((frame[["median_s", "low_s"]] > 0).all(axis=None))


def _validate_measured(table: LatencyTable) -> None:
    info = table.info
    if info.quantity != "latency" or info.origin != "measured":
        raise TableError(
            f"{table.path}: measured latencies can be compared, they alone have intervals",
            got=f"{info.quantity}, {info.origin}",
            hint="name two tables that `donna-hw profile` filled on a device",
        )
    for column in REQUIRED_COLUMNS:
        if column not in table.frame:
            raise TableError(
                f"{table.path}: a comparison needs the columns {', '.join(REQUIRED_COLUMNS)}",
                got=f"no {column}",
                hint="profile again",
            )


def _rows_by_key(frame: pd.DataFrame, path: Path) -> dict[tuple[str, frozenset[tuple[str, str]]], int]:
    """Return the row of each (part, {(axis, value)}); an axis without a value is none, so that one may have been added."""
    axes, found = axis_columns(frame), {}
    for row, record in enumerate(frame[["part", *axes]].astype(str).to_dict("records")):
        key = (record["part"], frozenset((axis, record[axis]) for axis in axes if record[axis]))
        if key in found:
            raise TableError(f"{path}: a block must have one row", got=row_names(frame)[row], hint="delete one of them")
        found[key] = row
    if "method" in frame:  # a block without layers costs nothing in either table
        found = {key: row for key, row in found.items() if frame["method"].iloc[row] != "empty"}
    return found


def _identity(table: LatencyTable) -> dict[str, Scalar]:
    info = table.info
    own: dict[str, Scalar] = {"device": info.device, "column": info.column, "sentinel": info.sentinel}
    return own | info.identity | {"donna_hw": info.donna_hw}


def _differences(a: dict[str, Scalar], b: dict[str, Scalar]) -> tuple[tuple[str, Scalar | None, Scalar | None], ...]:
    return tuple((key, a.get(key), b.get(key)) for key in a | b if a.get(key) != b.get(key))
