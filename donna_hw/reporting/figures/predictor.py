"""Figures 4, 13 and 14: measured over predicted accuracy, of networks with and without new blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from donna_hw._core.ranking import kendall_tau
from donna_hw.reporting.figures.style import BLUE, COLUMN_WIDTH, GRAY, GREEN, ORANGE, PURPLE, paper_style

MIN_NETWORKS = 3  # fewer networks have no meaningful order
MARKERS = ((GRAY, "x"), (BLUE, "o"), (ORANGE, "^"), (GREEN, "D"), (PURPLE, "v"))


@dataclass(frozen=True)
class PredictionGroup:
    """Networks of one kind: predicted and measured top-1 in per cent, float [n] each."""

    name: str
    predicted_percent: np.ndarray
    measured_percent: np.ndarray

    @property
    def mse(self) -> float:
        """Mean squared error in per cent squared."""
        return float(np.square(self.predicted_percent - self.measured_percent).mean())

    @property
    def label(self) -> str:
        """The text of the legend: number, Kendall's tau (KT, from three networks on) and mean squared error (MSE)."""
        count = len(self.measured_percent)
        tau = f"KT {kendall_tau(self.predicted_percent, self.measured_percent):.2f}, " if count >= MIN_NETWORKS else ""
        return f"{self.name} ({count}): {tau}MSE {self.mse:.2f}"


@paper_style
def draw_predictor(groups: Sequence[PredictionGroup]) -> Figure:
    """Return measured over predicted accuracy, with a color and marker per group and the diagonal (figures 4, 13, 14)."""
    figure = Figure(figsize=(COLUMN_WIDTH, 3.5 + 0.12 * len(groups)), layout="constrained")
    axes = figure.add_subplot()
    values = np.concatenate(
        [percent for group in groups for percent in (group.predicted_percent, group.measured_percent)]
    )
    margin = 0.04 * float(np.ptp(values)) or 1.0
    ends = float(values.min()) - margin, float(values.max()) + margin
    axes.plot(ends, ends, color="black", lw=0.7, ls="--", label="predicted as measured")
    for number, group in enumerate(groups):
        color, marker = MARKERS[number % len(MARKERS)]
        axes.scatter(
            group.predicted_percent,
            group.measured_percent,
            marker=marker,
            facecolors=color if marker == "x" else "none",
            edgecolors=None if marker == "x" else color,
            s=16,
            linewidths=0.9,
            zorder=3,
            label=group.label,
        )
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.set_xlabel("top-1, predicted [%]")
    axes.set_ylabel("top-1, finetuned and measured [%]")
    figure.legend(loc="outside lower center", ncols=1, handletextpad=0.3)
    return figure
