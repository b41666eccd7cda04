"""Folders of latency tables: which table answers for a device and a space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from donna_hw._core.files import write_atomic
from donna_hw._core.resources import data_roots, is_shipped
from donna_hw._core.toml_files import read_model
from donna_hw.devices.backends.base import UNITS
from donna_hw.errors import ConfigError, TableError, UnknownNameError
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.table_info import TableInfo, table_path

EXPLICIT_QUANTITIES = ("energy",)  # what a device's name alone never means: it means what the device is there to tell


class CostName(NamedTuple):
    """What a name asks for: a quantity ("" where none is named), a device, and a variant ("" where none is named)."""

    quantity: str
    device: str
    variant: str

    @classmethod
    def parse(cls, text: str) -> CostName:
        """Read `[QUANTITY@]DEVICE[/VARIANT]`; raises `ConfigError`, and `UnknownNameError` for a quantity that is none."""
        place, slash, variant = text.partition("/")
        quantity, sign, device = place.rpartition("@")
        if not device or (slash and not variant) or (sign and not quantity):
            raise ConfigError("a cost is named [QUANTITY@]DEVICE[/VARIANT], such as latency@v100", got=text)
        if quantity and quantity not in UNITS:
            raise UnknownNameError("a cost's quantity must be a known one", got=quantity, choices=UNITS)
        return cls(quantity, device, variant)

    def matches(self, quantity: str, variant: str) -> bool:
        """Return whether a table of the device, of that quantity and variant, is one that is asked for."""
        if self.variant and variant != self.variant:
            return False
        return quantity == self.quantity if self.quantity else bool(self.variant) or quantity not in EXPLICIT_QUANTITIES


def find_table(roots: Sequence[Path], cost: str, space: str) -> LatencyTable:
    """Return the table of a cost (`[QUANTITY@]DEVICE[/VARIANT]`) and a space from the first folder that has one.

    A device's name alone means its latency or its count, never its energy. Raises `TableError` with what is there.
    """
    name = CostName.parse(cost)
    for root in roots:
        there = _list_tables(root / name.device / space, name.variant or "*")
        found = [path for path, quantity in there if name.matches(quantity, path.stem)]
        if len(found) > 1:
            raise TableError(
                f"{root / name.device / space} holds several tables; one must be named",
                got=cost,
                choices=[f"{name.device}/{path.stem}" for path in found],
            )
        if found:
            return LatencyTable.read(found[0])
    folders = [folder for root in roots for folder in root.glob(f"*/{space}")]
    known = {folder.parent.name for folder in folders}
    if name.quantity:
        known = {f"{quantity}@{folder.parent.name}" for folder in folders for _, quantity in _list_tables(folder)}
    raise TableError(
        f"a cost needs a table of {space}",
        got=f"none for {cost}",
        choices=sorted(known),
        hint=f"donna-hw profile {space} --device {name.device}{' --quantity energy' * (name.quantity == 'energy')} fills one",
    )


def _list_tables(folder: Path, variant: str = "*") -> list[tuple[Path, str]]:
    """Return the CSV and the quantity of every table of a folder whose variant is as asked."""
    paths = sorted(path for path in folder.glob(f"{variant}.csv") if _is_table(path))
    return [(path, read_model(path.with_suffix(".toml"), TableInfo).quantity) for path in paths]


def ensure_writable_table(table: LatencyTable, folder: Path | None) -> LatencyTable:
    """Return a table that may be measured beside: itself, or a shipped one's copy in `folder`, its correction with it.

    Raises `ConfigError` where a shipped table has no folder to be copied to, or one among the shipped.
    """
    if not is_shipped(table.path):
        return table
    if folder is None or is_shipped(folder):
        raise ConfigError(
            "networks are measured beside a table of your own, never beside a shipped one",
            got=str(table.path),
            hint="name a folder with --tables: the table is copied there",
        )
    path = table_path(folder, table.info.device, table.info.space, table.path.stem)
    for suffix in (".correction.toml", ".toml", ".csv"):  # the last makes it a table
        source = table.path.with_suffix(suffix)
        if source.exists() and not path.with_suffix(suffix).exists():
            write_atomic(path.with_suffix(suffix), source.read_bytes())
    return LatencyTable.read(path)


def _is_table(path: Path) -> bool:
    """Return whether a CSV is a table: one with a TOML beside it that is no list of whole networks."""
    return path.with_suffix(".toml").exists() and not path.name.endswith(".networks.csv")


def load_table(name: str, folder: Path) -> LatencyTable:
    """Return the table of a name: the path of a `.csv`, or `[QUANTITY@]DEVICE/SPACE[/VARIANT]` in `folder`, then among the shipped ones."""
    if name.endswith(".csv"):
        return LatencyTable.read(Path(name))
    words = name.split("/")
    if len(words) not in (2, 3) or not all(words):
        raise ConfigError("a table is named by its .csv, or by [QUANTITY@]DEVICE/SPACE[/VARIANT]", got=name)
    device, space, *variant = words
    return find_table(
        [folder, *(root / "latency_tables" for root in data_roots())], "/".join([device, *variant]), space
    )


def axis_columns(frame: pd.DataFrame) -> list[str]:
    """Return the names of a table's axes: its columns between `part` and `layers_hash`."""
    columns = list(map(str, frame.columns))
    return [name for name in columns[: columns.index("layers_hash")] if name != "part"]


def row_names(frame: pd.DataFrame) -> list[str]:
    """Return each row's name for people: its part, then its axis values."""
    cells = frame[["part", *axis_columns(frame)]].astype(str).to_dict("split")["data"]
    return [" ".join(cell for cell in row if cell) for row in cells]
