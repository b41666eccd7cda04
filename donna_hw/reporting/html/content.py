"""What a report says, gathered from a finished run's files; how it looks is the page's business."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from donna_hw._core.files import read_text
from donna_hw._core.units import format_quantity
from donna_hw.costs.serialization import load_correction
from donna_hw.pipeline.run import Run
from donna_hw.reporting.html.measurement_budget import BudgetAnalysis, analyze_budget
from donna_hw.reporting.html.networks import CostInfo, ReportedNetwork, collect_networks, rows_from_names
from donna_hw.reporting.summary import latency_lines, predictor_lines
from donna_hw.reporting.text.table import untrusted_mask
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import find_table, row_names

PACKAGES = (
    "donna-hw",
    "torch",
    "onnxruntime",
    "onnx",
    "numpy",
    "scipy",
    "scikit-learn",
    "pymoo",
    "ptflops",
    "pandas",
    "plotly",
)


@dataclass(frozen=True)
class TableQuality:
    """What a table's rows are worth: how many have each verdict, and of each that is not trusted its name, cost, verdict and evidence."""

    rows: int
    counts: Mapping[str, int]
    untrusted: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True)
class Content:
    """All that a report shows. costs: those of the search first. predictor, latency: lines in Markdown.

    table: facts of the latency table (origin, identity, conditions). settings: the recipe as kept.
    """

    title: str
    command: str
    created: str
    space: str
    stages: tuple[str, ...]
    networks_in_space: int
    device: str
    costs: tuple[CostInfo, ...]
    networks: tuple[ReportedNetwork, ...]
    predictor: tuple[str, ...]
    latency: tuple[str, ...]
    table_quality: TableQuality
    budget_analysis: BudgetAnalysis
    has_correction: bool
    table_facts: Mapping[str, str]
    settings: str
    versions: Mapping[str, str]

    @property
    def front(self) -> tuple[ReportedNetwork, ...]:
        """The front, in the order of the first cost."""
        found = [network for network in self.networks if "front" in network.roles]
        return tuple(sorted(found, key=lambda network: network.costs[self.costs[0].name][0]))


def collect_content(run: Run) -> Content:
    """Return what the report of a finished run shows; raises `BadFile` or `BadTable` where a step's files are missing."""
    names = tuple(dict.fromkeys([*run.recipe.cost_devices, run.device.name, *run.recipe.counters]))
    tables = {name: find_table([run.tables], name, run.space.name) for name in names}
    table = tables[run.device.name]
    predictor = predictor_lines(run)  # writes what `collect_networks` reads
    networks = collect_networks(run, names)
    front = [network for network in networks if "front" in network.roles]
    percent, std = (
        np.array([getattr(network, name) for network in front])
        for name in ("predicted_percent", "predicted_std_percent")
    )
    return Content(
        title=run.recipe.title,
        command=run.command,
        created=date.today().isoformat(),
        space=run.recipe.space,
        stages=run.space.columns,
        networks_in_space=run.space.size,
        device=run.device.name,
        costs=tuple(CostInfo(name, one.info.unit, one.info.origin) for name, one in tables.items()),
        networks=networks,
        predictor=tuple(predictor),
        latency=tuple(latency_lines(run, table)),
        table_quality=assess_table_quality(table),
        budget_analysis=analyze_budget(
            run.space, table, rows_from_names(run, [network.name for network in front]), (percent, std)
        ),
        has_correction=load_correction(table) is not None,
        table_facts=_facts(table),
        settings=read_text(run.folder / "recipe.toml"),
        versions=_versions(),
    )


def assess_table_quality(table: LatencyTable) -> TableQuality:
    """Return the verdicts of a table's rows; a table that is computed has none."""
    frame, info = table.frame, table.info
    if "verdict" not in frame:
        return TableQuality(len(frame), {}, ())
    counts = {str(name): int(count) for name, count in frame["verdict"].value_counts().items()}
    costs = [format_quantity(float(value), info.unit) for value in frame[info.column]]
    cells = zip(row_names(frame), costs, frame["verdict"].astype(str), frame["evidence"].astype(str), strict=True)
    kept = tuple(row for row, doubt in zip(cells, untrusted_mask(frame), strict=True) if doubt)
    return TableQuality(len(frame), counts, kept)


def _facts(table: LatencyTable) -> dict[str, str]:
    info = table.info
    own = {"origin": info.origin, "made": f"{info.created} by donna_hw {info.donna_hw}"}
    return own | {key: str(value) for key, value in {**info.identity, **info.conditions}.items()}


def _versions() -> dict[str, str]:
    """Return the versions with which the page was written; what a table was measured with is in its own facts."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed, or a build of another name
            continue
    return found
