"""Figure 12: accuracy of detectors over accuracy of their backbones, pretrained or from scratch."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from donna_hw._core.ranking import kendall_tau
from donna_hw.errors import FileFormatError
from donna_hw.reporting.figures.predictor import MIN_NETWORKS
from donna_hw.reporting.figures.style import BLUE, COLUMN_WIDTH, GRAY, GREEN, ORANGE, PURPLE, paper_style

COLUMNS = ("network", "role", "seed", "start", "top1_percent", "map_percent")
INITIALIZATIONS = {"pretrained": "pretrained", "scratch": "from scratch"}
MARKERS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (PURPLE, "v"), (GRAY, "P"))


class DetectorStats(NamedTuple):
    """Means and standard deviations of one network and initialization over seeds, in per cent; deviations are NaN for one seed."""

    network: str
    role: str
    initialization: str
    seeds: int
    top1_percent: float
    top1_std_percent: float
    map_percent: float
    map_std_percent: float


def validate_detectors(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the frame of a `detectors.csv`; raises `FileFormatError` for an unknown start or a share outside 0..100 %."""
    for start in frame["start"]:
        if start not in INITIALIZATIONS:
            raise FileFormatError(f"{path}: unknown start", got=start, choices=list(INITIALIZATIONS))
    for column in ("top1_percent", "map_percent"):
        shares = pd.to_numeric(frame[column], errors="coerce")
        wrong = frame[column][~shares.between(0, 100)]
        if len(wrong):
            line = int(wrong.index[0]) + 2
            raise FileFormatError(
                f"{path}, line {line}: {column} must be within 0..100 %", got=wrong.iloc[0], hint="delete the line"
            )
    if frame.empty:
        raise FileFormatError(f"{path}: no detector in the file", hint="run it again: donna-hw study detection")
    return frame


def aggregate_seeds(frame: pd.DataFrame) -> list[DetectorStats]:
    """Return the mean of each network, role and start over its seeds, in the order of the file."""
    stats = []
    for key, group in frame.groupby(["network", "role", "start"], sort=False):
        network, role, start = map(str, key)
        top1, precision = group["top1_percent"].astype(float), group["map_percent"].astype(float)
        stds = top1.std(ddof=1), precision.std(ddof=1)
        stats.append(DetectorStats(network, role, start, len(group), top1.mean(), stds[0], precision.mean(), stds[1]))
    return stats


@paper_style
def draw_detection(frame: pd.DataFrame) -> Figure:
    """Return mAP over top-1, both in per cent, with a color and marker per role (figure 12).

    Markers are filled if the backbone was pretrained, and open if it was trained from scratch.

    The frame has the columns `COLUMNS` and a line per detector. Bars are a standard deviation over seeds. The legend has Kendall's tau
    (KT) between both.
    """
    stats = aggregate_seeds(frame)
    figure = Figure(figsize=(COLUMN_WIDTH, 3.1), layout="constrained")
    axes = figure.add_subplot()
    roles, handles = list(dict.fromkeys(entry.role for entry in stats)), []
    for start, label in INITIALIZATIONS.items():
        detectors = [entry for entry in stats if entry.initialization == start]
        by_role = sorted(detectors, key=lambda entry: roles.index(entry.role))
        for role, entries in groupby(by_role, lambda entry: entry.role):
            group, (color, marker) = list(entries), MARKERS[roles.index(role) % len(MARKERS)]
            bars = axes.errorbar(
                [entry.top1_percent for entry in group],
                [entry.map_percent for entry in group],
                xerr=np.nan_to_num([entry.top1_std_percent for entry in group]),
                yerr=np.nan_to_num([entry.map_std_percent for entry in group]),
                fmt=marker,
                ms=5,
                color=color,
                mfc=color if start == "pretrained" else "white",
                elinewidth=0.7,
                capsize=1.5,
                label=f"{role}, {label}",
            )
            handles.append(bars)
        if len(detectors) >= MIN_NETWORKS:
            top1, precision = (np.array([getattr(entry, name) for entry in detectors]) for name in COLUMNS[-2:])
            correlation = f"{label}: KT {kendall_tau(top1, precision):.2f} of {len(detectors)}"
            handles.append(axes.errorbar([], [], fmt="none", label=correlation))
    axes.set_xlabel("top-1 of the classifier [%]")
    axes.set_ylabel("mAP of the detector [%]")
    figure.legend(handles=handles, loc="outside lower center", ncols=2, columnspacing=1.0)
    return figure
