"""The content of an example report: no run, and every number is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from donna_hw.reporting.figures.boxes import build_boxes
from donna_hw.reporting.html.content import Content, TableQuality
from donna_hw.reporting.html.measurement_budget import BudgetAnalysis, BudgetOption
from donna_hw.reporting.html.networks import CostInfo, ReportedNetwork
from donna_hw.spaces import load_space

SPACE = load_space("small_8px")
# block numbers, predicted top-1, latency in seconds: as text 9.5 would come after 10.2 and 100.1
FRONT = (
    ((0, 0, 0), 85.5, 9.5e-6),
    ((1, 0, 12), 91.25, 10.2e-6),
    ((12, 3, 7), 96.0, 32e-6),
    ((2, 2, 2), 97.5, 100.1e-6),
)


def network(row: tuple[int, ...], latency_s: float, *roles: str, **known: float | bool) -> ReportedNetwork:
    architecture = SPACE.architecture(row)
    labels = tuple(SPACE.labels(architecture).values())
    costs = {"cpu": (latency_s, 0.05 * latency_s), "macs": (1e4 + 1e3 * sum(row), 0.0)}
    return ReportedNetwork("/".join(labels), labels, build_boxes(SPACE, architecture), roles, costs, **known)  # type: ignore[arg-type]


def example_content() -> Content:
    """Return a report's content: a front of four, one of them verified, a random one, two of the library, the reference."""
    front = [
        network(row, latency, "front", predicted_percent=top1, predicted_std_percent=1.5, within_noise=True, extrapolated=False)
        for row, top1, latency in FRONT
    ]  # fmt: skip
    front[2] = replace(front[2], roles=("front", "verified"), top1_percent=95.0, measured_s=36e-6)
    others = [
        network((5, 6, 7), 50e-6, "library", predicted_percent=93.0, top1_percent=94.0),
        network((8, 9, 10), 60e-6, "library", predicted_percent=92.0, top1_percent=90.0),
        network((4, 4, 4), 32e-6, "random", predicted_percent=94.0, predicted_std_percent=1.5, top1_percent=92.5, measured_s=34e-6),
        network(tuple(SPACE.row(SPACE.reference)), 120e-6, "reference", top1_percent=98.0),
    ]  # fmt: skip
    costs = np.array([latency for _, _, latency in FRONT])
    ways = (
        BudgetOption("rounds", 1800.0, 1800.0, 2.0, 0.04 * costs, 1),
        BudgetOption("networks", 3600, 300, 1.0, 0.02 * costs, 0),
    )
    return Content(
        title="Made & </script><b>small</b>",
        command="donna-hw run recipes/made.toml",
        created="2026-01-01",
        space="small_8px",
        stages=SPACE.columns,
        networks_in_space=SPACE.size,
        device="cpu",
        costs=(CostInfo("cpu", "s", "measured"), CostInfo("macs", "MAC", "computed")),
        networks=(*front, *others),
        predictor=("Fitted to 5 networks.", "", "| | Kendall tau |", "|---|---|", "| predictor | 0.5 |"),
        latency=("Corrected by 10 whole networks.",),
        table_quality=TableQuality(
            3, {"trusted": 2, "noisy": 1}, (("stage1 3 1 1 relu", "8.1 us", "noisy", "95 % interval of 13 %"),)
        ),
        budget_analysis=BudgetAnalysis(costs, 0.05 * costs, 0.01 * costs, 3, 2, 3, ways),
        has_correction=True,
        table_facts={"origin": "measured", "device_model": "made"},
        settings='title = "Made"\n[search]\nsamples = 100\n',
        versions={"Python": "3", "donna-hw": "0"},
    )
