"""The style of all figures, how they are saved (with the same bytes each time), and the labels of cost axes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from donna_hw._core.files import write_atomic

# The colors of Okabe and Ito, which color-blind readers can distinguish; markers differ in shape too, for print without color.
BLUE, ORANGE, GREEN, GRAY, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#777777", "#CC79A7", "#56B4E9"
COLUMN_WIDTH = 3.5  # inches: the width of one column
PNG_DPI = 200
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#333333",
    "axes.grid": True,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 7,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.4,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "donna_hw",  # otherwise the names of clip paths differ between files
    "xtick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.labelsize": 7,
    "ytick.major.width": 0.6,
}
paper_style = mpl.rc_context(STYLE)  # a decorator of functions that draw
METRIC_NAMES = {"s": "latency", "J": "energy", "MAC": "multiply-accumulates", "parameter": "parameters"}


def cost_label(name: str, unit: str, shown: str) -> str:
    """Return the label of a cost's axis, such as `latency on onnxruntime_cpu [us]`.

    Args:
        name: Name of the cost, `[METRIC@]DEVICE`.
        unit: Its internal unit, such as `s`.
        shown: Unit of the axis, such as `us`.
    """
    metric = METRIC_NAMES[unit]
    device = "" if name in ("macs", "params") else f" on {name.rpartition('@')[2]}"
    return f"{metric}{device} [{shown}]"


@paper_style
def save_figure(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write a figure as `<path>.svg` and `<path>.png` on white, without a date: the same figure gives the same bytes."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # otherwise each drawing starts from the previous layout and shifts slightly
    drawing, image = io.StringIO(), io.BytesIO()
    figure.savefig(drawing, format="svg", metadata={"Date": None})
    figure.savefig(image, format="png", dpi=PNG_DPI, metadata={"Software": None})
    files = path.with_name(f"{path.name}.svg"), path.with_name(f"{path.name}.png")
    write_atomic(files[0], drawing.getvalue())
    write_atomic(files[1], image.getvalue())
    return files
