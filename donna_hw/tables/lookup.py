"""Folders of latency tables: which table holds a device's costs of a space."""

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

EXPLICIT_QUANTITIES = ("energy",)  # never meant by a device's name alone, which means its latency or its count


class CostName(NamedTuple):
    """The name of a cost, `[METRIC@]DEVICE[/VARIANT]`.

    Attributes:
        quantity: `latency`, `energy`, ...; empty where none is named.
        device: The device.
        variant: The file name of the table without its suffix; empty where none is named.
    """

    quantity: str
    device: str
    variant: str

    @classmethod
    def parse(cls, text: str) -> CostName:
        """Parse `[METRIC@]DEVICE[/VARIANT]`; raises `ConfigError`, and `UnknownNameError` for an unknown quantity."""
        place, slash, variant = text.partition("/")
        quantity, sign, device = place.rpartition("@")
        if not device or (slash and not variant) or (sign and not quantity):
            raise ConfigError("a cost must be named [METRIC@]DEVICE[/VARIANT], such as latency@v100", got=text)
        if quantity and quantity not in UNITS:
            raise UnknownNameError("unknown quantity", got=quantity, choices=UNITS)
        return cls(quantity, device, variant)

    def matches(self, quantity: str, variant: str) -> bool:
        """Return whether the name means a table of the device with that quantity and variant."""
        if self.variant and variant != self.variant:
            return False
        return quantity == self.quantity if self.quantity else bool(self.variant) or quantity not in EXPLICIT_QUANTITIES


def find_table(roots: Sequence[Path], cost: str, space: str) -> LatencyTable:
    """Return the table of a cost and a space from the first folder that has one.

    Args:
        roots: Folders of tables.
        cost: `[METRIC@]DEVICE[/VARIANT]`; a device's name alone means its latency or its count, never its energy.
        space: The name of the space.

    Raises:
        TableError: When no folder has the table, or one has several, with the names that would be good.
    """
    name = CostName.parse(cost)
    for root in roots:
        tables = _list_tables(root / name.device / space, name.variant or "*")
        matches = [path for path, quantity in tables if name.matches(quantity, path.stem)]
        if len(matches) > 1:
            raise TableError(
                f"several tables in {root / name.device / space}; name one",
                got=cost,
                choices=[f"{name.device}/{path.stem}" for path in matches],
            )
        if matches:
            return LatencyTable.read(matches[0])
    folders = [folder for root in roots for folder in root.glob(f"*/{space}")]
    devices = {folder.parent.name for folder in folders}
    if name.quantity:
        devices = {f"{quantity}@{folder.parent.name}" for folder in folders for _, quantity in _list_tables(folder)}
    raise TableError(
        f"no table of {space} for this cost",
        got=cost,
        choices=sorted(devices),
        hint=f"donna-hw profile {space} --device {name.device}{' --metric energy' * (name.quantity == 'energy')} fills one",
    )


def _list_tables(folder: Path, variant: str = "*") -> list[tuple[Path, str]]:
    """Return the CSV and the quantity of every table of a folder whose variant matches a pattern."""
    paths = sorted(path for path in folder.glob(f"{variant}.csv") if _is_table(path))
    return [(path, read_model(path.with_suffix(".toml"), TableInfo).quantity) for path in paths]


def ensure_writable_table(table: LatencyTable, folder: Path | None) -> LatencyTable:
    """Return a table next to which networks may be listed: the table itself, or the copy of a shipped one in `folder`.

    The correction is copied too. Raises `ConfigError` where a shipped table has no folder to be copied to, or a shipped one.
    """
    if not is_shipped(table.path):
        return table
    if folder is None or is_shipped(folder):
        raise ConfigError(
            "networks cannot be listed next to a shipped table",
            got=str(table.path),
            hint="name another folder with --tables: the table is copied there",
        )
    path = table_path(folder, table.info.device, table.info.space, table.path.stem)
    for suffix in (".correction.toml", ".toml", ".csv"):  # the last makes it a table
        source = table.path.with_suffix(suffix)
        if source.exists() and not path.with_suffix(suffix).exists():
            write_atomic(path.with_suffix(suffix), source.read_bytes())
    return LatencyTable.read(path)


def _is_table(path: Path) -> bool:
    """Return whether a CSV is a table: it has a TOML next to it, and is not a list of whole networks."""
    return path.with_suffix(".toml").exists() and not path.name.endswith(".networks.csv")


def load_table(name: str, folder: Path) -> LatencyTable:
    """Return the table of a name.

    Args:
        name: The path of a `.csv`, or `[METRIC@]DEVICE/SPACE[/VARIANT]`.
        folder: The folder of tables that is searched before the shipped ones.

    Raises:
        ConfigError: For a name of another form.
        TableError: When there is no such table, or several.
    """
    if name.endswith(".csv"):
        return LatencyTable.read(Path(name))
    words = name.split("/")
    if len(words) not in (2, 3) or not all(words):
        raise ConfigError("a table must be named by its .csv, or by [METRIC@]DEVICE/SPACE[/VARIANT]", got=name)
    device, space, *variant = words
    return find_table(
        [folder, *(root / "latency_tables" for root in data_roots())], "/".join([device, *variant]), space
    )


def axis_columns(frame: pd.DataFrame) -> list[str]:
    """Return the names of a table's axes: its columns between `part` and `layers_hash`."""
    columns = list(map(str, frame.columns))
    return [name for name in columns[: columns.index("layers_hash")] if name != "part"]


def row_names(frame: pd.DataFrame) -> list[str]:
    """Return each row's name for people: its part, then its axis values, joined by blanks."""
    cells = frame[["part", *axis_columns(frame)]].astype(str).to_dict("split")["data"]
    return [" ".join(cell for cell in row if cell) for row in cells]
