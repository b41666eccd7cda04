"""What `donna-hw table compare` prints: in what two tables differ, by how much, and in which blocks surely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw._core.units import format_quantity
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.welch import ALPHA, WelchTest
from donna_hw.reporting.text.summaries import tabulate as aligned
from donna_hw.tables.comparison import TableComparison
from donna_hw.tables.lookup import axis_columns

MAX_NAMES = 3


def format_comparison(found: TableComparison, top: int = 10) -> str:
    """Return the differences of identity, the figures of both views, and the `top` largest significant differences of each."""
    views = {"seconds": found.absolute} | ({"of the sentinel": found.relative} if found.relative else {})
    parts = [_identities(found), _matches(found), _figures(found, views)]
    if found.relative is None:
        parts.append(
            "no view relative to the sentinel: the tables must have a sentinel of the same layers and its reference"
        )
    parts += [_largest(found, name, view, top) for name, view in views.items()]
    return "\n\n".join(parts)


def _identities(found: TableComparison) -> str:
    lines = [
        f"{letter}: {table.path}, of {table.info.space} on {table.info.device}, {table.info.created}"
        for letter, table in (("A", found.a), ("B", found.b))
    ]
    lines += _differences(found.identity_differences) if found.identity_differences else ["identity: the same"]
    if found.condition_differences:
        lines += ["recorded conditions:", *_differences(found.condition_differences)]
    return "\n".join(lines)


def _differences(unlike: Sequence[tuple[str, Scalar | None, Scalar | None]]) -> list[str]:
    return [f"  {key} differs: {a!r} in A, {b!r} in B" for key, a, b in unlike]


def _matches(found: TableComparison) -> str:
    lines = [f"{len(found.frame_a)} blocks compared"]
    for what, names in (("only in A", found.only_a), ("only in B", found.only_b)):
        lines.append(f"{len(names)} {what}{_format_names(names)}")
    if found.changed_blocks:
        lines.append(
            f"{len(found.changed_blocks)} of one name, but of different layers{_format_names(found.changed_blocks)}: not compared"
        )
    untested = int((~found.absolute.is_testable).sum())
    if untested:
        lines.append(f"{untested} measured in one round, which shows no spread over rounds: no test")
    if "verdict" in found.frame_a and "verdict" in found.frame_b:
        doubted = (found.frame_a["verdict"] != "trusted") | (found.frame_b["verdict"] != "trusted")
        lines.append(f"{int(doubted.sum())} of those compared not trusted in A or B")
    return "\n".join(lines)


def _format_names(names: Sequence[str]) -> str:
    return f" ({', '.join(names[:MAX_NAMES])}{', ...' * (len(names) > MAX_NAMES)})" if names else ""


def _figures(found: TableComparison, views: dict[str, WelchTest]) -> str:
    shown = list(views.values())

    def counts(of: str) -> list[list[object]]:
        marks = [getattr(view, of) for view in shown]
        return [
            [int((mark & (np.sign(view.estimate) == sign)).sum()) for view, mark in zip(shown, marks, strict=True)]
            for sign in (-1, 1)
        ]

    faster, slower = counts("significant")
    surely_faster, surely_slower = counts("discovered")
    rows: list[tuple[str, Sequence[object]]] = [
        ("common factor, median of B / A", [f"{view.common_factor:.4f}" for view in shown]),
        ("median |deviation| of B from A", [f"{100 * view.median_relative_difference:.2f} %" for view in shown]),
        ("agree: difference within its 95 % interval", [f"{100 * view.agreement_rate:.1f} %" for view in shown]),
        ("the two 95 % intervals overlap", [f"{100 * view.overlap_rate:.1f} %" for view in shown]),
        ("B faster, each block judged alone (p < 5 %)", faster),
        ("B slower, each block judged alone", slower),
        (f"B faster, at most {100 * ALPHA:.0f} % of the findings false", surely_faster),
        (f"B slower, at most {100 * ALPHA:.0f} % of the findings false", surely_slower),
    ]
    half_a, half_b = found.half_widths
    lines = [
        aligned(["B against A", *views], [[name, *cells] for name, cells in rows]),
        f"median half-width of the 95 % intervals: {100 * half_a:.2f} % in A, {100 * half_b:.2f} % in B",
    ]
    return "\n".join(lines)


def _largest(found: TableComparison, name: str, view: WelchTest, top: int) -> str:
    """Return the blocks that differ surely, those that differ most first."""
    size = np.abs(view.estimate)
    picks = [int(i) for i in np.argsort(-size, kind="stable") if view.significant_fdr[i]]
    if not picks:
        return f"{name}: no significant difference"
    header = [" ".join(["block:", "part", *axis_columns(found.frame_a)]), "A", "B", *_header(view), "p"]
    names = found.names
    rows = [
        [names[i], _value(view.a[i], name), _value(view.b[i], name), *_cells(view, i, name), f"{view.p[i]:.2g}"]
        for i in picks[:top]
    ]
    return f"{name}: {len(picks)} significant differences, the largest first:\n{aligned(header, rows)}"


def _header(view: WelchTest) -> list[str]:
    return ["B / A" if view.scale == "log" else "B - A", "95 % interval"]


def _cells(view: WelchTest, i: int, name: str) -> list[str]:
    """Return a difference and its interval; they are of the means over rounds, and may differ a little from the medians."""
    values = [view.estimate[i], view.low[i], view.high[i]]
    texts = [f"{np.exp(v):.3f}" for v in values] if view.scale == "log" else [_value(v, name) for v in values]
    return [texts[0], f"{texts[1]} to {texts[2]}"]


def _value(value: float, name: str) -> str:
    return format_quantity(value, "s") if name == "seconds" else f"{value:.4g}"
