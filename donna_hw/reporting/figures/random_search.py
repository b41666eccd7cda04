"""Figure 15: the predicted accuracy of random networks at some costs, beside the front's at the same cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from donna_hw._core.units import choose_unit
from donna_hw.reporting.figures.style import BLUE, COLUMN_WIDTH, ORANGE, cost_label, paper_style


@dataclass(frozen=True)
class Level:
    """One cost in its unit: predicted top-1 in per cent of the networks within the tolerance: random ones, float [n], the front's best."""

    cost: float
    random_percent: np.ndarray
    front_percent: float


@dataclass(frozen=True)
class RandomSearchData:
    """What figure 15 shows: levels of one cost; tolerance: how far from a level a network's cost may lie, as a share of it.
    drawn: random networks of any cost, of which those near a level are shown.
    """

    cost: str
    unit: str
    tolerance: float
    samples: int
    levels: Sequence[Level]


@paper_style
def draw_random_search(found: RandomSearchData) -> Figure:
    """Return a box plot a level, quartiles and the whole range of random networks, and a star for the front's best (figure 15)."""
    unit, size = choose_unit(max(level.cost for level in found.levels), found.unit)
    figure = Figure(figsize=(COLUMN_WIDTH, 2.9), layout="constrained")
    axes = figure.add_subplot()
    places = list(range(1, len(found.levels) + 1))
    drawn = axes.boxplot(
        [level.random_percent for level in found.levels],
        positions=places,
        widths=0.45,
        whis=(0, 100),
        patch_artist=True,
        boxprops={"facecolor": "#CFE3F1", "edgecolor": BLUE},
        whiskerprops={"color": BLUE},
        capprops={"color": BLUE},
        medianprops={"color": "black", "linewidth": 1.4},
    )
    stars = axes.scatter(
        places, [level.front_percent for level in found.levels], marker="*", s=70, color=ORANGE, zorder=4
    )
    axes.set_xticks(
        places, [f"{level.cost / size:.3g} {unit}\n{len(level.random_percent)} networks" for level in found.levels]
    )
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(
        f"{cost_label(found.cost, found.unit, unit).rpartition(' [')[0]}, within {100 * found.tolerance:g} %"
    )
    axes.set_ylabel("top-1, predicted [%]")
    figure.legend(
        [drawn["boxes"][0], drawn["medians"][0], stars],
        [
            f"random networks of {found.samples} drawn: quartiles, range",
            "their median",
            "best network of the front, as near",
        ],
        loc="outside lower center",
    )
    return figure
