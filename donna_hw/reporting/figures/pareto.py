"""Figure 11: predicted and measured networks over a cost, compared with random ones and baselines."""

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
MAX_BASELINE_RATIO = 1.25  # times the most expensive network: baselines beyond would squeeze all others to the left
VERIFIED_MARKERS = {
    "front": (ORANGE, "*", 70),
    "random": (GREEN, "D", 20),
}  # other verified networks have the next marker
OTHER_MARKER = (PURPLE, "P", 30)


@dataclass(frozen=True)
class ParetoData:
    """The data of figure 11 for one cost; accuracies are top-1 in per cent.

    Args:
        cost: Name of the cost.
        unit: Its unit (`s`, `J`, `MAC`, `parameter`).
        random: Predicted random networks, columns `cost` and `percent`; may be empty.
        front: The predicted front, with the same columns.
        library: Networks finetuned for the predictor, at their predicted cost, with the same columns.
        verified: Columns `role`, `predicted_cost`, `predicted_percent`, and the measured `cost` and `percent`.
        reference: (cost, percent) of the reference.
        baselines: Published networks, columns `name`, `cost` and `percent`.
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
def draw_pareto(data: ParetoData) -> Figure:
    """Return top-1 over cost, with a dotted line from each prediction to its measurement (figure 11).

    Clouds are predicted, filled markers are measured; the legend explains each.
    """
    unit, size = choose_unit(float(np.max([*data.front["cost"], *data.library["cost"], data.reference[0]])), data.unit)
    figure = Figure(figsize=(COLUMN_WIDTH, 3.5), layout="constrained")
    axes = figure.add_subplot()
    if len(data.random):
        axes.scatter(
            data.random["cost"] / size,
            data.random["percent"],
            s=4,
            color=SKY,
            alpha=0.5,
            linewidths=0,
            rasterized=True,  # thousands of markers would be megabytes of SVG as paths
            label=f"random networks, predicted ({len(data.random)})",
        )
    axes.plot(data.front["cost"] / size, data.front["percent"], color=BLUE, marker=".", ms=4, label="predicted front")
    if len(data.library):
        axes.scatter(
            data.library["cost"] / size,
            data.library["percent"],
            marker="x",
            color=GRAY,
            s=14,
            linewidths=0.8,
            label="Architecture Library, finetuned",
        )
    for role, networks in data.verified.groupby("role", sort=False):
        _draw_verified(axes, str(role), networks, size)
    axes.scatter(
        [data.reference[0] / size], [data.reference[1]], color="black", marker="s", s=18, zorder=3, label="reference"
    )
    legend_lines = _draw_baselines(axes, data, size)
    axes.set_xlabel(cost_label(data.cost, data.unit, unit))
    axes.set_ylabel("top-1 on the test images [%]")
    figure.set_figheight(3.5 + 0.066 * legend_lines)  # inches: two columns of names
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.3, columnspacing=1.0)
    return figure


def _draw_baselines(axes: Axes, data: ParetoData, size: float) -> int:
    """Draw baselines as letters that the legend explains, except far more expensive ones; return the number of legend lines."""
    if not len(data.baselines):
        return 0
    costs = [*data.front["cost"], *data.library["cost"], *data.random["cost"], data.reference[0]]
    near = data.baselines["cost"] <= MAX_BASELINE_RATIO * max(costs)
    beyond = f" ({(~near).sum()} further right)" if (~near).any() else ""
    axes.plot([], [], ls="none", label=f"published{beyond}:")
    shown = data.baselines[near].sort_values("cost")
    for index, (name, cost, percent) in enumerate(zip(*(shown[key] for key in COLUMNS), strict=True)):
        letter = f"$\\mathrm{{{chr(ord('A') + index)}}}$"
        axes.scatter([cost / size], [percent], marker=letter, color="black", s=18, linewidths=0, zorder=5, label=name)
    return len(shown) + 1


def _draw_verified(axes: Axes, role: str, networks: pd.DataFrame, size: float) -> None:
    """Draw verified networks of one role, each connected with its prediction."""
    color, marker, area = VERIFIED_MARKERS.get(role, OTHER_MARKER)
    lines = networks[["predicted_cost", "cost", "predicted_percent", "percent"]].to_numpy(float)
    for start_x, end_x, start_y, end_y in lines:
        axes.plot([start_x / size, end_x / size], [start_y, end_y], color=color, lw=0.7, ls=":", zorder=2)
    axes.scatter(
        networks["cost"] / size,
        networks["percent"],
        color=color,
        marker=marker,
        s=area,
        zorder=4,
        linewidths=0.4,
        edgecolors="white",
        label=f"{role}: finetuned, verified",
    )
