"""CSV files as pandas frames: read with a check of their columns, written atomically."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pandas as pd

from donna_hw._core.files import read_text, write_atomic
from donna_hw.errors import FileFormatError


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return a CSV of a run that has these columns; raises `FileFormatError` where it has not, is none, or is not there."""
    try:
        frame = pd.read_csv(StringIO(read_text(path)))
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FileFormatError(
            f"{path} must be a CSV", got=str(error), hint="delete it and take its step again"
        ) from None
    for name in columns:
        if name not in frame:
            known = ", ".join(map(str, frame))
            raise FileFormatError(
                f"{path} must have a column {name}", got=known, hint="delete it and take its step again"
            )
    return frame


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame without its index as a CSV, atomically, with `\\n` line ends on every platform."""
    write_atomic(path, frame.to_csv(index=False, lineterminator="\n"))
