"""What `donna-hw table show` prints: what a table is of, its range, and each row that is not to be trusted."""

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
from donna_hw.reporting.text.summaries import tabulate as aligned
from donna_hw.spaces.space import Space
from donna_hw.tables.comparison import half_width
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import axis_columns, row_names

# the keys of an identity that say how it was measured; batch says of what
PROTOCOL_KEYS = ("protocol", *(field.name for field in fields(Protocol) if field.name not in ("name", "batch")))


def format_table(table: LatencyTable, everything: bool = False) -> str:
    """Return what a table is of, its range, its verdicts, and the rows that are not trusted or failed; or all rows."""
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
    learned = int((frame["method"] == "predicted").sum()) if "method" in frame else 0
    doubts = untrusted_mask(frame)
    if everything:
        parts.append(f"all {len(frame)} rows:\n{_format_rows(table, frame)}")
    elif doubts.any():
        parts.append(f"not trusted, {doubts.sum()} of {len(frame)} rows:\n{_format_rows(table, frame[doubts])}")
    elif "verdict" in frame and not learned:
        parts.append(f"every one of the {len(frame)} rows is trusted")
    if learned:
        parts.append(f"learned, {learned} of {len(frame)} rows: never measured, foretold from others; --all lists them")
    if failed:
        rows = [[record.name, record.attempt, record.failure] for record in failed]
        parts.append(f"failed, {len(failed)} blocks without a row:\n{aligned(['block', 'attempt', 'reason'], rows)}")
    if doubts.any() or failed or learned:
        how = [f"--{key} {info.identity[key]}" for key in ("mode", "protocol") if key in info.identity]
        again = " ".join(
            [
                "donna-hw profile",
                info.space,
                "--device",
                info.device,
                *how,
                *["--retry"] * bool(doubts.any() or failed),
            ]
        )
        parts.append(f"{again} measures them {'again' if doubts.any() or failed else 'all'}")
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
            f"sentinel: {info.sentinel}, {'not known yet' if reference is None else format_quantity(reference, 's')}"
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
    return aligned(["part", "rows", f"smallest {info.column}", "middle", "largest"], rows)


def _counts(column: pd.Series) -> str:
    return ", ".join(f"{count} {name}" for name, count in column.value_counts().items())


def untrusted_mask(frame: pd.DataFrame) -> np.ndarray:
    """Return which measured or composed rows are not trusted, bool [n]; without verdicts none is."""
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
    return aligned(list(columns), list(zip(*columns.values(), strict=True)))


def _failed_records(table: LatencyTable) -> list[BlockRecord]:
    """Return what is journaled of the blocks that could not be run, where the samples are beside the table."""
    if table.info.origin != "measured":
        return []
    records = SampleJournal(table.path.with_suffix(".samples.csv")).read()
    return [record for record in records.values() if record.failure]


def format_coverage(table: LatencyTable, space: Space) -> str:
    """Return one line if the table covers the space, and what is to be known before a search; else a line for each row that it lacks."""
    found, info = table.coverage(space), table.info
    lines = [f"missing: {' '.join(key)}" for key in found.missing]
    lines += [f"other layers: {' '.join(key)}: {kept}, now {now}" for key, kept, now in found.changed]
    if found.complete:
        lines.append(
            f"{table.path} covers {space.name}: all {found.total} blocks and fixed parts have a row, {info.origin}"
        )
    else:
        lines.append(
            f"{table.path} does not cover {space.name}: of {found.total} blocks and fixed parts {len(found.missing)} are missing and "
            f"{len(found.changed)} have a row of other layers; donna-hw profile {space.name} --device {info.device} fills them"
        )
    verdicts = Counter(table.frame["verdict"]) if "verdict" in table.frame else Counter()
    learned = verdicts["predicted"]
    doubted = verdicts.total() - verdicts["trusted"] - learned
    if learned:
        lines.append(f"{learned} of its rows are learned: never measured, foretold from other blocks")
    if doubted:
        lines.append(f"{doubted} of its rows are not trusted: donna-hw table show {table.path} lists them")
    return "\n".join(lines)


def format_completion(completed: CompletionResult) -> str:
    """Return how many blocks have which origin, the learned ones' deviations, and the few whose measuring would halve these."""
    table, model = completed.table, completed.model
    info = table.info
    lines = [
        f"{table.path}: {len(table.frame)} rows of {info.space} on {info.device}; of its different blocks {completed.reused_count} have a row "
        f"of another table, {completed.predicted_count} are learned"
    ]
    if model is None:
        return lines[0]
    learned = table.frame[table.frame["method"] == "predicted"]
    deviations = 100 * np.log((learned["high_s"] / learned["low_s"]).to_numpy(np.float64)) / (2 * Z95)
    least, middle, largest = np.quantile(deviations, [0, 0.5, 1])
    lines.append(
        f"learned from {model.block_count} blocks; on layers of a shape left out it is off by {model.median_error_percent:.2g} % (median). Standard "
        f"deviation of the learned rows {middle:.2g} % (median), {least:.2g} to {largest:.2g} %"
    )
    before, after = 100 * completed.mean_stds[[0, -1]]
    halves = "halve the mean deviation" if after <= before / 2 else "lower the mean deviation"
    lines.append(
        f"measuring {len(completed.suggestions)} of them would {halves}, {before:.2g} % to {after:.2g} %, as the model sees it:"
    )
    lines += [f"  {name}" for name in completed.suggestions]
    lines.append(
        f"donna-hw profile {info.space} --device {info.device} --out {table.path.parents[2]} measures them all"
    )
    return "\n".join(lines)


KIND_DESCRIPTIONS = {"sum": "a sum over blocks", "floor": "a launch floor, the smooth maximum of launching and of work"}


def format_fit(fit: FitResult, path: Path) -> str:
    """Return the kind of a fit, its errors on networks left out, and its stated intervals."""
    cost, measured = fit.cost, fit.cost.measured
    errors = 100 * np.abs(np.expm1(-fit.errors))
    share = [100 * float((errors <= limit).mean()) for limit in (5, 10)]
    width = 100 * float(np.mean(Z90 * cost.std(cost.rows) / cost.mean(cost.rows)))
    lines = [
        f"{path}: {KIND_DESCRIPTIONS[fit.kind]}, fitted to {len(measured)} whole networks "
        f"of {format_quantity(measured.min(), cost.unit)} to {format_quantity(measured.max(), cost.unit)}",
        f"networks left out, a tenth at a time, are off by {fit.mape_percent:.2f} % on the mean; "
        f"{share[0]:.0f} % of them by at most 5 %, {share[1]:.0f} % by at most 10 %",
        f"the stated 90 % interval, {width:.1f} % each way on the mean, holds {100 * fit.coverage:.0f} % of them",
    ]
    if not np.isnan(fit.prior_mape_percent):
        lines.insert(1, f"the plain sum of the table is off by {fit.prior_mape_percent:.2f} % on the mean")
    return "\n".join(lines)
