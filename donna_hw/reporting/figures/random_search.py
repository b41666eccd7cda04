"""Figure 15: the predicted accuracy of random networks at some costs, compared with the front at the same cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from donna_hw._core.units import choose_unit
from donna_hw.reporting.figures.style import BLUE, COLUMN_WIDTH, ORANGE, cost_label, paper_style


@dataclass(frozen=True)
class Level:
    """One cost, and the predicted top-1 in per cent of networks within the tolerance of it.

    Args:
        cost: The cost in its unit.
        random_percent: Random networks, float [n].
        front_percent: The best network of the front.
    """

    cost: float
    random_percent: np.ndarray
    front_percent: float


@dataclass(frozen=True)
class RandomSearchData:
    """The data of figure 15.

    Args:
        cost: Name of the cost.
        unit: Its unit.
        tolerance: How far from a level a network's cost may be, as a share of it.
        samples: Random networks of any cost, of which those near a level are shown.
        levels: The levels of the cost.
    """

    cost: str
    unit: str
    tolerance: float
    samples: int
    levels: Sequence[Level]


@paper_style
def draw_random_search(data: RandomSearchData) -> Figure:
    """Return a box plot per level with quartiles and range of random networks, and a star for the front's best (figure 15)."""
    unit, size = choose_unit(max(level.cost for level in data.levels), data.unit)
    figure = Figure(figsize=(COLUMN_WIDTH, 2.9), layout="constrained")
    axes = figure.add_subplot()
    positions = list(range(1, len(data.levels) + 1))
    box_plot = axes.boxplot(
        [level.random_percent for level in data.levels],
        positions=positions,
        widths=0.45,
        whis=(0, 100),
        patch_artist=True,
        boxprops={"facecolor": "#CFE3F1", "edgecolor": BLUE},
        whiskerprops={"color": BLUE},
        capprops={"color": BLUE},
        medianprops={"color": "black", "linewidth": 1.4},
    )
    stars = axes.scatter(
        positions, [level.front_percent for level in data.levels], marker="*", s=70, color=ORANGE, zorder=4
    )
    axes.set_xticks(
        positions, [f"{level.cost / size:.3g} {unit}\n{len(level.random_percent)} networks" for level in data.levels]
    )
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(f"{cost_label(data.cost, data.unit, unit).rpartition(' [')[0]}, within {100 * data.tolerance:g} %")
    axes.set_ylabel("top-1, predicted [%]")
    figure.legend(
        [box_plot["boxes"][0], box_plot["medians"][0], stars],
        [
            f"random networks of {data.samples} drawn: quartiles, range",
            "their median",
            "best network of the front, within the same range",
        ],
        loc="outside lower center",
    )
    return figure
