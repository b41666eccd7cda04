"""The picture of a simulation: what each operator reaches, under the roof of what the array and DRAM allow.

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

# Okabe and Ito's colours; the marks differ in shape too.
MARKERS = {
    "array": (BLUE, "o"),
    "dma": (ORANGE, "s"),
    "vector": (GREEN, "^"),
    "output": (PURPLE, "D"),
    "sram": (SKY, "v"),
    "overhead": (GRAY, "X"),
}
MAX_LABELS = 6  # dearest operators that are named
SMALLEST, LARGEST = 26.0, 1400.0  # areas of marks, for no time and for all of it, in square points
LABEL_OVERLAP = 0.06  # decades within which two labels would cover each other


def draw_roofline(simulation: SimulationResult) -> Figure:
    """Return the picture: multiply-accumulates a DRAM byte to the right, a cycle upwards, both logarithmic.

    DRAM bytes are those moved while the operator ran, so that a mark lies under the roof. Operators without DRAM traffic stand in a
    strip at the right border, those without multiply-accumulates are named beside the picture.
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
    for bound, (color, mark) in MARKERS.items():
        chosen = marks[marks["bound_by"] == bound]
        axes.scatter(
            chosen["intensity"].clip(upper=border),
            chosen["reached"],
            s=SMALLEST + LARGEST * chosen["share"],
            color=color,
            marker=mark,
            alpha=0.75,
            edgecolors="white",
            linewidths=0.8,
            zorder=3,
        )
    _number_operators(axes, marks, border)
    axes.set_title(f"{shorten(simulation.model, 40)} on {shorten(simulation.device, 30)}, simulated", parse_math=False)
    axes.set_xlabel("multiply-accumulates a byte of DRAM traffic")
    axes.set_ylabel("multiply-accumulates a cycle")
    _legend(figure, marks, frame[~on_array])
    return figure


def render_roofline(simulation: SimulationResult, kind: str) -> bytes:
    """Return the picture as a file of that kind, `svg` or `png`; the same simulation gives the same bytes."""
    content = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "donna_hw"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in letters that the font lacks is drawn as boxes
        draw_roofline(simulation).savefig(
            content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {}
        )
    return content.getvalue()


def _peak(hardware: Hardware, precision: str) -> float:
    """Return the multiply-accumulates a cycle of the whole array."""
    return hardware.array.rows * hardware.array.cols * hardware.macs_per_element(precision)


def _peaks(marks: pd.DataFrame, hardware: Hardware) -> dict[float, str]:
    """Return the peaks that matter and their precisions: the hardware's own, and those that an operator's utilisation is of."""
    peaks: dict[float, str] = {_peak(hardware, hardware.precision): hardware.precision}
    used = (marks["reached"] / marks["utilization"].where(marks["utilization"] > 0)).to_numpy(np.float64)
    own = set(peaks)
    for precision in ELEMENT_BYTES:
        peak = _peak(hardware, precision)
        if peak not in own and np.isclose(used, peak, rtol=1e-6).any():
            peaks[peak] = f"{peaks[peak]}, {precision}" if peak in peaks else precision
    return {peak: names for peak, names in peaks.items() if math.isfinite(peak)}


def _frame(axes: Axes, marks: pd.DataFrame, hardware: Hardware) -> float:
    """Set the scales so that every mark and the roof's ridge are seen; return where marks without DRAM traffic stand."""
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
            border, 0.02, "no DRAM traffic", transform=axes.get_xaxis_transform(), rotation=90, ha="center", fontsize=8, color=GRAY
        )  # fmt: skip
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
    """Draw the hardware's own roof solid, and roofs of other precisions that operators run in dashed."""
    low, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    bandwidth = hardware.memory.dram_bytes_per_cycle
    peaks = _peaks(marks, hardware)
    own = _peak(hardware, hardware.precision)
    for peak, names in peaks.items():
        ridge = max(peak / bandwidth, low)
        main = peak == own
        axes.plot(
            [min(ridge, right), right], [peak, peak], color="black" if main else GRAY, lw=1.4 if main else 1, ls="-" if main else "--"
        )  # fmt: skip
        axes.annotate(
            f"array: {peak:g} a cycle, {names}", (right, peak), (-6, 4), textcoords="offset points", ha="right", fontsize=8, color="#444444"
        )  # fmt: skip
    if math.isfinite(bandwidth):
        end = min(right, max(peaks, default=math.inf) / bandwidth)
        axes.plot([low, end], [low * bandwidth, end * bandwidth], color="black", lw=1.4)
        start = max(low, bottom / bandwidth)
        middle = start * (end / start) ** 0.5
        above = (top / bottom) ** 0.03  # clear of marks on the line
        axes.text(
            middle, middle * bandwidth * above, f"DRAM: {bandwidth:g} bytes a cycle", fontsize=8, color="#444444", ha="center",
            rotation=math.degrees(math.atan(bandwidth * above)), transform_rotates_text=True, rotation_mode="anchor",
        )  # fmt: skip


