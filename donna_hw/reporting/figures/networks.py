"""The networks of a front's CSV to draw: some spread over its cost, each with what the file says of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from donna_hw._core.units import printed
from donna_hw.errors import BadFile
from donna_hw.pipeline.export import networks_of
from donna_hw.reporting.figures.architectures import Drawn
from donna_hw.reporting.figures.boxes import boxes
from donna_hw.search.pareto_front import spread
from donna_hw.spaces.space import Space

UNITS = {"s": "s", "mac": "MAC", "parameter": "parameter", "j": "J"}  # by the end of a front's column
ACCURACY = "predicted_top1_percent"
AS_ONE = {"macs": "{}s", "params": "{} parameters"}  # counts, whose device is no place


def networks_to_draw(space: Space, front: Path, count: int | None) -> list[Drawn]:
    """Return so many networks of a front's CSV, spread over its first cost, or all of them; raises `BadFile` where it has none."""
    found = networks_of(space, front)
    if not found:
        raise BadFile(f"{front} must hold a network", found="none", cure="search again with --out")
    chosen = np.arange(len(found))
    if count is not None and count < len(found):
        names = [name for name in found[0][1] if _cost(name) and all(each.get(name, 0) > 0 for _, each in found)]
        levels = np.array([each[names[0]] for _, each in found]) if names else chosen + 1.0
        chosen = spread(count, levels)
    return [
        Drawn(f"({_letter(place)}) {_said(found[i][1])}", boxes(space, found[i][0])) for place, i in enumerate(chosen)
    ]


def _cost(column: str) -> tuple[str, str] | None:
    """Return (name, unit) of a column of a cost, None for any other."""
    name, _, end = column.rpartition("_")
    return (name, UNITS[end]) if end in UNITS and name and not name.endswith("_std") else None


def _said(predicted: Mapping[str, float]) -> str:
    """Return what a front says of a network: `97.2 % predicted, 22.0 us on onnxruntime_cpu`."""
    words = [f"{predicted[ACCURACY]:.4g} % predicted"] if ACCURACY in predicted else []
    for column, value in predicted.items():
        cost = _cost(column)
        if cost is not None:
            name, unit = cost
            words.append(AS_ONE.get(name, f"{{}} on {name}").format(printed(value, unit)))
    return ", ".join(words)


def _letter(place: int) -> str:
    """Return `a`, `b`, ..., then numbers from 27 on."""
    return chr(ord("a") + place) if place < 26 else str(place + 1)
