"""What the commands `donna-hw table ...` print of one table: its origin, its ranges, and the rows that are not trusted."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw._core.units import format_quantity
from donna_hw.costs.fit import FitResult
from donna_hw.costs.table_completion import CompletionResult
from donna_hw.measurement.intervals import Z90, Z95
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.sample_journal import BlockRecord, SampleJournal
from donna_hw.reporting.text.rich_table import render_table
from donna_hw.spaces.space import Space
from donna_hw.tables.comparison import half_width
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import axis_columns, row_names

# the keys of an identity that state how it was measured; batch states what was measured
PROTOCOL_KEYS = ("protocol", *(field.name for field in fields(Protocol) if field.name not in ("name", "batch")))


def format_table(table: LatencyTable, show_all: bool = False) -> str:
    """Return a table's origin, ranges and verdicts, and the rows that are not trusted, or all rows; and the blocks that failed."""
    info, frame = table.info, table.frame
    failed = _failed_records(table)
    parts = [_origin(table), _ranges(table)]
    words = [f"{column}s: {_counts(frame[column])}" for column in ("verdict", "method") if column in frame]
    if "stop_rule" in frame:
        words.append(f"stopped by: {_counts(frame['stop_rule'][frame['stop_rule'] != ''])}")
    if "median_s" in frame and "low_s" in frame and not info.in_context:
        words.append(f"95 % intervals: {100 * np.median(half_width(frame)):.1f} % each way (median)")
    if words:
        parts.append("\n".join(words))
    predicted = int((frame["method"] == "predicted").sum()) if "method" in frame else 0
    untrusted = untrusted_mask(frame)
    if show_all:
        parts.append(f"all {len(frame)} rows:\n{_format_rows(table, frame)}")
    elif untrusted.any():
        parts.append(f"not trusted, {untrusted.sum()} of {len(frame)} rows:\n{_format_rows(table, frame[untrusted])}")
    elif "verdict" in frame and not predicted:
        parts.append(f"all {len(frame)} rows are trusted")
    if predicted:
        parts.append(
            f"predicted, {predicted} of {len(frame)} rows: estimated from other blocks, not measured; --all lists them"
        )
    if failed:
        rows = [[record.name, record.attempt, record.failure] for record in failed]
        parts.append(
            f"failed, {len(failed)} blocks without a row:\n{render_table(['block', 'attempt', 'reason'], rows)}"
        )
    if untrusted.any() or failed or predicted:
        options = [f"--{key} {info.identity[key]}" for key in ("mode", "protocol") if key in info.identity]
        command = " ".join(
            [
                "donna-hw profile",
                info.space,
                "--device",
                info.device,
                *options,
                *["--remeasure"] * bool(untrusted.any() or failed),
            ]
        )
        parts.append(f"{command} measures them {'again' if untrusted.any() or failed else 'all'}")
    return "\n\n".join(parts)


def _origin(table: LatencyTable) -> str:
    info = table.info
    lines = [
        f"{table.path}: {len(table.frame)} rows of {info.space} on {info.device}",
        f"{info.quantity} in {info.unit}, {info.origin}; created {info.created} by donna_hw {info.donna_hw}",
        "identity: " + ", ".join(f"{key} {value}" for key, value in info.identity.items() if key not in PROTOCOL_KEYS),
    ]
    if "protocol" in info.identity:
        settings = [f"{key} {info.identity[key]}" for key in PROTOCOL_KEYS[1:] if key in info.identity]
        lines.append(", ".join([f"protocol: {info.identity['protocol']}", *settings]))
    if info.sentinel:
        reference = info.sentinel_reference_s
        lines.append(
            f"sentinel: {info.sentinel}, {'not measured yet' if reference is None else format_quantity(reference, 's')}"
        )
    if info.conditions:
        lines.append("conditions: " + ", ".join(f"{key} {value}" for key, value in info.conditions.items()))
    return "\n".join(lines)


def _ranges(table: LatencyTable) -> str:
    """Return the range of each part's costs."""
    info = table.info
    rows = []
    for part, values in table.frame.groupby("part", sort=False)[info.column]:
        smallest, middle, largest = (
            format_quantity(float(value), info.unit) for value in np.quantile(values, [0, 0.5, 1])
        )
        rows.append([part, len(values), smallest, middle, largest])
    return render_table(["part", "rows", f"smallest {info.column}", "middle", "largest"], rows)


def _counts(column: pd.Series) -> str:
    return ", ".join(f"{count} {name}" for name, count in column.value_counts().items())


def untrusted_mask(frame: pd.DataFrame) -> np.ndarray:
    """Return which rows are neither trusted nor predicted, bool [n]; all False in a table without verdicts."""
    if "verdict" not in frame:
        return np.zeros(len(frame), bool)
    return np.asarray(~frame["verdict"].isin(("trusted", "predicted")))


