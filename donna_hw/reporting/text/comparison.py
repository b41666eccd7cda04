"""What `donna-hw table compare` prints: how two tables differ, by how much, and in which blocks significantly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw._core.units import format_quantity
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.welch import ALPHA, WelchTest
from donna_hw.reporting.text.rich_table import render_table
from donna_hw.tables.comparison import TableComparison
from donna_hw.tables.lookup import axis_columns

MAX_NAMES = 3


def format_comparison(comparison: TableComparison, top: int = 10) -> str:
    """Return the differences of identity, the figures of both views, and the `top` largest significant differences of each."""
    views = {"seconds": comparison.absolute} | ({"of the sentinel": comparison.relative} if comparison.relative else {})
    parts = [_identities(comparison), _matches(comparison), _figures(comparison, views)]
    if comparison.relative is None:
        parts.append(
            "no comparison relative to the sentinel: the tables lack a common sentinel with a reference latency"
        )
    parts += [_largest(comparison, name, view, top) for name, view in views.items()]
    return "\n\n".join(parts)


def _identities(comparison: TableComparison) -> str:
    lines = [
        f"{letter}: {table.path}, of {table.info.space} on {table.info.device}, {table.info.created}"
        for letter, table in (("A", comparison.a), ("B", comparison.b))
    ]
    lines += (
        _differences(comparison.identity_differences) if comparison.identity_differences else ["identity: the same"]
    )
    if comparison.condition_differences:
        lines += ["recorded conditions:", *_differences(comparison.condition_differences)]
    return "\n".join(lines)


def _differences(differences: Sequence[tuple[str, Scalar | None, Scalar | None]]) -> list[str]:
    return [f"  {key} differs: {a!r} in A, {b!r} in B" for key, a, b in differences]


def _matches(comparison: TableComparison) -> str:
    lines = [f"{len(comparison.frame_a)} blocks compared"]
    for place, names in (("only in A", comparison.only_a), ("only in B", comparison.only_b)):
        lines.append(f"{len(names)} {place}{_format_names(names)}")
    if comparison.changed_blocks:
        lines.append(
            f"{len(comparison.changed_blocks)} with the same name but different layers"
            f"{_format_names(comparison.changed_blocks)}: not compared"
        )
    untested = int((~comparison.absolute.is_testable).sum())
    if untested:
        lines.append(f"{untested} measured in one round only, so that their difference cannot be tested")
    if "verdict" in comparison.frame_a and "verdict" in comparison.frame_b:
        untrusted = (comparison.frame_a["verdict"] != "trusted") | (comparison.frame_b["verdict"] != "trusted")
        lines.append(f"{int(untrusted.sum())} of those compared are not trusted in A or B")
    return "\n".join(lines)


def _format_names(names: Sequence[str]) -> str:
    return f" ({', '.join(names[:MAX_NAMES])}{', ...' * (len(names) > MAX_NAMES)})" if names else ""


def _figures(comparison: TableComparison, views: dict[str, WelchTest]) -> str:
    tests = list(views.values())

    def counts(field: str) -> list[list[object]]:
        marks = [getattr(view, field) for view in tests]
        return [
            [int((mark & (np.sign(view.estimate) == sign)).sum()) for view, mark in zip(tests, marks, strict=True)]
            for sign in (-1, 1)
        ]

    faster, slower = counts("significant")
    surely_faster, surely_slower = counts("significant_fdr")
    rows: list[tuple[str, Sequence[object]]] = [
        ("common factor, median of B / A", [f"{view.common_factor:.4f}" for view in tests]),
        ("median |deviation| of B from A", [f"{100 * view.median_relative_difference:.2f} %" for view in tests]),
        ("agree: difference within its 95 % interval", [f"{100 * view.agreement_rate:.1f} %" for view in tests]),
        ("the two 95 % intervals overlap", [f"{100 * view.overlap_rate:.1f} %" for view in tests]),
        ("B faster, each block tested alone (p < 5 %)", faster),
        ("B slower, each block tested alone", slower),
        (f"B faster, at most {100 * ALPHA:.0f} % of the findings false", surely_faster),
        (f"B slower, at most {100 * ALPHA:.0f} % of the findings false", surely_slower),
    ]
    half_a, half_b = comparison.half_widths
    lines = [
        render_table(["B against A", *views], [[name, *cells] for name, cells in rows]),
        f"median half-width of the 95 % intervals: {100 * half_a:.2f} % in A, {100 * half_b:.2f} % in B",
    ]
    return "\n".join(lines)


def _largest(comparison: TableComparison, name: str, view: WelchTest, top: int) -> str:
    """Return the blocks that differ surely, those that differ most first."""
    size = np.abs(view.estimate)
    picks = [int(i) for i in np.argsort(-size, kind="stable") if view.significant_fdr[i]]
    if not picks:
        return f"{name}: no significant difference"
    header = [" ".join(["block:", "part", *axis_columns(comparison.frame_a)]), "A", "B", *_header(view), "p"]
    names = comparison.names
    rows = [
        [names[i], _value(view.a[i], name), _value(view.b[i], name), *_cells(view, i, name), f"{view.p[i]:.2g}"]
        for i in picks[:top]
    ]
    return f"{name}: {len(picks)} significant differences, the largest first:\n{render_table(header, rows)}"


def _header(view: WelchTest) -> list[str]:
    return ["B / A" if view.scale == "log" else "B - A", "95 % interval"]


def _cells(view: WelchTest, i: int, name: str) -> list[str]:
    """Return a difference and its interval; they are of the means over rounds, and may differ a little from the medians."""
    values = [view.estimate[i], view.low[i], view.high[i]]
    texts = [f"{np.exp(v):.3f}" for v in values] if view.scale == "log" else [_value(v, name) for v in values]
    return [texts[0], f"{texts[1]} to {texts[2]}"]


def _value(value: float, name: str) -> str:
    return format_quantity(value, "s") if name == "seconds" else f"{value:.4g}"
