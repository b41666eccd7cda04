"""Published results of the baselines: the accuracies of the paper's Table 3 (appendix A.3), and counts; none is measured here."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

ORIGIN = "published"
_FILE = Path(__file__).with_name("published.csv")


class PublishedResult(NamedTuple):
    """A row of the paper's Table 3.

    Attributes:
        network: The baseline's name.
        title: The network's name in the table.
        top1_percent: ImageNet top-1 accuracy in the table.
        top1_source: The source of that accuracy.
        macs: Multiply-accumulates for one 224x224 image, as rounded in `counts_source`; None if uncertain.
        params: Parameters, as rounded in `counts_source`; None if uncertain.
        counts_source: The source of the counts.
        note: What one must know to read the row, such as why there is no network of that name to measure.
    """

    network: str
    title: str
    top1_percent: float
    top1_source: str
    macs: int | None
    params: int | None
    counts_source: str
    note: str


@cache
def load_published() -> dict[str, PublishedResult]:
    """Return {network: its published result}, in the order of the paper's Table 3."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        rows = [_parse_row(row) for row in csv.DictReader(file)]
    return {row.network: row for row in rows}


def _parse_row(row: dict[str, str]) -> PublishedResult:
    macs, params = (int(row[name]) if row[name] else None for name in ("macs", "params"))
    return PublishedResult(
        row["network"],
        row["title"],
        float(row["top1_percent"]),
        row["top1_source"],
        macs,
        params,
        row["counts_source"],
        row["note"],
    )
