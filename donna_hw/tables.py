"""Folders of latency tables: which table answers for a device and a space, and the correction kept beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from donna_hw.cost import Correction
from donna_hw.errors import BadFile, BadTable
from donna_hw.files import read_toml, write_toml
from donna_hw.table import LatencyTable


def table_in(roots: Sequence[Path], device: str, space: str) -> LatencyTable:
    """Return the table of a device and a space from the first folder that has one.

    device: a name, or `<device>/<variant>` where a folder holds several variants. Raises `BadTable` with what is there.
    """
    name, _, variant = device.partition("/")
    for root in roots:
        tables = sorted(path for path in (root / name / space).glob("*.csv") if path.with_suffix(".toml").exists())
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


def correction_of(table: LatencyTable) -> Correction | None:
    """Return the correction kept beside a table, None if there is none; raises `BadFile`."""
    path = table.path.with_suffix(".correction.toml")
    if not path.exists():
        return None
    try:
        return Correction(**read_toml(path))
    except TypeError as error:
        raise BadFile(f"{path} must hold a correction", found=str(error), cure="delete it and profile again") from None


def write_correction(table: LatencyTable, correction: Correction) -> None:
    """Keep a correction beside its table."""
    write_toml(table.path.with_suffix(".correction.toml"), asdict(correction))
