"""Figure 12: what detectors reach over what their backbones reach alone, pretrained or from scratch."""

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
    """One network from one start over its seeds: means, and standard deviations, which are NaN for one seed; all in per cent."""

    network: str
    role: str
    initialization: str
    seeds: int
    top1_percent: float
    top1_std_percent: float
    map_percent: float
    map_std_percent: float


def validate_detectors(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the frame of a `detectors.csv`, which has `COLUMNS`; raises `FileFormatError` for another start, or a share outside 0..100 %."""
    for start in frame["start"]:
        if start not in INITIALIZATIONS:
            raise FileFormatError(f"{path}: a start must be a known one", got=start, choices=list(INITIALIZATIONS))
    for column in ("top1_percent", "map_percent"):
        shares = pd.to_numeric(frame[column], errors="coerce")
        wrong = frame[column][~shares.between(0, 100)]
        if len(wrong):
            line = int(wrong.index[0]) + 2
            raise FileFormatError(
                f"{path}, line {line}: {column} lies in 0..100 %", got=wrong.iloc[0], hint="delete the line"
            )
    if frame.empty:
        raise FileFormatError(f"{path} must hold a detector", got="none", hint="detect again")
    return frame


def aggregate_seeds(frame: pd.DataFrame) -> list[DetectorStats]:
    """Return the mean of each network, role and start over its seeds, in the order of the file."""
    found = []
    for key, same in frame.groupby(["network", "role", "start"], sort=False):
        network, role, start = map(str, key)
        top1, precision = same["top1_percent"].astype(float), same["map_percent"].astype(float)
        stds = top1.std(ddof=1), precision.std(ddof=1)
        found.append(DetectorStats(network, role, start, len(same), top1.mean(), stds[0], precision.mean(), stds[1]))
    return found


@paper_style
def draw_detection(frame: pd.DataFrame) -> Figure:
    """Return mAP over top-1, both in per cent: a colour and mark a role, filled if pretrained, open if from scratch (figure 12).

    frame: columns `COLUMNS`, a line a detector. Bars are a standard deviation over seeds. The legend has Kendall's tau (KT) of both.
    """
    found = aggregate_seeds(frame)
    figure = Figure(figsize=(COLUMN_WIDTH, 3.1), layout="constrained")
    axes = figure.add_subplot()
    roles, handles = list(dict.fromkeys(one.role for one in found)), []
    for start, words in INITIALIZATIONS.items():
        every = [one for one in found if one.initialization == start]
        for role, same in groupby(sorted(every, key=lambda one: roles.index(one.role)), lambda one: one.role):
            chosen, (color, mark) = list(same), MARKERS[roles.index(role) % len(MARKERS)]
            bars = axes.errorbar(
                [one.top1_percent for one in chosen],
                [one.map_percent for one in chosen],
                xerr=np.nan_to_num([one.top1_std_percent for one in chosen]),
                yerr=np.nan_to_num([one.map_std_percent for one in chosen]),
                fmt=mark,
                ms=5,
                color=color,
                mfc=color if start == "pretrained" else "white",
                elinewidth=0.7,
                capsize=1.5,
                label=f"{role}, {words}",
            )
            handles.append(bars)
        if len(every) >= MIN_NETWORKS:
            top1, precision = (np.array([getattr(one, name) for one in every]) for name in COLUMNS[-2:])
            label = f"{words}: KT {kendall_tau(top1, precision):.2f} of {len(every)}"
            handles.append(axes.errorbar([], [], fmt="none", label=label))
    axes.set_xlabel("top-1 of the classifier [%]")
    axes.set_ylabel("mAP of the detector [%]")
    figure.legend(handles=handles, loc="outside lower center", ncols=2, columnspacing=1.0)
    return figure
