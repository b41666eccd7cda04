"""Listing: the whole networks measured beside a table, one line a network that is done; what is under way is in the journal alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pandas as pd

from donna_hw._core.files import read_text, write_atomic
from donna_hw.errors import BadFile
from donna_hw.profiling.table_rows import Row

REFERENCE = "sentinel_reference_s"


@dataclass(frozen=True)
class Listing:
    """`<variant>.networks.csv`: columns `network`, `layers_hash`, those of a measured row, and the sentinel's reference.

    reference_s: the table's. Lines of another reference are of an older scale of the table: they are not read, and leave the file
    when it is written; the journal still holds what they were made of.
    """

    path: Path
    reference_s: float | None

    def read(self) -> dict[str, dict[str, str]]:
        """Return the cells of each network by layers_hash; raises `BadFile` for a file that is torn or lacks a column."""
        if not self.path.exists():
            return {}
        text = read_text(self.path)
        try:
            frame = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise self._bad(str(error)) from None
        if not text.endswith("\n") or not {"network", "layers_hash"} <= set(frame.columns):
            raise self._bad("a torn one")
        if REFERENCE not in frame:
            return {}
        frame = frame[frame[REFERENCE] == _cell(self.reference_s)]
        return {str(row["layers_hash"]): {str(k): str(v) for k, v in row.items()} for row in frame.to_dict("records")}

    def add(self, rows: Mapping[str, Row], names: Mapping[str, str]) -> None:
        """List networks that are done, by layers_hash; those listed before stay, the newest row of each stands."""
        if not rows:
            return
        reference = _cell(self.reference_s)
        new = {
            key: {"network": names[key], "layers_hash": key, **row, REFERENCE: reference} for key, row in rows.items()
        }
        frame = pd.DataFrame(list({**self.read(), **new}.values()))
        write_atomic(self.path, frame.to_csv(index=False, lineterminator="\n"))

    def _bad(self, found: str) -> BadFile:
        return BadFile(
            f"{self.path} must be a listing of whole networks",
            found=found,
            cure="delete it: it is derived anew from the samples beside it",
        )


def _cell(reference_s: float | None) -> str:
    return "" if reference_s is None else repr(reference_s)
