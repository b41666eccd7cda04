"""The data of the page's scripts, as JSON that is safe inside a script element."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from donna_hw._core.units import choose_unit
from donna_hw.reporting.html.content import Content
from donna_hw.reporting.html.networks import ReportedNetwork


def page_data(content: Content) -> str:
    """Return the data of a page: its costs with their display units, each block's boxes once, and its networks.

    No character of it can end the script element that contains it.
    """
    units = column_units(content)
    data = {
        "device": content.device,
        "costs": [
            {
                "name": cost.name,
                "title": cost.title,
                "origin": cost.origin,
                "unit": units[cost.name][0],
                "size": units[cost.name][1],
            }
            for cost in content.costs
        ],
        "stages": content.stages,
        "blocks": _blocks(content),
        "networks": [_network(network) for network in content.networks],
    }
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def column_units(content: Content) -> dict[str, tuple[str, float]]:
    """Return for each cost the unit that its values are displayed in, and that unit's size."""
    return {
        cost.name: choose_unit(max(network.costs[cost.name][0] for network in content.networks), cost.unit)
        for cost in content.costs
    }


def decimal_places(values: list[float | None], size: float, digits: int) -> int:
    """Return how many decimal places give the largest value of a column, in units of `size`, that many digits."""
    largest = max((abs(value) / size for value in values if value is not None), default=0.0)
    return max(0, digits - 1 - math.floor(math.log10(largest))) if largest > 0 else 0


def _blocks(content: Content) -> dict[str, list[dict[str, Any]]]:
    """Return the boxes of every block that is shown, by its stage and label."""
    blocks: dict[str, list[dict[str, Any]]] = {}
    for network in content.networks:
        for stage, label in zip(content.stages, network.labels, strict=True):
            boxes = [asdict(box) for box in network.boxes if box.stage == stage]
            blocks[f"{stage} {label}"] = [{key: value for key, value in box.items() if value} for box in boxes]
    return blocks


def _network(network: ReportedNetwork) -> dict[str, Any]:
    return {
        "labels": network.labels,
        "roles": network.roles,
        "predicted": _number(network.predicted_percent),
        "std": _number(network.predicted_std_percent),
        "top1": _number(network.top1_percent),
        "measured": _number(network.measured_s),
        "costs": {name: [_number(value) for value in pair] for name, pair in network.costs.items()},
    }


def _number(value: float | None) -> float | None:
    """Return a number rounded to six digits; None where there is none."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
