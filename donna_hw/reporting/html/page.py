"""The report: one HTML file that needs no network."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from donna_hw._core.files import read_text, write_atomic
from donna_hw._core.units import format_duration
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.verify import read_verification
from donna_hw.reporting.figures.pareto import ParetoData, draw_pareto
from donna_hw.reporting.figures.style import save_figure
from donna_hw.reporting.html.content import Content, collect_content
from donna_hw.reporting.html.data import column_units, decimal_places, page_data
from donna_hw.reporting.html.measurement_budget import BudgetAnalysis


def write_report(run: Run) -> Path:
    """Write `report.html`, and its picture as `report.png` and `report.svg`, in a finished run's folder. Return the page's path."""
    content = collect_content(run)
    svg, _ = save_figure(draw_pareto(build_static_pareto_data(content, read_verification(run))), run.folder / "report")
    picture = read_text(svg)
    page = render_page(content, picture[picture.index("<svg") :], read_plotly_js())
    path = run.folder / "report.html"
    write_atomic(path, page)
    return path


def render_page(content: Content, picture: str, library: str) -> str:
    """Return the page of a report.

    Args:
        content: What it shows.
        picture: The static picture as SVG, shown where no script runs.
        library: Source of plotly.js, which becomes part of the page; empty for a page with the static picture only.
    """
    units = column_units(content)
    decimals = {
        name: decimal_places([network.costs[name][0] for network in content.front], size, 4)
        for name, (_, size) in units.items()
    }
    templates = Environment(
        loader=PackageLoader("donna_hw.reporting.html"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return templates.get_template("page.html.j2").render(
        content=content,
        data=Markup(page_data(content)),  # noqa: S704  JSON without a `<`
        library=Markup(library),  # noqa: S704  plotly's own
        picture=Markup(picture),  # noqa: S704  drawn by matplotlib from numbers and names of devices
        install_hint=INSTALL_HINT,
        units=units,
        decimals=decimals,
        format_duration=format_duration,
        predictor=_parse_markdown(content.predictor),
        latency=_parse_markdown(content.latency),
        relative_stds=_relative_stds(content.budget_analysis),
    )


def build_static_pareto_data(content: Content, verified: pd.DataFrame) -> ParetoData:
    """Return the data of the static picture: figure 11 over the latency, without random networks, with the rows of `verified.csv`."""

    def column(role: str, percent: str) -> pd.DataFrame:
        networks = [network for network in content.networks if role in network.roles]
        costs = [network.costs[content.device][0] for network in networks]
        return pd.DataFrame({"cost": costs, "percent": [getattr(network, percent) for network in networks]})

    ((cost, percent),) = column("reference", "top1_percent").to_numpy()
    names = {"predicted_s": "predicted_cost", "measured_s": "cost", "top1_percent": "percent"}
    return ParetoData(
        content.device,
        "s",
        random=pd.DataFrame({"cost": [], "percent": []}),
        front=column("front", "predicted_percent").sort_values("cost"),
        library=column("library", "top1_percent"),
        verified=verified.rename(columns=names),
        reference=(float(cost), float(percent)),
    )


def _relative_stds(analysis: BudgetAnalysis) -> dict[str, float]:
    """Return median standard deviations in per cent of the latency: `current`, of each option, and `irreducible`."""
    by_option = {option.kind: option.std for option in analysis.options}
    stds = {"current": analysis.current_std, **by_option, "irreducible": analysis.irreducible_std}
    return {name: float(100 * np.median(std / analysis.mean)) for name, std in stds.items()}


def _parse_markdown(lines: tuple[str, ...]) -> list[tuple[str, list[Any]]]:
    """Return Markdown lines as ("prose", [line]) and ("table", [cells]), in order."""
    parts: list[tuple[str, list[Any]]] = []
    for in_table, group in groupby((line for line in lines if line), key=lambda line: line.startswith("|")):
        if in_table:
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in group]
            parts.append(("table", [row for row in rows if set("".join(row)) != {"-"}]))
        else:
            parts.append(("prose", list(group)))
    return parts


INSTALL_HINT = "pip install 'donna-hw[report]'"


def read_plotly_js() -> str:
    """Return plotly.js as text, with its license at the top; empty where the package is not installed."""
    if find_spec("plotly") is None:
        return ""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
