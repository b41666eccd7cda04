"""What `donna-hw baselines` prints: cost, counts and published accuracy of known networks, and those without a public definition."""

from __future__ import annotations

from math import inf

from donna_hw._core.units import choose_unit, format_quantity
from donna_hw.profiling.profile_baselines import Baselines
from donna_hw.reporting.text.rich_table import render_table
from donna_hw.spaces.baselines.published import load_published
from donna_hw.tables.parts import Row

PUBLISHED_INPUT_SHAPE = (3, 224, 224)


def format_baselines(baselines: Baselines) -> str:
    """Return the baselines, the cheapest first and failed ones last, then the rows of Table 3 without a public definition."""
    measurements, info = baselines.measurements, baselines.info
    rows = [
        _row(baselines, name) for name in sorted(baselines.graphs, key=lambda name: measurements.values.get(name, inf))
    ]
    header = ["network", info.column, "95 % interval", "verdict", "MACs", "parameters", "top-1 %", "published by"]
    if not measurements.rows:  # a computed cost has no interval
        rows = [[*row[:2], *row[4:]] for row in rows]
        header = [*header[:2], *header[4:]]
    images = "x".join(map(str, next(iter(baselines.graphs.values())).input_shape))
    lines = [
        f"{info.quantity} on {info.device}, {info.origin}, on {images} images"
        + (f", on the scale of its table of {info.space}" if not info.space.startswith("baselines") else ""),
        render_table(header, rows),
        *(f"{name} failed: {reason}" for name, reason in measurements.failures.items()),
        *_notes(baselines),
        "without a public definition, so that only the accuracy is known:\n" + _format_undefined(baselines),
    ]
    if baselines.path is not None:
        lines.append(f"{baselines.path}: {len(measurements.values)} networks")
    return "\n\n".join(lines)


def _row(baselines: Baselines, name: str) -> list[str]:
    graph, published = baselines.graphs[name], load_published()[name]
    row, value = baselines.measurements.rows.get(name, {}), baselines.measurements.values.get(name)
    unit = baselines.info.unit
    return [
        name,
        "failed" if value is None else format_quantity(value, unit),
        _interval(row, unit),
        str(row.get("verdict", "")),
        format_quantity(graph.macs, "MAC"),
        format_quantity(graph.params, "parameter"),
        f"{published.top1_percent:g}{' *' if published.note else ''}",
        published.top1_source,
    ]


def _interval(row: Row, unit: str) -> str:
    if "low_s" not in row:
        return ""
    low, high = float(str(row["low_s"])), float(str(row["high_s"]))
    name, size = choose_unit(high, unit)
    return f"{low / size:.4g} to {high / size:.4g} {name}"


def _notes(baselines: Baselines) -> list[str]:
    """Return remarks on the accuracies."""
    published = [load_published()[name] for name in baselines.graphs]
    notes = [f"* {row.network}: {row.note}" for row in published if row.note]
    if any(graph.input_shape != PUBLISHED_INPUT_SHAPE for graph in baselines.graphs.values()):
        notes.append("the accuracies are for 224x224 images, not for these")
    return notes


def _format_undefined(baselines: Baselines) -> str:
    rows = [row for row in load_published().values() if row.network not in baselines.graphs]
    return render_table(
        ["network", "top-1 %", "published by", "why"],
        [[row.title, f"{row.top1_percent:g}", row.top1_source, row.note] for row in rows],
    )