def _number_operators(axes: Axes, marks: pd.DataFrame, border: float) -> None:
    """Number the dearest operators, dearest first; those that lie on one another share a place."""
    places: list[tuple[float, float, float, list[str]]] = []
    for number, op in enumerate(marks.head(MAX_LABELS).to_dict("records"), 1):
        x, y = min(op["intensity"], border), op["reached"]
        near = (
            p for p in places if abs(math.log10(p[0] / x)) < LABEL_OVERLAP and abs(math.log10(p[1] / y)) < LABEL_OVERLAP
        )
        place = next(near, None)
        if place is None:
            radius = math.sqrt(SMALLEST + LARGEST * op["share"]) * 0.65  # of a diamond, nearly
            places.append((x, y, radius, [str(number)]))
        else:
            place[3].append(str(number))
    for x, y, radius, numbers in places:
        axes.annotate(
            ", ".join(numbers), (x, y), (0, radius + 1), textcoords="offset points", ha="center", fontsize=8,
            fontweight="bold", zorder=4, path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip


def _legend(figure: Figure, marks: pd.DataFrame, others: pd.DataFrame) -> None:
    """Write beside the picture what bounds, which operators the numbers are, and which are not drawn."""
    handles, labels, heads = [], [], []

    def add(label: str, handle: Line2D | None = None) -> None:
        handles.append(handle or Line2D([], [], ls=""))
        labels.append(label)

    def head(label: str) -> None:
        if labels:
            add("")
        heads.append(len(labels))
        add(label)

    head("bound by, share of the time; area ~ time")
    for bound, (color, mark) in MARKERS.items():
        share = marks.loc[marks["bound_by"] == bound, "share"]
        if len(share):
            add(f"{bound}  {_percent(share.sum())}", Line2D([], [], ls="", marker=mark, color=color, ms=7, alpha=0.75))
    if len(marks):
        head("the dearest")
        for number, op in enumerate(marks.head(MAX_LABELS).to_dict("records"), 1):
            add(
                _format_operator(op),
                Line2D([], [], ls="", marker=f"${number}$", color="black", ms=6, mew=0.2),
            )
    if len(others):
        head(f"no multiply-accumulates, not drawn: {_percent(others['share'].sum())}")
        for line in _undrawn_labels(others):
            add(line)
    legend = figure.legend(handles, labels, fontsize=8, loc="outside right upper", frameon=False, labelspacing=0.35)
    for number, text in enumerate(legend.get_texts()):
        text.set_parse_math(False)
        if number in heads:
            text.set_fontweight("bold")


def _undrawn_labels(others: pd.DataFrame) -> Iterator[str]:
    """Return the dearest operators that are not drawn, and how many more there are."""
    dearest = others.sort_values("share", ascending=False, kind="stable")
    for op in dearest.head(MAX_LABELS).to_dict("records"):
        yield _format_operator(op)
    rest = dearest.iloc[MAX_LABELS:]
    if len(rest):
        yield f"{len(rest)} more  {_percent(rest['share'].sum())}"


def _format_operator(op: dict[Hashable, Any]) -> str:
    """Return an operator's name, with its type where the name does not end in it, and its share."""
    name, kind = shorten(op["name"], 34), shorten(op["op_type"], 20)
    return f"{name if name.endswith(kind) else f'{name}, {kind}'}  {_percent(op['share'])}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
