"""Comparison of two measured tables, block by block: which differences are significant, in seconds and relative to the sentinel."""

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

    Attributes:
        a: The first table.
        b: The second table.
        frame_a: The compared rows of the first table.
        frame_b: The rows of the second table that match them, in the same order.
        absolute: The test in seconds.
        relative: The test of ratios to the sentinel, which removes a factor common to a whole table; None without a common sentinel.
        only_a: Names of blocks that only the first table has.
        only_b: Names of blocks that only the second table has.
        changed_blocks: Names of blocks of different layers in both, which are not compared.
        identity_differences: (key, in A, in B) of every difference of identity.
        condition_differences: (key, in A, in B) of every difference of recorded conditions.
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
        """Return every compared block as a row: its names, both tables' numbers, and both tests."""
        rows = self.frame_a[["part", *axis_columns(self.frame_a), "layers_hash"]].copy()
        for name, frame in (("a", self.frame_a), ("b", self.frame_b)):
            for column in (*REQUIRED_COLUMNS, "verdict"):
                if column in frame:
                    rows[f"{name}_{column}"] = frame[column]
        for name, unit, test in (("absolute", "_s", self.absolute), ("relative", "", self.relative)):
            if test is None:
                continue
            for bound, values in (("", test.estimate), ("_low", test.low), ("_high", test.high)):
                if test.scale == "log":
                    rows[f"{name}_ratio{bound}"] = np.exp(values)
                else:
                    rows[f"{name}_difference{bound}{unit}"] = values
            for column in ("t", "dof", "p", "adjusted_p", "significant", "significant_fdr"):
                rows[f"{name}_{column}"] = getattr(test, column)
        return rows


def compare_tables(a: LatencyTable, b: LatencyTable) -> TableComparison:
    """Compare two measured latency tables of one space.

    Rows are matched by part and axis values. Each has Student's t interval over rounds, and the difference of two is evaluated by
    Welch's t-test: on logarithms, or on the plain difference where a table was measured in context or an interval reaches zero.

    Args:
        a: A table of measured latencies, as `profile_space` returns.
        b: Another table of the same space.

    Returns:
        The matched rows, and the tests in seconds and relative to the sentinel.

    Raises:
        TableError: When a table was not measured, the spaces differ, or no block is in both.
    """
    for table in (a, b):
        _validate_measured(table)
    if a.info.space != b.info.space:
        raise TableError(
            f"tables of different spaces: {a.path} is of {a.info.space}, {b.path} of {b.info.space}",
            hint="name two tables of the same space",
        )
    rows_a, rows_b = _rows_by_key(a.frame, a.path), _rows_by_key(b.frame, b.path)
    names_a, names_b = row_names(a.frame), row_names(b.frame)
    hashes_a, hashes_b = a.frame["layers_hash"].tolist(), b.frame["layers_hash"].tolist()
    both = [key for key in rows_a if key in rows_b]
    same = [key for key in both if hashes_a[rows_a[key]] == hashes_b[rows_b[key]]]
    if not same:
        raise TableError(
            f"no block in common: of {len(rows_a)} and {len(rows_b)}, {len(both)} have one name and different layers",
            hint="the space was changed between the tables: profile again",
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
            f"{table.path}: {info.origin} {info.quantity} cannot be compared; only measured latencies have intervals",
            hint="name two tables that `donna-hw profile` filled on a device",
        )
    for column in REQUIRED_COLUMNS:
        if column not in table.frame:
            raise TableError(
                f"{table.path}: no column {column}; a comparison needs {', '.join(REQUIRED_COLUMNS)}",
                hint="profile again",
            )


def _rows_by_key(frame: pd.DataFrame, path: Path) -> dict[tuple[str, frozenset[tuple[str, str]]], int]:
    """Return the row of each (part, {(axis, value)}); an axis without a value is left out, so that one may have been added."""
    axes, rows = axis_columns(frame), {}
    for row, record in enumerate(frame[["part", *axes]].astype(str).to_dict("records")):
        key = (record["part"], frozenset((axis, record[axis]) for axis in axes if record[axis]))
        if key in rows:
            raise TableError(f"{path}: two rows for {row_names(frame)[row]}", hint="delete one of them")
        rows[key] = row
    if "method" in frame:  # a block without layers costs nothing in either table
        rows = {key: row for key, row in rows.items() if frame["method"].iloc[row] != "empty"}
    return rows


def _identity(table: LatencyTable) -> dict[str, Scalar]:
    info = table.info
    general: dict[str, Scalar] = {"device": info.device, "column": info.column, "sentinel": info.sentinel}
    return general | info.identity | {"donna_hw": info.donna_hw}


def _differences(a: dict[str, Scalar], b: dict[str, Scalar]) -> tuple[tuple[str, Scalar | None, Scalar | None], ...]:
    return tuple((key, a.get(key), b.get(key)) for key in a | b if a.get(key) != b.get(key))
