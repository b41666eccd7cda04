"""Latencies of whole networks: imported lists (`MeasuredNetworks`), and lists next to a table (`NetworkMeasurements`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import write_csv
from donna_hw._core.files import read_text
from donna_hw._core.toml_files import StrictModel, read_model, write_toml
from donna_hw.errors import ConfigError, FileFormatError, TableError
from donna_hw.measurement.environment import Scalar
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Rows, Space
from donna_hw.tables.parts import Row
from donna_hw.tables.table_info import TableInfo

NETWORKS_SUFFIX, LATENCY_COLUMN = ".networks.csv", "latency_s"


class NetworksInfo(StrictModel):
    """The TOML next to `<variant>.networks.csv`; `metadata` has source, license, batch and whatever else is known of the times."""

    device: str
    space: str
    space_hash: str
    unit: str
    column: str
    metadata: dict[str, Scalar]
    donna_hw: str
    created: str


@dataclass(frozen=True)
class MeasuredNetworks:
    """Measured latencies of whole networks.

    Attributes:
        space: The space of the networks.
        device: The name of the device.
        rows: The networks, int [n, stages + global axes].
        seconds: Time of one run on the batch that `metadata` names, float [n].
        metadata: Where the times are from.
    """

    space: Space
    device: str
    rows: Rows
    seconds: np.ndarray
    metadata: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rows.shape != (len(self.seconds), len(self.space.columns)):
            raise ConfigError(
                f"rows must have the shape ({len(self.seconds)}, {len(self.space.columns)})", got=self.rows.shape
            )

    def write(self, path: Path) -> None:
        """Write `<variant>.networks.csv` and the TOML next to it, each atomically."""
        _validate_name(path)
        columns = zip(self.space.column_labels, self.rows.T, strict=True)
        labels = [np.array(labels)[numbers] for labels, numbers in columns]
        names = ["/".join(words) for words in zip(*labels, strict=True)]
        info = NetworksInfo(
            device=self.device,
            space=self.space.name,
            space_hash=self.space.hash,
            unit="s",
            column=LATENCY_COLUMN,
            metadata=dict(self.metadata),
            donna_hw=version("donna-hw"),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_toml(path.with_suffix(".toml"), info.model_dump())
        frame = pd.DataFrame({"network": names, LATENCY_COLUMN: [float(f"{value:.9g}") for value in self.seconds]})
        write_csv(path, frame)

    @classmethod
    def read(cls, path: Path) -> MeasuredNetworks:
        """Read imported networks, or those that `donna-hw` measured next to a table; raises `FileFormatError` and `TableError`."""
        _validate_name(path)
        info = _load_info(path)
        space = load_space(info.space)
        if info.space_hash != space.hash:
            raise TableError(
                f"{path}: of the space hash {info.space_hash}, but {space.name} has {space.hash} now",
                hint="the space was changed since: import or measure again",
            )
        if info.unit != "s":
            raise TableError(f"{path}: times must be in seconds (unit s)", got=info.unit)
        try:
            frame = pd.read_csv(StringIO(read_text(path)), dtype=str, keep_default_na=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise FileFormatError(f"{path}: not a CSV: {error}", hint="import again") from None
        for column in ("network", info.column):
            if column not in frame:
                raise TableError(f"{path}: no column {column}, only {', '.join(map(str, frame.columns))}")
        return cls(
            space, info.device, _parse_rows(frame, space, path), _parse_seconds(frame[info.column], path), info.metadata
        )


def _validate_name(path: Path) -> None:
    if not path.name.endswith(NETWORKS_SUFFIX) or path.name == NETWORKS_SUFFIX:
        raise ConfigError("a file of measured networks must be named <variant>.networks.csv", got=path.name)


def _load_info(path: Path) -> NetworksInfo:
    """Return what is known of the networks: from the TOML next to them, or from that of the table next to them."""
    table = path.with_name(path.name.removesuffix(NETWORKS_SUFFIX) + ".toml")
    if path.with_suffix(".toml").exists() or not table.exists():
        return read_model(path.with_suffix(".toml"), NetworksInfo)
    info = read_model(table, TableInfo)
    return NetworksInfo(
        device=info.device,
        space=info.space,
        space_hash=str(info.identity.get("space_hash", "")),
        unit=info.unit,
        column=info.column,
        metadata=info.identity | info.conditions,
        donna_hw=info.donna_hw,
        created=info.created,
    )


def _parse_rows(frame: pd.DataFrame, space: Space, path: Path) -> Rows:
    """Return the rows of networks by name; column by column, since imported lists are long."""
    cells = frame["network"].str.split("/", expand=True).reindex(columns=range(len(space.columns)))
    counts = frame["network"].str.count("/") + 1
    columns = []
    for number, labels in enumerate(space.column_labels):
        places = {label: place for place, label in enumerate(labels)}
        columns.append(cells[number].map(places))
    rows = pd.concat(columns, axis=1)
    bad = np.asarray(rows.isna().any(axis=1) | (counts != len(space.columns)))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise TableError(
            f"{path}, line {row + 2}: not a network of {space.name}, which has {len(space.columns)} labels joined by /",
            got=str(frame["network"].iloc[row]),
            hint=f"such as {space.network_name(space.reference)}",
        )
    return rows.to_numpy(np.int64).reshape(len(frame), len(space.columns))


def _parse_seconds(cells: pd.Series[str], path: Path) -> np.ndarray:
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    return validate_seconds(values, path)


def validate_seconds(values: np.ndarray, path: Path) -> np.ndarray:
    """Return the times, float [n]; raises `TableError` with the line of the first that is not finite or not above zero."""
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise TableError(
            f"{path}, line {row + 2}: a measured time must be a finite number above zero", got=float(values[row])
        )
    return values


REFERENCE_COLUMN = "sentinel_reference_s"


@dataclass(frozen=True)
class NetworkMeasurements:
    """`<variant>.networks.csv` next to a table: columns `network`, `layers_hash`, those of a measured row, and the sentinel's reference.

    Lines of another reference are of an older calibration of the table: they are not read, and are dropped when the file is written.
    The journal still holds the samples that they were derived from.

    Attributes:
        path: The CSV.
        reference_s: The table's sentinel reference, in seconds; None without one.
    """

    path: Path
    reference_s: float | None

    def read(self) -> dict[str, dict[str, str]]:
        """Return the cells of each network by layers_hash; raises `FileFormatError` for a file that is torn or lacks a column."""
        if not self.path.exists():
            return {}
        text = read_text(self.path)
        try:
            frame = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise self._file_error(str(error)) from None
        if not text.endswith("\n") or not {"network", "layers_hash"} <= set(frame.columns):
            raise self._file_error("a line is torn or a column is missing")
        if REFERENCE_COLUMN not in frame:
            return {}
        frame = frame[frame[REFERENCE_COLUMN] == _format_reference(self.reference_s)]
        return {str(row["layers_hash"]): {str(k): str(v) for k, v in row.items()} for row in frame.to_dict("records")}

    def add(self, rows: Mapping[str, Row], names: Mapping[str, str]) -> None:
        """Add networks to the list; those listed before stay, with the newest row of each.

        Args:
            rows: Their rows by layers_hash.
            names: Their names by layers_hash.
        """
        if not rows:
            return
        reference = _format_reference(self.reference_s)
        new = {
            key: {"network": names[key], "layers_hash": key, **row, REFERENCE_COLUMN: reference}
            for key, row in rows.items()
        }
        frame = pd.DataFrame(list({**self.read(), **new}.values()))
        write_csv(self.path, frame)

    def _file_error(self, reason: str) -> FileFormatError:
        return FileFormatError(
            f"{self.path}: not a list of whole networks: {reason}",
            hint="delete it: it is derived again from the samples next to it",
        )


def _format_reference(reference_s: float | None) -> str:
    return "" if reference_s is None else repr(reference_s)
