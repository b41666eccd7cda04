"""Figures 16 to 22: networks drawn one below another, with a box for each layer.

As in the captions of the paper: color for the kernel, height for the channels, dashed lines for the expansion, arrows for
squeeze-and-excite and Swish, and a line under a box of grouped convolutions. Colors also differ in lightness, and every box shows its
kernel.
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

BOX_HEIGHT_RANGE = (0.7, 1.2)  # inches of the tallest box: more where few boxes have many more channels than others
MIN_BOX_HEIGHT = 0.08  # inches, so that the number in the lowest box is legible
LETTER = 0.061  # inches of a letter of the title
MARGIN, TITLE, STAGE_GAP, STAGE_NAME, ROW_GAP = 0.08, 0.18, 0.1, 0.14, 0.12  # inches


@dataclass(frozen=True)
class DrawnNetwork:
    """A network to draw: its title, and its boxes in order."""

    title: str
    boxes: tuple[Box, ...]


@paper_style
def draw_architectures(networks: Sequence[DrawnNetwork]) -> Figure:
    """Return networks one below another, with a common scale of channels and a legend (figures 16 to 22).

    The figure is one column of a paper wide, or more where the longest network needs it. The patch of box m of network n has the gid
    `box-<n>-<m>`.
    """
    boxes = [box for network in networks for box in network.boxes]
    channels = [box.channels for box in boxes if box.channels] or [0]
    scale = _inches_per_channel(channels)
    width = max(COLUMN_WIDTH, *map(_network_width, networks))
    lines = wrap_entries(legend_entries(boxes, max(channels)), width)
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
        baseline = y - above[number]
        x, index = MARGIN, 0
        for name, stage in _stages(network):
            _draw_stage(axes, name, stage, (x, x + PITCH * len(stage)), baseline - below[number] + STAGE_NAME + ROW_GAP)
            for box in stage:
                patch = draw_box(axes, box, x + (PITCH - BOX_WIDTH) / 2, baseline, _box_height(box, scale))
                patch.set_gid(f"box-{number}-{index}")
                x, index = x + PITCH, index + 1
            x += STAGE_GAP
        y = baseline - below[number]
    draw_legend(axes, lines)
    return figure


def _inches_per_channel(channels: Sequence[int]) -> float:
    most, least = max(channels), min(channels)
    return min(max(BOX_HEIGHT_RANGE[0], MIN_BOX_HEIGHT * most / least), BOX_HEIGHT_RANGE[1]) / most if least else 0.0


def _box_height(box: Box, scale: float) -> float:
    """Return a box's height in inches, in proportion to its channels; a square where they are unknown."""
    return scale * box.channels if box.channels else BOX_WIDTH


def _stages(network: DrawnNetwork) -> list[tuple[str, list[Box]]]:
    """Return the boxes by stage; single layers of a layer-wise space by the stage in their names."""
    return [(name, list(boxes)) for name, boxes in groupby(network.boxes, lambda box: box.stage.partition("_layer")[0])]


def _network_width(network: DrawnNetwork) -> float:
    """Return the width in inches of a network and its title."""
    boxes = PITCH * len(network.boxes) + STAGE_GAP * (len(_stages(network)) - 1)
    return 2 * MARGIN + max(boxes, LETTER * len(network.title))


def _draw_stage(axes: Axes, name: str, boxes: Sequence[Box], ends: tuple[float, float], y: float) -> None:
    """Draw a line below a stage, and below it the channels, or the stage's name where they differ or are unknown."""
    axes.plot([ends[0] + 0.03, ends[1] - 0.03], [y, y], color="#666666", lw=0.6)
    channels = {box.channels for box in boxes}
    is_known = len(channels) == 1 and None not in channels
    text = f"{channels.pop()} ch" if is_known else name
    axes.text(sum(ends) / 2, y - 0.025, text, fontsize=SMALL, ha="center", va="top", parse_math=False)


UNITS = {"s": "s", "mac": "MAC", "parameter": "parameter", "j": "J"}  # by the suffix of a front's column
ACCURACY = "predicted_top1_percent"
COUNT_FORMATS = {"macs": "{}s", "params": "{} parameters"}  # counts, which do not depend on a device


def load_drawn_networks(space: Space, front: Path, count: int | None) -> list[DrawnNetwork]:
    """Return `count` networks of a front's CSV, spread over its first cost, or all of them; raises `FileFormatError` without networks."""
    networks = read_front_networks(space, front)
    if not networks:
        raise FileFormatError(f"{front}: no network in the file", hint="search again with --output")
    picks = np.arange(len(networks))
    if count is not None and count < len(networks):
        costs = [
            name
            for name in networks[0][1]
            if _parse_cost_column(name) and all(prediction.get(name, 0) > 0 for _, prediction in networks)
        ]
        levels = np.array([prediction[costs[0]] for _, prediction in networks]) if costs else picks + 1.0
        picks = select_log_spaced(count, levels)
    return [
        DrawnNetwork(f"({_letter(index)}) {_format_prediction(networks[i][1])}", build_boxes(space, networks[i][0]))
        for index, i in enumerate(picks)
    ]


def _parse_cost_column(column: str) -> tuple[str, str] | None:
    """Return the name and unit of a cost's column; None for any other column."""
    name, _, suffix = column.rpartition("_")
    return (name, UNITS[suffix]) if suffix in UNITS and name and not name.endswith("_std") else None


def _format_prediction(predicted: Mapping[str, float]) -> str:
    """Return the predictions of a network in words: `97.2 % predicted, 22.0 us on onnxruntime_cpu`."""
    parts = [f"{predicted[ACCURACY]:.4g} % predicted"] if ACCURACY in predicted else []
    for column, value in predicted.items():
        cost = _parse_cost_column(column)
        if cost is not None:
            name, unit = cost
            parts.append(COUNT_FORMATS.get(name, f"{{}} on {name}").format(format_quantity(value, unit)))
    return ", ".join(parts)


def _letter(index: int) -> str:
    """Return `a`, `b`, ..., then numbers from 27 on."""
    return chr(ord("a") + index) if index < 26 else str(index + 1)
