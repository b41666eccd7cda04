"""The roofline plot of a simulation: the throughput of each operator, below what the array and DRAM allow.

Roofline model: Williams, Waterman and Patterson, Communications of the ACM 52(4), 2009.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Hashable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, LogFormatter, StrMethodFormatter

from donna_hw.reporting.figures.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY
from donna_hw.reporting.text.simulation import shorten
from donna_hw.simulator.hardware import ELEMENT_BYTES, Hardware
from donna_hw.simulator.results import SimulationResult

# The colors of Okabe and Ito; the markers differ in shape too.
MARKERS = {
    "array": (BLUE, "o"),
    "dma": (ORANGE, "s"),
    "vector": (GREEN, "^"),
    "output": (PURPLE, "D"),
    "sram": (SKY, "v"),
    "overhead": (GRAY, "X"),
}
MAX_LABELS = 6  # most expensive operators, which are named
SMALLEST, LARGEST = 26.0, 1400.0  # areas of markers in square points, for no time and for all of it
LABEL_OVERLAP = 0.06  # decades within which two labels would overlap


def draw_roofline(simulation: SimulationResult) -> Figure:
    """Return the plot: multiply-accumulates per cycle over multiply-accumulates per DRAM byte, both logarithmic.

    DRAM bytes are those moved while the operator ran, so every marker lies below the roof. Operators without DRAM traffic are in a strip
    at the right border, and those without multiply-accumulates are listed next to the plot.
    """
    frame = simulation.to_frame()
    frame["share"] = frame["total_cycles"].astype(float) / max(simulation.total_cycles, 1)
    on_array = (frame["macs"] > 0) & (frame["total_cycles"] > 0)
    marks = frame[on_array].astype({"macs": float, "total_cycles": float, "dram_bytes": float, "utilization": float})
    marks["reached"] = marks["macs"] / marks["total_cycles"]
    with np.errstate(divide="ignore"):
        marks["intensity"] = marks["macs"].to_numpy() / marks["dram_bytes"].to_numpy()
    marks = marks.sort_values("share", ascending=False, kind="stable")

    figure = Figure(figsize=(9.6, 5.6), layout="constrained")
    axes = figure.add_subplot()
    border = _frame(axes, marks, simulation.hardware)
    _roof(axes, marks, simulation.hardware)
    for bound, (color, marker) in MARKERS.items():
        group = marks[marks["bound_by"] == bound]
        axes.scatter(
            group["intensity"].clip(upper=border),
            group["reached"],
            s=SMALLEST + LARGEST * group["share"],
            color=color,
            marker=marker,
            alpha=0.75,
            edgecolors="white",
            linewidths=0.8,
            zorder=3,
        )
    _number_operators(axes, marks, border)
    axes.set_title(f"{shorten(simulation.model, 40)} on {shorten(simulation.device, 30)}, simulated", parse_math=False)
    axes.set_xlabel("multiply-accumulates per byte of DRAM traffic")
    axes.set_ylabel("multiply-accumulates per cycle")
    _legend(figure, marks, frame[~on_array])
    return figure


def render_roofline(simulation: SimulationResult, kind: str) -> bytes:
    """Return the plot as the bytes of an `svg` or `png` file; the same simulation gives the same bytes."""
    content = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "donna_hw"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # letters that the font lacks are drawn as boxes
        draw_roofline(simulation).savefig(
            content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {}
        )
    return content.getvalue()


def _peak(hardware: Hardware, precision: str) -> float:
    """Return the multiply-accumulates per cycle of the whole array."""
    return hardware.array.rows * hardware.array.cols * hardware.macs_per_element(precision)


def _peaks(marks: pd.DataFrame, hardware: Hardware) -> dict[float, str]:
    """Return the relevant peaks and their precisions: the hardware's own, and those that an operator's utilization refers to."""
    peaks: dict[float, str] = {_peak(hardware, hardware.precision): hardware.precision}
    used = (marks["reached"] / marks["utilization"].where(marks["utilization"] > 0)).to_numpy(np.float64)
    default = set(peaks)
    for precision in ELEMENT_BYTES:
        peak = _peak(hardware, precision)
        if peak not in default and np.isclose(used, peak, rtol=1e-6).any():
            peaks[peak] = f"{peaks[peak]}, {precision}" if peak in peaks else precision
    return {peak: names for peak, names in peaks.items() if math.isfinite(peak)}


def _frame(axes: Axes, marks: pd.DataFrame, hardware: Hardware) -> float:
    """Set the scales so that every marker and the roof's ridge are visible; return the x of markers without DRAM traffic."""
    peak, bandwidth = _peak(hardware, hardware.precision), hardware.memory.dram_bytes_per_cycle
    finite = marks["intensity"][np.isfinite(marks["intensity"])].tolist()
    xs = [x for x in (*finite, peak / bandwidth) if math.isfinite(x) and x > 0] or [1.0]
    ys = [y for y in (*marks["reached"], *_peaks(marks, hardware)) if y > 0] or [1.0]
    low, high = min(xs) / 2.5, max(xs) * 4
    strip = bool(len(finite) < len(marks))
    right = high * (high / low) ** 0.12 if strip else high
    axes.set(
        xscale="log", yscale="log", xlim=(low, right), ylim=(min(ys) / 2.5, max(max(ys) * 2.2, min(ys) * 4.5))
    )  # a decade at least
    border = math.sqrt(high * right) if strip else right
    if strip:
        axes.axvspan(high, right, color="#EEEEEE", zorder=0)
        axes.text(
            border,
            0.02,
            "no DRAM traffic",
            transform=axes.get_xaxis_transform(),
            rotation=90,
            ha="center",
            fontsize=8,
            color=GRAY,
        )
        powers = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)))
        axes.xaxis.set_major_locator(FixedLocator(powers[powers > low]))
        between = np.outer(powers, np.arange(2, 10)).ravel()
        axes.xaxis.set_minor_locator(FixedLocator(between[(between > low) & (between < high)]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(LogFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return border


def _roof(axes: Axes, marks: pd.DataFrame, hardware: Hardware) -> None:
    """Draw the roof of the hardware's precision solid, and roofs of other precisions that operators use dashed."""
    low, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    bandwidth = hardware.memory.dram_bytes_per_cycle
    peaks = _peaks(marks, hardware)
    main_peak = _peak(hardware, hardware.precision)
    for peak, names in peaks.items():
        ridge = max(peak / bandwidth, low)
        main = peak == main_peak
        axes.plot(
            [min(ridge, right), right],
            [peak, peak],
            color="black" if main else GRAY,
            lw=1.4 if main else 1,
            ls="-" if main else "--",
        )
        axes.annotate(
            f"array: {peak:g} per cycle, {names}",
            (right, peak),
            (-6, 4),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color="#444444",
        )
    if math.isfinite(bandwidth):
        end = min(right, max(peaks, default=math.inf) / bandwidth)
        axes.plot([low, end], [low * bandwidth, end * bandwidth], color="black", lw=1.4)
        start = max(low, bottom / bandwidth)
        middle = start * (end / start) ** 0.5
        above = (top / bottom) ** 0.03  # clear of markers on the line
        axes.text(
            middle,
            middle * bandwidth * above,
            f"DRAM: {bandwidth:g} bytes per cycle",
            fontsize=8,
            color="#444444",
            ha="center",
            rotation=math.degrees(math.atan(bandwidth * above)),
            transform_rotates_text=True,
            rotation_mode="anchor",
        )


def _number_operators(axes: Axes, marks: pd.DataFrame, border: float) -> None:
    """Number the most expensive operators in descending order; those that overlap share a label."""
    labels: list[tuple[float, float, float, list[str]]] = []
    for number, op in enumerate(marks.head(MAX_LABELS).to_dict("records"), 1):
        x, y = min(op["intensity"], border), op["reached"]
        near = (
            label
            for label in labels
            if abs(math.log10(label[0] / x)) < LABEL_OVERLAP and abs(math.log10(label[1] / y)) < LABEL_OVERLAP
        )
        label = next(near, None)
        if label is None:
            radius = math.sqrt(SMALLEST + LARGEST * op["share"]) * 0.65  # approximately that of a diamond
            labels.append((x, y, radius, [str(number)]))
        else:
            label[3].append(str(number))
    for x, y, radius, numbers in labels:
        axes.annotate(
            ", ".join(numbers),
            (x, y),
            (0, radius + 1),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            fontweight="bold",
            zorder=4,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def _legend(figure: Figure, marks: pd.DataFrame, others: pd.DataFrame) -> None:
    """Draw the legend: what bounds the operators, the numbered ones, and those that are not drawn."""
    handles, labels, headings = [], [], []

    def add(label: str, handle: Line2D | None = None) -> None:
        handles.append(handle or Line2D([], [], ls=""))
        labels.append(label)

    def add_heading(label: str) -> None:
        if labels:
            add("")
        headings.append(len(labels))
        add(label)

    add_heading("bound by, share of time; area ~ time")
    for bound, (color, marker) in MARKERS.items():
        share = marks.loc[marks["bound_by"] == bound, "share"]
        if len(share):
            add(
                f"{bound}  {_percent(share.sum())}", Line2D([], [], ls="", marker=marker, color=color, ms=7, alpha=0.75)
            )
    if len(marks):
        add_heading("the most expensive")
        for number, op in enumerate(marks.head(MAX_LABELS).to_dict("records"), 1):
            add(
                _format_operator(op),
                Line2D([], [], ls="", marker=f"${number}$", color="black", ms=6, mew=0.2),
            )
    if len(others):
        add_heading(f"no multiply-accumulates, not drawn: {_percent(others['share'].sum())}")
        for line in _undrawn_labels(others):
            add(line)
    legend = figure.legend(handles, labels, fontsize=8, loc="outside right upper", frameon=False, labelspacing=0.35)
    for number, text in enumerate(legend.get_texts()):
        text.set_parse_math(False)
        if number in headings:
            text.set_fontweight("bold")


def _undrawn_labels(others: pd.DataFrame) -> Iterator[str]:
    """Yield the most expensive operators that are not drawn, and how many more there are."""
    ranked = others.sort_values("share", ascending=False, kind="stable")
    for op in ranked.head(MAX_LABELS).to_dict("records"):
        yield _format_operator(op)
    rest = ranked.iloc[MAX_LABELS:]
    if len(rest):
        yield f"{len(rest)} more  {_percent(rest['share'].sum())}"


def _format_operator(op: dict[Hashable, Any]) -> str:
    """Return an operator's name, its type where the name does not end with it, and its share of the time."""
    name, kind = shorten(op["name"], 34), shorten(op["op_type"], 20)
    return f"{name if name.endswith(kind) else f'{name}, {kind}'}  {_percent(op['share'])}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
