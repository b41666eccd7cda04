"""What commands print at their end: where the results lie, and small tables of them with units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw._core.toml_files import read_toml
from donna_hw._core.units import format_quantity, format_with_error
from donna_hw.reporting.text.rich_table import render_table
from donna_hw.search.pareto_front import ParetoFront
from donna_hw.search.verification_loop import VerificationResult
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary

MAX_ROWS = 20


def format_table_summary(table: LatencyTable) -> str:
    """Return the path of a table, its number of rows, its range and its verdicts."""
    info, frame = table.info, table.frame
    values = frame[info.column].to_numpy(np.float64)
    lines = [
        f"{table.path}: {len(frame)} rows, {info.origin} on {info.identity['device_model']} with {info.identity['runtime']}",
        f"{info.column} from {format_quantity(values.min(), info.unit)} to {format_quantity(values.max(), info.unit)}",
    ]
    if "verdict" in frame:
        counts = frame["verdict"].value_counts()
        lines.append("verdicts: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    return "\n".join(lines)


def format_reference_summary(folder: Path) -> str:
    """Return the accuracy of the reference in `folder`."""
    summary = read_toml(folder / "reference.toml")
    raw_percent = summary.get("raw_top1_percent")
    averaged = "" if raw_percent is None else f" with averaged weights, {raw_percent:.2f} % without averaging"
    return f"{folder}: top-1 {summary['top1_percent']:.2f} %{averaged}, on {summary['test_images']} test images"


def format_blocks_summary(library: BlockLibrary) -> str:
    """Return the best and worst quality of each stage."""
    rows = []
    for stage, values in zip(library.space.stages, library.qualities(), strict=True):
        best, worst = int(np.argmin(values)), int(np.argmax(values))
        rows.append(
            [
                stage.name,
                stage.size,
                stage.label(best),
                f"{values[best]:.4f}",
                stage.label(worst),
                f"{values[worst]:.4f}",
            ]
        )
    return render_table(["stage", "blocks", "best", "NSR", "worst", "NSR"], rows)


def format_networks_summary(library: ArchitectureLibrary) -> str:
    """Return every finetuned network with its accuracy."""
    rows = [[n.role, library.name(n.architecture), n.seed, f"{n.top1_percent:.2f}"] for n in library.networks()]
    return render_table(["role", "network", "seed", "top-1 %"], rows)


def format_front_summary(front: ParetoFront) -> str:
    """Return at most 20 networks spread over the front, which of them lie within the noise, and how the front was searched."""
    picks = np.unique(np.linspace(0, len(front) - 1, min(MAX_ROWS, len(front))).astype(int))
    header = ["top-1 % (predicted)", "+-", *front.costs, "noise", "network"]
    rows = [
        [
            f"{front.accuracy[i]:.2f}",
            f"{front.accuracy_std[i]:.2f}",
            *(format_quantity(front.costs[name][i], front.units[name]) for name in front.costs),
            "within" if front.within_noise[i] else "",
            front.space.network_name(front.space.architecture(front.rows[i])),
        ]
        for i in picks
    ]
    shown = "" if len(picks) == len(front) else f", {len(picks)} of them shown"
    kind = front.choice or ("exact" if front.exact else f"the best of {front.evaluations} evaluated networks")
    if front.gap is not None and not front.exact:
        kind += f"; no network is more than {front.gap:.2f} % more accurate at equal cost"
    noise = f"{int(front.within_noise.sum())} lie within the noise of a better one"
    return f"{render_table(header, rows)}\nfront of {len(front)} networks{shown}; {kind}; {noise}"


def format_verified_networks(verified: pd.DataFrame) -> str:
    """Return predicted and measured values of the networks that were finetuned and measured."""
    rows = [
        [
            row["role"],
            f"{row['predicted_percent']:.2f} +- {row['predicted_std_percent']:.2f}",
            f"{row['top1_percent']:.2f}",
            format_with_error(row["predicted_s"], row["predicted_std_s"], "s"),
            format_quantity(row["measured_s"], "s"),
            row["network"],
        ]
        for row in verified.to_dict("records")
    ]
    header = ["role", "top-1 % predicted", "measured", "latency predicted", "measured", "network"]
    return render_table(header, rows)


def format_verification_summary(verification: VerificationResult) -> str:
    """Return a row for each round, and whether the front is stable."""
    header = ["round", "measured", "error before %", "within 90 %", "overlap", "dominated", "stable"]
    rows = [
        [
            number,
            round_.new_networks,
            f"{round_.mape_percent:.2f}",
            f"{100 * round_.coverage:.0f} %",
            f"{100 * round_.overlap:.0f} %",
            round_.dominated,
            "yes" if round_.is_stable else "no",
        ]
        for number, round_ in enumerate(verification.history, start=1)
    ]
    last = verification.history[-1]
    if verification.is_stable:
        end = f"the front is stable after {len(rows)} rounds, with {len(verification.rows)} networks measured whole"
    else:
        reasons = [
            f"its cost could not be fitted: {last.refit_error}" if last.refit_error else "",
            f"the next front dominates {last.dominated} of its networks" if last.dominated else "",
            f"{100 * (1 - last.coverage):.0f} % of those measured lie outside their 90 % intervals",
            f"standard deviations of its predictions reach {last.max_std_percent:.2g} %",
        ]
        end = f"the front is not stable after {len(rows)} rounds: {'; '.join(filter(None, reasons))}; more with --verify-rounds"
    return f"{render_table(header, rows)}\n{end}"
