"""What commands print: small tables for people, each number with its unit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw._core.toml_files import read_toml
from donna_hw._core.units import format_quantity, format_with_error
from donna_hw.search.pareto_front import ParetoFront
from donna_hw.search.verification_loop import VerificationResult
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary

MAX_ROWS = 20


def tabulate(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows under their header, columns aligned; numbers to the right."""
    frame = pd.DataFrame([[str(cell) for cell in row] for row in rows], columns=list(header))
    widths = [max(len(name), int(frame[name].str.len().max()) if len(frame) else 0) for name in header]
    right = [all(_number(row[i]) for row in rows) for i in range(len(header))]

    def line(cells: Sequence[object]) -> str:
        parts = (str(c).rjust(w) if r else str(c).ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
        return "  ".join(parts).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *(line(row) for row in rows)])


def format_table_summary(filled: LatencyTable) -> str:
    """Return where a table lies, how many rows it has, its range and what is not trusted."""
    info, frame = filled.info, filled.frame
    values = frame[info.column].to_numpy(np.float64)
    lines = [
        f"{filled.path}: {len(frame)} rows, {info.origin} on {info.identity['device_model']} with {info.identity['runtime']}",
        f"{info.column} from {format_quantity(values.min(), info.unit)} to {format_quantity(values.max(), info.unit)}",
    ]
    if "verdict" in frame:
        counts = frame["verdict"].value_counts()
        lines.append("verdicts: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    return "\n".join(lines)


def format_reference_summary(folder: Path) -> str:
    """Return how accurate the reference in `folder` is, and where it lies."""
    facts = read_toml(folder / "reference.toml")
    without = facts.get("raw_top1_percent")
    averaged = "" if without is None else f" with averaged weights, {without:.2f} % without averaging"
    return f"{folder}: top-1 {facts['top1_percent']:.2f} %{averaged}, on {facts['test_images']} test images"


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
    return tabulate(["stage", "blocks", "best", "NSR", "worst", "NSR "], rows)


def format_networks_summary(library: ArchitectureLibrary) -> str:
    """Return every finetuned network with its accuracy."""
    rows = [[n.role, library.name(n.architecture), n.seed, f"{n.top1_percent:.2f}"] for n in library.networks()]
    return tabulate(["role", "network", "seed", "top-1 %"], rows)


def format_front_summary(front: ParetoFront) -> str:
    """Return the front, at most 20 networks spread over it, which of them lie within the noise, and how it was found."""
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
    kind = front.choice or ("exact" if front.exact else f"the best of {front.evaluations} networks that were looked at")
    if front.gap is not None and not front.exact:
        kind += f"; no network is more than {front.gap:.2f} % more accurate at equal cost"
    noise = f"{int(front.within_noise.sum())} lie within the noise of a better one"
    return f"{tabulate(header, rows)}\nfront of {len(front)} networks{shown}; {kind}; {noise}"


def format_verified_networks(verified: pd.DataFrame) -> str:
    """Return predicted beside measured for the networks that were finetuned and measured."""
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
    header = ["role", "top-1 % predicted", "measured", "latency predicted", "measured ", "network"]
    return tabulate(header, rows)


def _number(cell: object) -> bool:
    try:
        float(str(cell))
    except ValueError:
        return False
    return True


def format_verification_summary(standing: VerificationResult) -> str:
    """Return one line a round, and whether the front stands."""
    header = ["round", "measured", "error before %", "within 90 %", "front kept", "beaten", "stands"]
    rows = [
        [
            number,
            one.new_networks,
            f"{one.mape_percent:.2f}",
            f"{100 * one.coverage:.0f} %",
            f"{100 * one.overlap:.0f} %",
            one.dominated,
            "yes" if one.is_stable else "no",
        ]
        for number, one in enumerate(standing.history, start=1)
    ]
    last = standing.history[-1]
    if standing.is_stable:
        end = f"the front stands after {len(rows)} rounds, on {len(standing.rows)} networks measured whole"
    else:
        reasons = [
            f"its cost could not be fitted: {last.refit_error}" if last.refit_error else "",
            f"the next front beats {last.dominated} of its networks" if last.dominated else "",
            f"{100 * (1 - last.coverage):.0f} % of those measured lie outside their 90 % intervals",
            f"its predictions deviate by up to {last.max_std_percent:.2g} %",
        ]
        end = (
            f"the front does not stand after {len(rows)} rounds: {'; '.join(filter(None, reasons))}; more with --rounds"
        )
    return f"{tabulate(header, rows)}\n{end}"
