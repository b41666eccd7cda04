"""Figures 4, 13 and 14: what the predictor says beside what is measured, on old networks, unseen ones, and ones of new blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from donna_hw._core.ranking import kendall_tau
from donna_hw.reporting.figures.style import BLUE, COLUMN_WIDTH, GRAY, GREEN, ORANGE, PURPLE, paper_style

MIN_NETWORKS = 3  # networks that have an order to speak of
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
        """What the legend says: number, Kendall's tau (KT) and mean squared error (MSE); no tau of fewer than three."""
        count = len(self.measured_percent)
        tau = f"KT {kendall_tau(self.predicted_percent, self.measured_percent):.2f}, " if count >= MIN_NETWORKS else ""
        return f"{self.name} ({count}): {tau}MSE {self.mse:.2f}"


@paper_style
def draw_predictor(groups: Sequence[PredictionGroup]) -> Figure:
    """Return measured accuracy over predicted, a colour and mark for each group, with the diagonal of no error (figures 4, 13, 14)."""
    figure = Figure(figsize=(COLUMN_WIDTH, 3.5 + 0.12 * len(groups)), layout="constrained")
    axes = figure.add_subplot()
    every = np.concatenate([values for one in groups for values in (one.predicted_percent, one.measured_percent)])
    margin = 0.04 * float(np.ptp(every)) or 1.0
    ends = float(every.min()) - margin, float(every.max()) + margin
    axes.plot(ends, ends, color="black", lw=0.7, ls="--", label="predicted as measured")
    for number, one in enumerate(groups):
        color, mark = MARKERS[number % len(MARKERS)]
        axes.scatter(
            one.predicted_percent,
            one.measured_percent,
            marker=mark,
            facecolors=color if mark == "x" else "none",
            edgecolors=None if mark == "x" else color,
            s=16,
            linewidths=0.9,
            zorder=3,
            label=one.label,
        )
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.set_xlabel("top-1, predicted [%]")
    axes.set_ylabel("top-1, finetuned and measured [%]")
    figure.legend(loc="outside lower center", ncols=1, handletextpad=0.3)
    return figure
