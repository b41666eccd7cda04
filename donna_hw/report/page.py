"""The report: one HTML file that needs no network."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from donna_hw.files import write_atomic
from donna_hw.report.content import Content, content_of
from donna_hw.report.data import column_units, page_data, places
from donna_hw.report.figure import Points, draw, svg
from donna_hw.report.hour import Gain
from donna_hw.report.vendored import CURE, plot_library
from donna_hw.run import Run
from donna_hw.units import printed, spoken
from donna_hw.verify import read_verified


def write_report(run: Run) -> Path:
    """Write `report.html`, and its picture as `report.png` and `report.svg`, in a finished run's folder; return the page's path."""
    content = content_of(run)
    picture = draw(points_of(content, read_verified(run)))
    picture.savefig(run.folder / "report.png", dpi=110)
    drawn = svg(picture)
    write_atomic(run.folder / "report.svg", drawn)
    page = rendered(content, drawn, plot_library())
    path = run.folder / "report.html"
    write_atomic(path, page)
    return path


def rendered(content: Content, picture: str, library: str) -> str:
    """Return the page of a report.

    picture: the still one as SVG, seen where no script runs. library: the plot's, written into the page; without one (empty) the picture
    is all there is.
    """
    units = column_units(content)
    figures = {
        name: places([network.costs[name][0] for network in content.front], size, 4)
        for name, (_, size) in units.items()
    }
    templates = Environment(
        loader=PackageLoader("donna_hw.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return templates.get_template("page.html.j2").render(
        content=content,
        data=Markup(page_data(content)),  # noqa: S704  JSON without a `<`
        library=Markup(library),  # noqa: S704  plotly's own
        picture=Markup(picture),  # noqa: S704  drawn by matplotlib from numbers and names of devices
        cure=CURE,
        units=units,
        figures=figures,
        printed=printed,
        spoken=spoken,
        predictor=_cells(content.predictor),
        latency=_cells(content.latency),
        shares=_shares(content.gain),
    )


def points_of(content: Content, verified: pd.DataFrame) -> Points:
    """Return the points of the still picture; verified: see `donna_hw.verify.verify`."""

    def column(role: str, percent: str) -> pd.DataFrame:
        chosen = [network for network in content.networks if role in network.roles]
        return pd.DataFrame(
            {
                "latency_s": [network.costs[content.device][0] for network in chosen],
                "percent": [getattr(network, percent) for network in chosen],
            }
        ).sort_values("latency_s")

    (reference,) = column("reference", "top1_percent").to_dict("records")
    return Points(
        front=column("front", "predicted_percent"),
        library=column("library", "top1_percent"),
        verified=verified,
        reference_percent=reference["percent"],
        reference_s=reference["latency_s"],
        device=content.device,
    )


def _shares(gain: Gain) -> dict[str, float]:
    """Return median standard deviations in per cent of the latency: `now`, of each way to spend the hour, and `never` mended."""
    stds = {"now": gain.now, **{way.what: way.std for way in gain.ways}, "never": gain.never}
    return {name: float(100 * np.median(std / gain.mean)) for name, std in stds.items()}


def _cells(lines: tuple[str, ...]) -> list[tuple[str, list[Any]]]:
    """Return Markdown lines as ("prose", [line]) and ("table", [cells]), in their order."""
    parts: list[tuple[str, list[Any]]] = []
    for in_table, group in groupby((line for line in lines if line), key=lambda line: line.startswith("|")):
        if in_table:
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in group]
            parts.append(("table", [row for row in rows if set("".join(row)) != {"-"}]))
        else:
            parts.append(("prose", list(group)))
    return parts
