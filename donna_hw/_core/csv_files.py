"""CSV files as pandas frames: read with a check of their columns, written atomically."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pandas as pd

from donna_hw._core.files import read_text, write_atomic
from donna_hw.errors import FileFormatError

_HINT = "delete it and repeat the step that writes it"


def read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return a CSV of a run; raises `FileFormatError` where it is missing, no CSV, or lacks one of the columns."""
    try:
        frame = pd.read_csv(StringIO(read_text(path)))
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FileFormatError(f"{path}: not a valid CSV file", got=str(error), hint=_HINT) from None
    for name in columns:
        if name not in frame:
            raise FileFormatError(f"{path}: no column {name!r}", got=", ".join(map(str, frame)), hint=_HINT)
    return frame


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame without its index as a CSV, atomically, with `\\n` line ends on every platform."""
    write_atomic(path, frame.to_csv(index=False, lineterminator="\n"))
