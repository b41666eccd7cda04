"""The legend of drawn networks: the symbols that occur, wrapped to the figure's width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from donna_hw.reporting.figures.box_glyphs import (
    ACTIVATION_LABELS,
    BOX_WIDTH,
    arrow_labels,
    draw_arrow,
    draw_expansion,
    draw_kernel,
    draw_underline,
)
from donna_hw.reporting.figures.boxes import Box

MEANINGS = {
    "SE": "squeeze-and-excite",
    ACTIVATION_LABELS["swish"]: "Swish",
    ACTIVATION_LABELS["hard_swish"]: "Hard-Swish",
}
TEXT, LETTER = 6.0, 0.0465  # points of the text; inches of a letter, with a small margin
SYMBOL_HEIGHT, LINE, MARGIN, GAP = 0.15, 0.25, 0.08, 0.06  # inches
SAMPLE = 2.5  # expansion of the sample: two lines and a shorter one


class LegendEntry(NamedTuple):
    """One symbol and its meaning; `draw` draws it with its lower left corner at a position."""

    text: str
    draw: Callable[[Axes, float, float], None]

    @property
    def width(self) -> float:
        """Width of the symbol and its text in inches."""
        return BOX_WIDTH + GAP + LETTER * len(self.text) + 2 * GAP


def legend_entries(boxes: Sequence[Box], max_channels: int) -> list[LegendEntry]:
    """Return the symbols that boxes have; `max_channels` are those of the tallest box."""
    kernels = sorted({box.kernel for box in boxes if box.kernel is not None})
    entries = [LegendEntry(f"kernel {kernel}", partial(_kernel, kernel)) for kernel in kernels]
    if max_channels:
        entries.append(LegendEntry(f"height: output channels, the tallest {max_channels}", _height))
    if any(box.expand is not None for box in boxes):
        entries.append(LegendEntry("dashed lines: expansion rate, a shorter one for a fraction", _expansion))
    arrows = {label for box in boxes for label in arrow_labels(box)}
    entries += [LegendEntry(text, partial(_arrow, label)) for label, text in MEANINGS.items() if label in arrows]
    if any(box.grouped for box in boxes):
        entries.append(LegendEntry("line under a box: grouped convolution", _grouped))
    if any(box.kind == "transformer" for box in boxes):
        entries.append(LegendEntry("transformer layer: features of its attention in so many heads", _plain))
    return entries


def wrap_entries(entries: Sequence[LegendEntry], width: float) -> list[list[LegendEntry]]:
    """Return entries in lines of at most `width` inches, each with at least one entry."""
    lines: list[list[LegendEntry]] = []
    remaining = 0.0
    for entry in entries:
        if not lines or entry.width > remaining:
            lines.append([])
            remaining = width - 2 * MARGIN
        lines[-1].append(entry)
        remaining -= entry.width
    return lines


def draw_legend(axes: Axes, lines: Sequence[Sequence[LegendEntry]]) -> None:
    """Draw lines of entries at the lower edge of axes whose unit is the inch, `LINE` inches each."""
    for number, line in enumerate(reversed(lines)):
        x, y = MARGIN, MARGIN + LINE * number
        for entry in line:
            entry.draw(axes, x, y)
            axes.text(x + BOX_WIDTH + GAP, y + SYMBOL_HEIGHT / 2, entry.text, fontsize=TEXT, va="center")
            x += entry.width


def _box(axes: Axes, x: float, y: float, height: float) -> None:
    axes.add_patch(Rectangle((x, y), BOX_WIDTH, height, facecolor="white", edgecolor="black", linewidth=0.6))


def _kernel(kernel: int, axes: Axes, x: float, y: float) -> None:
    draw_kernel(axes, kernel, (x, y), SYMBOL_HEIGHT)


def _height(axes: Axes, x: float, y: float) -> None:
    axes.annotate(
        "",
        (x + BOX_WIDTH / 2, y),
        (x + BOX_WIDTH / 2, y + SYMBOL_HEIGHT),
        arrowprops={
            "arrowstyle": "<|-|>,head_width=0.1,head_length=0.16",
            "lw": 0.6,
            "color": "black",
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )


def _expansion(axes: Axes, x: float, y: float) -> None:
    _box(axes, x, y, SYMBOL_HEIGHT / 3)
    draw_expansion(axes, SAMPLE, x, y + SYMBOL_HEIGHT / 3)


def _arrow(label: str, axes: Axes, x: float, y: float) -> None:
    draw_arrow(axes, label, x + BOX_WIDTH / 2, y - 0.03)


def _plain(axes: Axes, x: float, y: float) -> None:
    draw_kernel(axes, None, (x, y), SYMBOL_HEIGHT)


def _grouped(axes: Axes, x: float, y: float) -> None:
    _box(axes, x, y + 0.06, SYMBOL_HEIGHT - 0.06)
    draw_underline(axes, x, y + 0.06)
