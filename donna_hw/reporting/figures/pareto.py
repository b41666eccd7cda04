"""Figure 11: predicted and measured networks over a cost, beside random ones and baselines."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from donna_hw._core.units import choose_unit
from donna_hw.reporting.figures.style import (
    BLUE,
    COLUMN_WIDTH,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    cost_label,
    paper_style,
)

COLUMNS = ("name", "cost", "percent")  # of baselines
NO_BASELINES = pd.DataFrame({name: [] for name in COLUMNS})
MAX_BASELINE_RATIO = 1.25  # times the dearest network here: baselines beyond would squeeze all others to the left
VERIFIED_MARKERS = {"front": (ORANGE, "*", 70), "random": (GREEN, "D", 20)}  # what else is verified has the next mark
OTHER_MARKER = (PURPLE, "P", 30)


@dataclass(frozen=True)
class ParetoData:
    """What figure 11 shows, of one cost in its unit (`s`, `J`, `MAC`, `parameter`); accuracies are top-1 in per cent.

    random, front: predicted, columns `cost` and `percent`; the first may be empty. library: finetuned for the predictor, at their
    predicted cost. verified: columns `role`, `predicted_cost`, `predicted_percent`, and what was found, `cost` and `percent`. baselines:
    published, with their `name`.
    reference: (cost, percent).
    """

    cost: str
    unit: str
    random: pd.DataFrame
    front: pd.DataFrame
    library: pd.DataFrame
    verified: pd.DataFrame
    reference: tuple[float, float]
    baselines: pd.DataFrame = field(default_factory=NO_BASELINES.copy)


@paper_style
def draw_pareto(found: ParetoData) -> Figure:
    """Return the clouds: cost to the right, top-1 upwards, a dotted line from each prediction to what was found (figure 11).

    Clouds are predicted; filled marks are measured, as the legend says of each.
    """
    unit, size = choose_unit(
        float(np.max([*found.front["cost"], *found.library["cost"], found.reference[0]])), found.unit
    )
    figure = Figure(figsize=(COLUMN_WIDTH, 3.5), layout="constrained")
    axes = figure.add_subplot()
    if len(found.random):
        axes.scatter(
            found.random["cost"] / size,
            found.random["percent"],
            s=4,
            color=SKY,
            alpha=0.5,
            linewidths=0,
            rasterized=True,  # thousands of marks: as paths they would be megabytes of SVG
            label=f"random networks, predicted ({len(found.random)})",
        )
    axes.plot(found.front["cost"] / size, found.front["percent"], color=BLUE, marker=".", ms=4, label="predicted front")
    if len(found.library):
        axes.scatter(
            found.library["cost"] / size,
            found.library["percent"],
            marker="x",
            color=GRAY,
            s=14,
            linewidths=0.8,
            label="Architecture Library, finetuned",
        )
    for role, chosen in found.verified.groupby("role", sort=False):
        _draw_verified(axes, str(role), chosen, size)
    axes.scatter(
        [found.reference[0] / size], [found.reference[1]], color="black", marker="s", s=18, zorder=3, label="reference"
    )
    shown = _draw_baselines(axes, found, size)
    axes.set_xlabel(cost_label(found.cost, found.unit, unit))
    axes.set_ylabel("top-1 on the test images [%]")
    figure.set_figheight(3.5 + 0.066 * shown)  # inches: two columns of names
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.3, columnspacing=1.0)
    return figure


def _draw_baselines(axes: Axes, found: ParetoData, size: float) -> int:
    """Draw baselines as letters that the legend explains, but for those far dearer than any network here; return how many lines it has."""
    if not len(found.baselines):
        return 0
    every = [*found.front["cost"], *found.library["cost"], *found.random["cost"], found.reference[0]]
    near = found.baselines["cost"] <= MAX_BASELINE_RATIO * max(every)
    beyond = f" ({(~near).sum()} further right)" if (~near).any() else ""
    axes.plot([], [], ls="none", label=f"published{beyond}:")
    named = found.baselines[near].sort_values("cost")
    for place, (name, cost, percent) in enumerate(zip(*(named[key] for key in COLUMNS), strict=True)):
        letter = f"$\\mathrm{{{chr(ord('A') + place)}}}$"
        axes.scatter([cost / size], [percent], marker=letter, color="black", s=18, linewidths=0, zorder=5, label=name)
    return len(named) + 1


def _draw_verified(axes: Axes, role: str, chosen: pd.DataFrame, size: float) -> None:
    """Draw verified networks of one role, each led to from its prediction."""
    color, mark, area = VERIFIED_MARKERS.get(role, OTHER_MARKER)
    lines = chosen[["predicted_cost", "cost", "predicted_percent", "percent"]].to_numpy(float)
    for start_x, end_x, start_y, end_y in lines:
        axes.plot([start_x / size, end_x / size], [start_y, end_y], color=color, lw=0.7, ls=":", zorder=2)
    axes.scatter(
        chosen["cost"] / size,
        chosen["percent"],
        color=color,
        marker=mark,
        s=area,
        zorder=4,
        linewidths=0.4,
        edgecolors="white",
        label=f"{role}: finetuned, verified",
    )
