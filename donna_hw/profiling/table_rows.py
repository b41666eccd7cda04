"""The rows of a table, derived from the samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw.measurement.intervals import Z95
from donna_hw.measurement.measurement import Measurement
from donna_hw.measurement.verdict import NOISY_HALF_WIDTH, evaluate_measurement
from donna_hw.profiling.composition import Composition, Estimate
from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.parts import Part, Row
from donna_hw.tables.table_info import SAMPLE_COLUMNS, SUMMARY, TableInfo

PREDICTED_PREFIX = "predicted_"  # of the conditions of a table with predicted rows; dropped when it is measured


def measured_row(measurement: Measurement, stop_rule: str) -> Row:
    """Return the cells of a block that was measured itself, until a rule stopped it."""
    interval, verdict = measurement.interval, evaluate_measurement(measurement)
    times = {
        "median_s": measurement.median_s,
        "low_s": interval.low,
        "high_s": interval.high,
        "raw_median_s": measurement.raw_median_s,
        "mean_s": measurement.mean_s,
        "min_s": measurement.min_s,
    }
    cells: dict[str, object] = {name: float(f"{value:.6g}") for name, value in times.items()}
    if measurement.summaries:  # the median of its runs is known to the tool alone
        smallest = min(summary.min_s for summary in measurement.summaries)
        cells |= {"median_s": "", "raw_median_s": "", "min_s": smallest}
    return {
        **cells,
        "samples": measurement.runs,
        "rounds": len(measurement.round_medians_s),
        "method": SUMMARY if measurement.summaries else "measured",
        "stop_rule": stop_rule,
        "verdict": verdict.name,
        "evidence": verdict.evidence,
    }


def composed_row(estimate: Estimate, sections: int, composition: Composition, column: str) -> Row:
    """Return the cells of a block that was predicted from its sections and has no samples.

    Args:
        estimate: The block's latency and its standard error.
        sections: Number of its sections.
        composition: What predicted it.
        column: The table's column that holds the cost.
    """
    half = Z95 * estimate.error_s / estimate.value_s
    times = {
        column: estimate.value_s,
        "low_s": estimate.value_s * np.exp(-half),
        "high_s": estimate.value_s * np.exp(half),
    }
    wide = half > NOISY_HALF_WIDTH
    error = f"{100 * composition.residual_std:.2g} % (standard deviation)"
    return {
        **_without_samples("composed"),
        **{name: float(f"{value:.6g}") for name, value in times.items()},
        "verdict": "noisy" if wide else "trusted",
        "evidence": f"{sections} sections; {composition.sample_size} blocks measured whole are within {error}",
    }


def predicted_row(value_s: float, log_std: float, evidence: str, column: str) -> Row:
    """Return the cells of a block that was never measured.

    Args:
        value_s: Its predicted latency in seconds.
        log_std: Standard deviation of the logarithm of its latency.
        evidence: What the prediction rests on, for people.
        column: The table's column that holds the cost.
    """
    half = np.exp(Z95 * log_std)
    times = {column: value_s, "low_s": value_s / half, "high_s": value_s * half}
    return {
        **_without_samples("predicted"),
        **{name: float(f"{value:.6g}") for name, value in times.items()},
        "verdict": "predicted",
        "evidence": evidence,
    }


def _without_samples(method: str) -> Row:
    return {**dict.fromkeys(SAMPLE_COLUMNS, ""), "samples": 0, "rounds": 0, "method": method, "stop_rule": ""}


def empty_row(column: str) -> Row:
    """Return the cells of a block without layers (a skipped block): it costs nothing, and nothing is measured."""
    return {
        **dict.fromkeys(SAMPLE_COLUMNS, ""),
        **dict.fromkeys((column, "low_s", "high_s"), 0.0),
        "samples": 0,
        "rounds": 0,
        "method": "empty",
        "stop_rule": "",
        "verdict": "trusted",
        "evidence": "no layers",
    }


def to_estimate(measurement: Measurement) -> Estimate:
    """Return a measurement's value with a standard error whose normal interval is as wide as the measurement's."""
    return Estimate(measurement.value_s, measurement.interval.half_width / Z95)


def write_table(
    space: Space, parts: Sequence[Part], info: TableInfo, path: Path, rows: Callable[[str], Row | None]
) -> LatencyTable:
    """Derive the table from the rows of its blocks, and write it.

    Args:
        space: The space, without global axes.
        parts: Its blocks and fixed parts, in the order of the table.
        info: What the TOML records.
        path: Where the CSV goes.
        rows: Gives the row of a layers_hash; None for a block that failed, which gets no row.

    Returns:
        The table as it reads back.
    """
    axes = list(dict.fromkeys(axis.name for stage in space.stages for axis in stage.axes))
    records = []
    for part in parts:
        row = rows(part.layers_hash)
        if row is not None:
            cells = {"part": part.key_cells["part"]} | {axis: part.key_cells.get(axis, "") for axis in axes}
            records.append({**cells, "layers_hash": part.layers_hash, **row})
    LatencyTable(info, pd.DataFrame(records), path).write()
    return LatencyTable.read(path)
