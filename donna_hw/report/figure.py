"""The picture of a run: predicted and measured networks in one plane of latency and accuracy."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from donna_hw.units import handy

# Okabe and Ito's colours, which colour-blind eyes tell apart; the marks differ in shape too.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"


@dataclass(frozen=True)
class Points:
    """What the picture shows. front: `latency_s`, `percent`; library: the same; verified: see `donna_hw.verify.verify`."""

    front: pd.DataFrame
    library: pd.DataFrame
    verified: pd.DataFrame
    reference_percent: float
    reference_s: float
    device: str


def draw(points: Points) -> Figure:
    """Return the picture: latency to the right, top-1 upwards, an arrow from each prediction to what was measured."""
    every = np.concatenate([points.front["latency_s"], points.verified["measured_s"], [points.reference_s]])
    unit, size = handy(float(np.max(every)), "s")
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(
        points.front["latency_s"] / size,
        points.front["percent"],
        color=BLUE,
        marker=".",
        lw=1,
        label="predicted front",
    )
    axes.scatter(
        points.library["latency_s"] / size,
        points.library["percent"],
        marker="x",
        color=GREY,
        s=22,
        lw=1,
        label="Architecture Library, finetuned",
    )
    for role, color, mark in (("front", ORANGE, "*"), ("random", GREEN, "D")):
        chosen = points.verified[points.verified["role"] == role]
        if chosen.empty:
            continue
        x, y = chosen["predicted_s"] / size, chosen["predicted_percent"]
        to_x, to_y = chosen["measured_s"] / size, chosen["top1_percent"]
        for start_x, start_y, end_x, end_y in zip(x, y, to_x, to_y, strict=True):
            axes.plot([start_x, end_x], [start_y, end_y], color=color, lw=0.8, ls=":")
        axes.scatter(x, y, facecolors="none", edgecolors=color, s=34, label=f"{role}: predicted")
        axes.scatter(
            to_x,
            to_y,
            color=color,
            marker=mark,
            s=110 if mark == "*" else 40,
            zorder=3,
            label=f"{role}: finetuned, measured",
        )
    axes.scatter(
        [points.reference_s / size], [points.reference_percent], color="black", marker="s", label="reference network"
    )
    axes.set_xlabel(f"latency on {points.device} [{unit}]")
    axes.set_ylabel("top-1 on the test images [%]")
    axes.grid(alpha=0.25)
    figure.legend(fontsize=8, loc="outside lower center", ncols=3)
    return figure


def svg(figure: Figure) -> str:
    """Return a figure as SVG text without its XML header, to stand inside a page."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    found = text.getvalue()
    return found[found.index("<svg") :]
