"""Figures 16 to 22: networks drawn one under another, a box a layer.

As the paper's captions say: colour for the kernel, height for the channels, dashed lines for the expansion, arrows for squeeze-and-excite
and Swish, a line under a box of grouped convolutions. Colours also differ in lightness, and every box says its kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from donna_hw._core.units import format_quantity
from donna_hw.errors import FileFormatError
from donna_hw.pipeline.export import read_front_networks
from donna_hw.reporting.figures.box_glyphs import BOX_WIDTH, PITCH, SMALL, draw_box, inches_above, inches_below
from donna_hw.reporting.figures.boxes import Box, build_boxes
from donna_hw.reporting.figures.legend import LINE, draw_legend, legend_entries, wrap_entries
from donna_hw.reporting.figures.style import COLUMN_WIDTH, paper_style
from donna_hw.search.pareto_front import select_log_spaced
from donna_hw.spaces.space import Space

BOX_HEIGHT_RANGE = (0.7, 1.2)  # inches of the box of most channels: more where few have many more than others
MIN_BOX_HEIGHT = 0.08  # inches, so that the number in the lowest box is read
LETTER = 0.061  # inches of one of a title's letters
MARGIN, TITLE, STAGE_GAP, STAGE_NAME, ROW_GAP = 0.08, 0.18, 0.1, 0.14, 0.12  # inches


@dataclass(frozen=True)
class DrawnNetwork:
    """A network to draw: what is said of it, and its boxes in order."""

    title: str
    boxes: tuple[Box, ...]


@paper_style
def draw_architectures(networks: Sequence[DrawnNetwork]) -> Figure:
    """Return networks one under another, their boxes on one scale of channels, and what the signs mean (figures 16 to 22).

    One column of a paper wide, or more where the longest network needs it. The patch of box m of network n has the gid `box-<n>-<m>`.
    """
    every = [box for network in networks for box in network.boxes]
    channels = [box.channels for box in every if box.channels] or [0]
    scale = _inches_per_channel(channels)
    width = max(COLUMN_WIDTH, *map(_network_width, networks))
    lines = wrap_entries(legend_entries(every, max(channels)), width)
    above = [
        max((_box_height(box, scale) + inches_above(box) for box in network.boxes), default=0) + TITLE
        for network in networks
    ]
    below = [inches_below(network.boxes) + STAGE_NAME + ROW_GAP for network in networks]
    height = 2 * MARGIN + sum(above) + sum(below) + LINE * len(lines)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    y = height - MARGIN
    for number, network in enumerate(networks):
        axes.text(MARGIN, y, network.title, fontsize=7, weight="bold", va="top", parse_math=False)
        ground = y - above[number]
        x, place = MARGIN, 0
        for name, same in _stages(network):
            _draw_stage(axes, name, same, (x, x + PITCH * len(same)), ground - below[number] + STAGE_NAME + ROW_GAP)
            for box in same:
                patch = draw_box(axes, box, x + (PITCH - BOX_WIDTH) / 2, ground, _box_height(box, scale))
                patch.set_gid(f"box-{number}-{place}")
                x, place = x + PITCH, place + 1
            x += STAGE_GAP
        y = ground - below[number]
    draw_legend(axes, lines)
    return figure


def _inches_per_channel(channels: Sequence[int]) -> float:
    most, least = max(channels), min(channels)
    return min(max(BOX_HEIGHT_RANGE[0], MIN_BOX_HEIGHT * most / least), BOX_HEIGHT_RANGE[1]) / most if least else 0.0


def _box_height(box: Box, scale: float) -> float:
    """Return the inches of a box's height, in proportion to its channels; a square where they are not known."""
    return scale * box.channels if box.channels else BOX_WIDTH


def _stages(network: DrawnNetwork) -> list[tuple[str, list[Box]]]:
    """Return the boxes by their stage; single layers of a layer-wise space by the stage in their names."""
    return [(name, list(same)) for name, same in groupby(network.boxes, lambda box: box.stage.partition("_layer")[0])]


def _network_width(network: DrawnNetwork) -> float:
    """Return the inches that a network and its title need."""
    boxes = PITCH * len(network.boxes) + STAGE_GAP * (len(_stages(network)) - 1)
    return 2 * MARGIN + max(boxes, LETTER * len(network.title))


def _draw_stage(axes: Axes, name: str, same: Sequence[Box], ends: tuple[float, float], y: float) -> None:
    """Draw a line below a stage with its channels under it, or its name where they differ or are not known."""
    axes.plot([ends[0] + 0.03, ends[1] - 0.03], [y, y], color="#666666", lw=0.6)
    channels = {box.channels for box in same}
    known = len(channels) == 1 and None not in channels
    words = f"{channels.pop()} ch" if known else name
    axes.text(sum(ends) / 2, y - 0.025, words, fontsize=SMALL, ha="center", va="top", parse_math=False)


UNITS = {"s": "s", "mac": "MAC", "parameter": "parameter", "j": "J"}  # by the end of a front's column
ACCURACY = "predicted_top1_percent"
COUNT_FORMATS = {"macs": "{}s", "params": "{} parameters"}  # counts, whose device is no place


def load_drawn_networks(space: Space, front: Path, count: int | None) -> list[DrawnNetwork]:
    """Return so many networks of a front's CSV, spread over its first cost, or all of them; raises `FileFormatError` where it has none."""
    found = read_front_networks(space, front)
    if not found:
        raise FileFormatError(f"{front} must hold a network", got="none", hint="search again with --out")
    chosen = np.arange(len(found))
    if count is not None and count < len(found):
        names = [
            name for name in found[0][1] if _parse_cost_column(name) and all(each.get(name, 0) > 0 for _, each in found)
        ]
        levels = np.array([each[names[0]] for _, each in found]) if names else chosen + 1.0
        chosen = select_log_spaced(count, levels)
    return [
        DrawnNetwork(f"({_letter(place)}) {_format_prediction(found[i][1])}", build_boxes(space, found[i][0]))
        for place, i in enumerate(chosen)
    ]


def _parse_cost_column(column: str) -> tuple[str, str] | None:
    """Return (name, unit) of a column of a cost, None for any other."""
    name, _, end = column.rpartition("_")
    return (name, UNITS[end]) if end in UNITS and name and not name.endswith("_std") else None


def _format_prediction(predicted: Mapping[str, float]) -> str:
    """Return what a front says of a network: `97.2 % predicted, 22.0 us on onnxruntime_cpu`."""
    words = [f"{predicted[ACCURACY]:.4g} % predicted"] if ACCURACY in predicted else []
    for column, value in predicted.items():
        cost = _parse_cost_column(column)
        if cost is not None:
            name, unit = cost
            words.append(COUNT_FORMATS.get(name, f"{{}} on {name}").format(format_quantity(value, unit)))
    return ", ".join(words)


def _letter(place: int) -> str:
    """Return `a`, `b`, ..., then numbers from 27 on."""
    return chr(ord("a") + place) if place < 26 else str(place + 1)
