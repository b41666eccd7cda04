"""The report: one HTML file that needs no network."""

from __future__ import annotations

from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from donna_hw.distillation.reference import reference_top1
from donna_hw.files import read_text, write_atomic
from donna_hw.report.figure import Points, draw, svg
from donna_hw.report.summary import latency_lines, predictor_lines
from donna_hw.run import Run
from donna_hw.tables import table_in
from donna_hw.units import printed, printed_with_error
from donna_hw.verify import read_verified


def write_report(run: Run) -> Path:
    """Write `report.html`, and its picture as `report.png` and `report.svg`, in a finished run's folder; return the page's path."""
    picture = draw(points(run))
    picture.savefig(run.folder / "report.png", dpi=110)
    drawn = svg(picture)
    write_atomic(run.folder / "report.svg", drawn)
    table = table_in([run.tables], run.device.name, run.space.name)
    verdicts = table.frame["verdict"].value_counts() if "verdict" in table.frame else pd.Series(dtype=int)
    templates = Environment(loader=PackageLoader("donna_hw.report"), autoescape=True, undefined=StrictUndefined)
    page = templates.get_template("page.html.j2").render(
        recipe=run.recipe,
        picture=Markup(drawn),  # noqa: S704  drawn by matplotlib from numbers and names of devices
        verified=read_verified(run).to_dict("records"),
        printed=printed,
        printed_with_error=printed_with_error,
        predictor=_cells(predictor_lines(run)),
        latency=_cells(latency_lines(run, table)),
        info=table.info,
        verdicts=", ".join(f"{count} {name}" for name, count in verdicts.items()),
        settings=read_text(run.folder / "recipe.toml"),
    )
    path = run.folder / "report.html"
    write_atomic(path, page)
    return path


def points(run: Run) -> Points:
    """Return the points of a finished run's picture."""
    front = pd.read_csv(StringIO(read_text(run.folder / "front.csv")))
    cost, space = run.cost(run.device.name), run.space
    rows = np.array(
        [
            space.row(space.from_labels(dict(zip(space.columns, labels, strict=True))))
            for labels in front[list(space.columns)].to_numpy()
        ]
    )
    library = run.architectures.means("library", "test")
    library_rows = np.array([space.row(network) for network in library])
    return Points(
        front=pd.DataFrame({"latency_s": cost.mean(rows), "percent": front["predicted_top1_percent"]}),
        library=pd.DataFrame({"latency_s": cost.mean(library_rows), "percent": [top1 for top1, _ in library.values()]}),
        verified=read_verified(run),
        reference_percent=reference_top1(run.folder / "reference"),
        reference_s=float(cost.mean(np.array([space.row(space.reference)]))[0]),
        device=run.device.name,
    )


def _cells(lines: list[str]) -> list[tuple[str, list[Any]]]:
    """Return Markdown lines as ("prose", [line]) and ("table", [cells]), in their order."""
    parts: list[tuple[str, list[Any]]] = []
    for in_table, group in groupby((line for line in lines if line), key=lambda line: line.startswith("|")):
        if in_table:
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in group]
            parts.append(("table", [row for row in rows if set("".join(row)) != {"-"}]))
        else:
            parts.append(("prose", list(group)))
    return parts