def _format_rows(table: LatencyTable, frame: pd.DataFrame) -> str:
    info = table.info
    columns = {
        " ".join(["block:", "part", *axis_columns(frame)]): row_names(frame),
        info.column: [format_quantity(value, info.unit) for value in frame[info.column]],
    }
    if "median_s" in frame and "low_s" in frame:
        columns["+-%"] = [f"{100 * share:.1f}" for share in half_width(frame)]
    for name in ("verdict", "stop_rule", "method", "evidence"):
        if name in frame:
            columns[name] = frame[name].astype(str).tolist()
    return render_table(list(columns), list(zip(*columns.values(), strict=True)))


def _failed_records(table: LatencyTable) -> list[BlockRecord]:
    """Return the records of blocks that could not be run, from the sample journal next to the table."""
    if table.info.origin != "measured":
        return []
    records = SampleJournal(table.path.with_suffix(".samples.csv")).read()
    return [record for record in records.values() if record.failure]


def format_coverage(table: LatencyTable, space: Space) -> str:
    """Return a line for each row that the table lacks for a space, whether it covers the space, and which rows to be careful with."""
    coverage, info = table.coverage(space), table.info
    lines = [f"missing: {' '.join(key)}" for key in coverage.missing]
    lines += [
        f"other layers: {' '.join(key)}: {recorded}, now {current}" for key, recorded, current in coverage.changed
    ]
    if coverage.complete:
        lines.append(
            f"{table.path} covers {space.name}: all {coverage.total} blocks and fixed parts have a row, {info.origin}"
        )
    else:
        lines.append(
            f"{table.path} does not cover {space.name}: of {coverage.total} blocks and fixed parts {len(coverage.missing)} are missing and "
            f"{len(coverage.changed)} have a row of other layers; donna-hw profile {space.name} --device {info.device} fills them"
        )
    verdicts = Counter(table.frame["verdict"]) if "verdict" in table.frame else Counter()
    predicted = verdicts["predicted"]
    untrusted = verdicts.total() - verdicts["trusted"] - predicted
    if predicted:
        lines.append(f"{predicted} of its rows are predicted: estimated from other blocks, not measured")
    if untrusted:
        lines.append(f"{untrusted} of its rows are not trusted: donna-hw table show {table.path} lists them")
    return "\n".join(lines)


def format_completion(completion: CompletionResult) -> str:
    """Return the origins of the blocks, the standard deviations of predicted ones, and which to measure first to halve these."""
    table, model = completion.table, completion.model
    info = table.info
    lines = [
        f"{table.path}: {len(table.frame)} rows of {info.space} on {info.device}; of its distinct blocks "
        f"{completion.reused_count} have a row "
        f"of another table, {completion.predicted_count} are predicted"
    ]
    if model is None:
        return lines[0]
    predicted = table.frame[table.frame["method"] == "predicted"]
    deviations = 100 * np.log((predicted["high_s"] / predicted["low_s"]).to_numpy(np.float64)) / (2 * Z95)
    least, middle, largest = np.quantile(deviations, [0, 0.5, 1])
    lines.append(
        f"predicted from {model.block_count} blocks; the error on held-out layer shapes is {model.median_error_percent:.2g} % (median). "
        f"Standard deviation of the predicted rows: {middle:.2g} % (median), {least:.2g} to {largest:.2g} %"
    )
    before, after = 100 * completion.mean_stds[[0, -1]]
    effect = "halve the mean deviation" if after <= before / 2 else "lower the mean deviation"
    lines.append(
        f"measuring {len(completion.suggestions)} of them would {effect}, from {before:.2g} % to {after:.2g} % by the model's estimate:"
    )
    lines += [f"  {name}" for name in completion.suggestions]
    lines.append(
        f"donna-hw profile {info.space} --device {info.device} --tables {table.path.parents[2]} measures them all"
    )
    return "\n".join(lines)


KIND_DESCRIPTIONS = {"sum": "a sum over blocks", "floor": "a launch floor, the smooth maximum of launch time and work"}


def format_fit(fit: FitResult, path: Path) -> str:
    """Return the model of a fit, its errors on held-out networks, and how wide and how reliable its intervals are."""
    cost, measured = fit.cost, fit.cost.measured
    errors = 100 * np.abs(np.expm1(-fit.errors))
    share = [100 * float((errors <= limit).mean()) for limit in (5, 10)]
    width = 100 * float(np.mean(Z90 * cost.std(cost.rows) / cost.mean(cost.rows)))
    lines = [
        f"{path}: {KIND_DESCRIPTIONS[fit.kind]}, fitted to {len(measured)} whole networks "
        f"of {format_quantity(measured.min(), cost.unit)} to {format_quantity(measured.max(), cost.unit)}",
        f"mean error on held-out networks, a tenth at a time: {fit.mape_percent:.2f} %; "
        f"at most 5 % for {share[0]:.0f} % of them, at most 10 % for {share[1]:.0f} %",
        f"the 90 % interval, {width:.1f} % each way on average, contains {100 * fit.coverage:.0f} % of them",
    ]
    if not np.isnan(fit.prior_mape_percent):
        lines.insert(1, f"mean error of the plain sum of the table: {fit.prior_mape_percent:.2f} %")
    return "\n".join(lines)
