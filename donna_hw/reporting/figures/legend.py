"""What the signs of drawn networks mean: a legend of those that occur, wrapped to the figure's width."""

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
TEXT, LETTER = 6.0, 0.0465  # points of the words; inches of one of their letters, a little more than they need
SIGN_HEIGHT, LINE, MARGIN, GAP = 0.15, 0.25, 0.08, 0.06  # inches
SAMPLE = 2.5  # expansion of the sample: two lines and a short one


class LegendEntry(NamedTuple):
    """One sign with what it means; draw puts it with its left lower corner at a place."""

    text: str
    draw: Callable[[Axes, float, float], None]

    @property
    def width(self) -> float:
        """Width of the sign and its words."""
        return BOX_WIDTH + GAP + LETTER * len(self.text) + 2 * GAP


def legend_entries(boxes: Sequence[Box], most: int) -> list[LegendEntry]:
    """Return the signs that boxes have; most: channels of the tallest one."""
    kernels = sorted({box.kernel for box in boxes if box.kernel is not None})
    found = [LegendEntry(f"kernel {kernel}", partial(_kernel, kernel)) for kernel in kernels]
    if most:
        found.append(LegendEntry(f"height: output channels, the tallest {most}", _height))
    if any(box.expand is not None for box in boxes):
        found.append(LegendEntry("dashed lines: expansion rate, a shorter one for a fraction", _expansion))
    arrows = {sign for box in boxes for sign in arrow_labels(box)}
    found += [LegendEntry(words, partial(_arrow, sign)) for sign, words in MEANINGS.items() if sign in arrows]
    if any(box.grouped for box in boxes):
        found.append(LegendEntry("line under a box: grouped convolution", _grouped))
    if any(box.kind == "transformer" for box in boxes):
        found.append(LegendEntry("transformer layer: features of its attention in so many heads", _plain))
    return found


def wrap_entries(found: Sequence[LegendEntry], width: float) -> list[list[LegendEntry]]:
    """Return entries in lines of at most so many inches, each of one entry or more."""
    lines: list[list[LegendEntry]] = []
    left = 0.0
    for entry in found:
        if not lines or entry.width > left:
            lines.append([])
            left = width - 2 * MARGIN
        lines[-1].append(entry)
        left -= entry.width
    return lines


def draw_legend(axes: Axes, lines: Sequence[Sequence[LegendEntry]]) -> None:
    """Draw lines of entries at the lower border of axes whose unit is the inch, `LINE` inches each."""
    for number, line in enumerate(reversed(lines)):
        x, y = MARGIN, MARGIN + LINE * number
        for entry in line:
            entry.draw(axes, x, y)
            axes.text(x + BOX_WIDTH + GAP, y + SIGN_HEIGHT / 2, entry.text, fontsize=TEXT, va="center")
            x += entry.width


def _box(axes: Axes, x: float, y: float, height: float) -> None:
    axes.add_patch(Rectangle((x, y), BOX_WIDTH, height, facecolor="white", edgecolor="black", linewidth=0.6))


def _kernel(kernel: int, axes: Axes, x: float, y: float) -> None:
    draw_kernel(axes, kernel, (x, y), SIGN_HEIGHT)


def _height(axes: Axes, x: float, y: float) -> None:
    axes.annotate(
        "",
        (x + BOX_WIDTH / 2, y),
        (x + BOX_WIDTH / 2, y + SIGN_HEIGHT),
        arrowprops={
            "arrowstyle": "<|-|>,head_width=0.1,head_length=0.16",
            "lw": 0.6,
            "color": "black",
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )


def _expansion(axes: Axes, x: float, y: float) -> None:
    _box(axes, x, y, SIGN_HEIGHT / 3)
    draw_expansion(axes, SAMPLE, x, y + SIGN_HEIGHT / 3)


def _arrow(sign: str, axes: Axes, x: float, y: float) -> None:
    draw_arrow(axes, sign, x + BOX_WIDTH / 2, y - 0.03)


def _plain(axes: Axes, x: float, y: float) -> None:
    draw_kernel(axes, None, (x, y), SIGN_HEIGHT)


def _grouped(axes: Axes, x: float, y: float) -> None:
    _box(axes, x, y + 0.06, SIGN_HEIGHT - 0.06)
    draw_underline(axes, x, y + 0.06)
