"""One box of a drawn network and its symbols, on axes whose unit is the inch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from donna_hw.reporting.figures.boxes import Box

PITCH, BOX_WIDTH = 0.285, 0.2  # inches: from box to box, and of a box's width
SMALL, SMALLEST, LARGEST = 5.0, 4.5, 7.0  # points of text
POINTS = 72  # of an inch
# fill and text color by kernel: the paper's green, blue and red, in three steps of lightness, so that they differ without color
KERNELS = {3: ("#B7E4C7", "black"), 5: ("#56A5DC", "black"), 7: ("#B23A2E", "white")}
OTHER = ("#E6E6E6", "black")
LINE_GAP, ARROW, SIGN = 0.026, 0.1, 0.09  # inches: between dashed lines, of an arrow, of its name
UNDERLINE, LETTER = 0.035, 0.039  # inches: from a box to the line under it, of a small letter
ACTIVATION_LABELS = {"swish": "Sw", "hard_swish": "HS"}


def arrow_labels(box: Box) -> list[str]:
    """Return the names of the arrows over a box: squeeze-and-excite, Swish or Hard-Swish."""
    return ["SE"] * bool(box.se) + [
        label for activation, label in ACTIVATION_LABELS.items() if activation == box.activation
    ]


def box_caption(box: Box) -> str:
    """Return the text under a box: what its symbols do not show."""
    return ", ".join(filter(None, ["int8" if box.int8 else "", box.label]))


def dash_lengths(expand: float | None) -> list[float]:
    """Return the lengths of an expansion's dashed lines: 1 for each whole part, and a shorter one for a rest of a twentieth or more."""
    if expand is None:
        return []
    whole = int(expand + 0.05)
    return [1.0] * whole + [expand - whole] * (expand - whole >= 0.05)


def inches_above(box: Box) -> float:
    """Return the inches that the symbols over a box need."""
    return LINE_GAP * (len(dash_lengths(box.expand)) + 0.5) + (ARROW + SIGN) * bool(arrow_labels(box))


def inches_below(boxes: Sequence[Box]) -> float:
    """Return the inches that the lines and the vertical text under boxes need."""
    return 2 * UNDERLINE + LETTER * max((len(box_caption(box)) for box in boxes), default=0)


def draw_box(axes: Axes, box: Box, x: float, y: float, height: float) -> Rectangle:
    """Draw a box whose lower left corner is (x, y) with all its symbols, and return its patch."""
    patch = draw_kernel(axes, box.kernel, (x, y), height)
    draw_expansion(axes, box.expand, x, y + height)
    labels, top = arrow_labels(box), y + height + LINE_GAP * (len(dash_lengths(box.expand)) + 0.5)
    for number, label in enumerate(labels):
        draw_arrow(axes, label, x + BOX_WIDTH / 2 if len(labels) == 1 else x + BOX_WIDTH * (0.22, 0.8)[number], top)
    if box.grouped:
        draw_underline(axes, x, y)
    caption = box_caption(box)
    if caption:
        position = x + BOX_WIDTH / 2, y - 2 * UNDERLINE
        axes.text(*position, caption, fontsize=SMALL, rotation=90, ha="center", va="top", parse_math=False)
    return patch


def draw_kernel(axes: Axes, kernel: int | None, corner: tuple[float, float], height: float) -> Rectangle:
    """Draw a box in its kernel's color, with the kernel in it if there is one, and return its patch."""
    fill, text_color = KERNELS.get(kernel or 0, OTHER)
    patch = Rectangle(corner, BOX_WIDTH, height, facecolor=fill, edgecolor="black", linewidth=0.6)
    axes.add_patch(patch)
    if kernel is not None:
        size = max(SMALLEST, min(LARGEST, 0.95 * height * POINTS))
        position = corner[0] + BOX_WIDTH / 2, corner[1] + height / 2
        axes.text(
            *position, str(kernel), fontsize=size, color=text_color, weight="bold", ha="center", va="center_baseline"
        )
    return patch


def draw_expansion(axes: Axes, expand: float | None, x: float, y: float) -> None:
    """Draw the dashed lines of an expansion over a box whose top is at y."""
    for number, length in enumerate(dash_lengths(expand), start=1):
        level = y + LINE_GAP * number
        axes.plot(
            [x, x + BOX_WIDTH * length], [level] * 2, color="black", lw=0.7, ls=(0, (2.2, 1.1)), dash_capstyle="butt"
        )


def draw_arrow(axes: Axes, label: str, x: float, y: float) -> None:
    """Draw an arrow that points down to y, with its label above."""
    head = "-|>,head_width=0.12,head_length=0.2"
    line = {"arrowstyle": head, "lw": 0.7, "color": "black", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x, y), (x, y + ARROW), arrowprops=line)
    axes.text(x, y + ARROW, label, fontsize=SMALL, ha="center", va="bottom")


def draw_underline(axes: Axes, x: float, y: float) -> None:
    """Draw the line of grouped convolutions under a box whose bottom is at y."""
    axes.plot([x, x + BOX_WIDTH], [y - UNDERLINE] * 2, color="black", lw=1.6, solid_capstyle="butt")
