"""The content of a report, collected from a finished run's files; the page decides how it looks."""

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
    """The quality of a table's rows.

    Args:
        rows: Number of rows.
        counts: Number of rows with each verdict.
        untrusted: Name, cost, verdict and evidence of each row that is not trusted.
    """

    rows: int
    counts: Mapping[str, int]
    untrusted: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True)
class Content:
    """All that a report shows.

    Args:
        title: Title of the run.
        command: The command that reproduces it.
        created: Date of the report.
        space: Name of the space.
        stages: Names of its stages.
        networks_in_space: Number of its networks.
        device: Name of the run's device.
        costs: The costs, those of the search first.
        networks: The networks to show.
        predictor: How good the predictor is, lines in Markdown.
        latency: How good the latency table is, lines in Markdown.
        table_quality: The verdicts of the table's rows.
        budget_analysis: What more measurement would gain.
        has_correction: Whether the table is corrected by whole networks.
        table_facts: Origin, identity and conditions of the latency table.
        settings: The recipe as saved in the run.
        versions: Versions of the packages.
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
        front = [network for network in self.networks if "front" in network.roles]
        return tuple(sorted(front, key=lambda network: network.costs[self.costs[0].name][0]))


def collect_content(run: Run) -> Content:
    """Return the content of a finished run's report; raises `FileFormatError` or `TableError` where a step's files are missing."""
    names = tuple(dict.fromkeys([*run.recipe.cost_devices, run.device.name, *run.recipe.counters]))
    tables = {name: find_table([run.tables], name, run.space.name) for name in names}
    table = tables[run.device.name]
    predictor = predictor_lines(run)  # writes the file that `collect_networks` reads
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
        costs=tuple(CostInfo(name, table.info.unit, table.info.origin) for name, table in tables.items()),
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
    """Return the verdicts of a table's rows; a computed table has none."""
    frame, info = table.frame, table.info
    if "verdict" not in frame:
        return TableQuality(len(frame), {}, ())
    counts = {str(name): int(count) for name, count in frame["verdict"].value_counts().items()}
    costs = [format_quantity(float(value), info.unit) for value in frame[info.column]]
    cells = zip(row_names(frame), costs, frame["verdict"].astype(str), frame["evidence"].astype(str), strict=True)
    untrusted = tuple(row for row, is_untrusted in zip(cells, untrusted_mask(frame), strict=True) if is_untrusted)
    return TableQuality(len(frame), counts, untrusted)


def _facts(table: LatencyTable) -> dict[str, str]:
    info = table.info
    facts = {"origin": info.origin, "created": f"{info.created} by donna_hw {info.donna_hw}"}
    return facts | {key: str(value) for key, value in {**info.identity, **info.conditions}.items()}


def _versions() -> dict[str, str]:
    """Return the versions that the page was created with; those of a table's measurement are in its facts."""
    versions = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed, or a build of another name
            continue
    return versions
