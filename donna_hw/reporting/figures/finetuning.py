"""Figure 10: how fast networks reach their accuracy from the Block Library's weights, compared with training from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from donna_hw.reporting.figures.style import BLUE, COLUMN_WIDTH, ORANGE, paper_style


@dataclass(frozen=True)
class Curve:
    """Top-1 on the test images after each epoch of one training, in per cent; `scratch` means from random weights."""

    network: str
    percent: tuple[float, ...]
    scratch: bool = False


class LineStyle(NamedTuple):
    """The style of one kind of trainings."""

    color: str
    linestyle: str
    marker: str


@paper_style
def draw_finetuning(curves: Sequence[Curve], reference_percent: float) -> Figure:
    """Return accuracy over epochs, with a thin line per training and a thick one for their mean (figure 10).

    The mean ends with the shortest training of its kind. Where there are trainings from scratch, a marker shows after how many epochs the
    mean of the others reaches their final accuracy.
    """
    figure = Figure(figsize=(COLUMN_WIDTH, 2.8), layout="constrained")
    axes = figure.add_subplot()
    pretrained = [curve for curve in curves if not curve.scratch]
    scratch = [curve for curve in curves if curve.scratch]
    mean = _draw_curves(axes, pretrained, "from the Block Library", LineStyle(BLUE, "-", "o"))
    if scratch:
        end = float(_draw_curves(axes, scratch, "from scratch", LineStyle(ORANGE, "--", "s"))[-1])
        axes.axhline(end, color=ORANGE, lw=0.7, ls=":", label=f"from scratch, at the end: {end:.1f} %")
        epoch = epochs_to(mean, end)
        if epoch is not None:
            label = f"as good after {epoch} epoch{'' if epoch == 1 else 's'}"
            axes.plot([epoch], [mean[epoch - 1]], marker="*", ms=9, color="black", ls="none", zorder=5, label=label)
    axes.axhline(reference_percent, color="black", lw=0.7, ls="-.", label=f"reference: {reference_percent:.1f} %")
    axes.set_xlabel("epochs")
    axes.set_ylabel("top-1 on the test images [%]")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right")
    return figure


def epochs_to(mean: np.ndarray, percent: float) -> int | None:
    """Return after how many epochs a curve, float [epochs], first reaches an accuracy; None if never."""
    reached = np.flatnonzero(mean >= percent)
    return int(reached[0]) + 1 if len(reached) else None


def _draw_curves(axes: Axes, curves: Sequence[Curve], label: str, style: LineStyle) -> np.ndarray:
    """Draw trainings of one kind and return their mean, float [epochs of the shortest]."""
    for curve in curves:
        axes.plot(
            range(1, len(curve.percent) + 1), curve.percent, color=style.color, ls=style.linestyle, lw=0.5, alpha=0.35
        )
    length = min(len(curve.percent) for curve in curves)
    mean = np.mean([curve.percent[:length] for curve in curves], axis=0)
    networks = len({curve.network for curve in curves})
    axes.plot(
        range(1, length + 1),
        mean,
        color=style.color,
        ls=style.linestyle,
        lw=1.8,
        marker=style.marker,
        ms=3.5,
        markevery=max(1, length // 10),
        label=f"{label}, mean of {networks}",
    )
    return np.asarray(mean)
