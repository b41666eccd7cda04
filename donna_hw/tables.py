"""Folders of latency tables: which table answers for a device and a space, and the correction kept beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from donna_hw.costs.correction import Correction
from donna_hw.errors import BadSetting, BadTable
from donna_hw.files import read_model, write_toml
from donna_hw.shipped import roots
from donna_hw.table import LatencyTable


def table_in(roots: Sequence[Path], device: str, space: str) -> LatencyTable:
    """Return the table of a device and a space from the first folder that has one.

    device: a name, or `<device>/<variant>` where a folder holds several variants. Raises `BadTable` with what is there.
    """
    name, _, variant = device.partition("/")
    for root in roots:
        tables = sorted(path for path in (root / name / space).glob("*.csv") if _is_table(path))
        if variant:
            tables = [path for path in tables if path.stem == variant]
        if len(tables) > 1:
            raise BadTable(
                f"{root / name / space} holds several tables; one must be named",
                found=device,
                known=[f"{name}/{path.stem}" for path in tables],
            )
        if tables:
            return LatencyTable.read(tables[0])
    known = sorted({f"{path.parent.name}" for root in roots for path in root.glob(f"*/{space}")})
    raise BadTable(
        f"a cost needs a table of {space}",
        found=f"none for {device}",
        known=known,
        cure=f"donna-hw profile {space} --device {name} fills one",
    )


def _is_table(path: Path) -> bool:
    """Return whether a CSV is a table: one with a TOML beside it that is no list of whole networks."""
    return path.with_suffix(".toml").exists() and not path.name.endswith(".networks.csv")


def named_table(name: str, folder: Path) -> LatencyTable:
    """Return the table of a name: the path of a `.csv`, or `DEVICE/SPACE[/VARIANT]` in `folder`, then among the shipped ones."""
    if name.endswith(".csv"):
        return LatencyTable.read(Path(name))
    words = name.split("/")
    if len(words) not in (2, 3) or not all(words):
        raise BadSetting("a table is named by its .csv, or by DEVICE/SPACE[/VARIANT]", found=name)
    device, space, *variant = words
    return table_in([folder, *(root / "latency_tables" for root in roots())], "/".join([device, *variant]), space)


def axes_of(frame: pd.DataFrame) -> list[str]:
    """Return the names of a table's axes: its columns between `part` and `layers_hash`."""
    columns = list(map(str, frame.columns))
    return [name for name in columns[: columns.index("layers_hash")] if name != "part"]


def row_names(frame: pd.DataFrame) -> list[str]:
    """Return each row's name for people: its part, then its axis values."""
    cells = frame[["part", *axes_of(frame)]].astype(str).to_dict("split")["data"]
    return [" ".join(cell for cell in row if cell) for row in cells]


class _CorrectionFile(BaseModel):
    """The keys of a correction's TOML: every one must be there, since a default would pass for a fit."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    scale: float = Field(gt=0)
    offset: float
    residual: float = Field(ge=0)
    networks: int = Field(ge=0)
    mape_before: float = Field(ge=0)
    mape_loo: float = Field(ge=0)


def correction_of(table: LatencyTable) -> Correction | None:
    """Return the correction kept beside a table, None if there is none.

    Raises `BadFile`, `UnknownName` or `BadSetting` for a file that is torn, lacks a key, or holds a value that no fit gives.
    """
    path = table.path.with_suffix(".correction.toml")
    return Correction(**read_model(path, _CorrectionFile).model_dump()) if path.exists() else None


def write_correction(table: LatencyTable, correction: Correction) -> None:
    """Keep a correction beside its table."""
    write_toml(table.path.with_suffix(".correction.toml"), asdict(correction))
