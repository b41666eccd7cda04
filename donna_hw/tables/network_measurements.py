"""MeasuredNetworks: what whole networks of a space took on one device; a CSV, and a TOML that says of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from donna_hw._core.csv_files import write_csv
from donna_hw._core.files import read_text
from donna_hw._core.toml_files import read_model, write_toml
from donna_hw.errors import ConfigError, FileFormatError, TableError
from donna_hw.measurement.environment import Scalar
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Rows, Space
from donna_hw.tables.parts import Row
from donna_hw.tables.table_info import TableInfo

NETWORKS_SUFFIX, LATENCY_COLUMN = ".networks.csv", "latency_s"


class NetworksInfo(BaseModel):
    """What the TOML beside `<variant>.networks.csv` says; facts: source, licence, batch and whatever else is known of the times."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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

    rows: int [n, stages + global axes]; seconds: float [n], of one run on the batch that `facts` names. facts: where the times are from.
    """

    space: Space
    device: str
    rows: Rows
    seconds: np.ndarray
    metadata: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rows.shape != (len(self.seconds), len(self.space.columns)):
            raise ConfigError(f"networks need {len(self.space.columns)} numbers and a time each", got=self.rows.shape)

    def write(self, path: Path) -> None:
        """Write `<variant>.networks.csv` and the TOML beside it, each atomically."""
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
        """Read imported networks, or those that `donna-hw` measured beside a table; raises `FileFormatError` and `TableError`."""
        _validate_name(path)
        info = _load_info(path)
        space = load_space(info.space)
        if info.space_hash != space.hash:
            rule = f"{path} must be of the frame {space.hash} that {space.name} has now"
            raise TableError(rule, got=info.space_hash, hint="the space was changed since: import or measure again")
        if info.unit != "s":
            raise TableError(f"{path}: times must be in seconds, unit s", got=info.unit)
        try:
            frame = pd.read_csv(StringIO(read_text(path)), dtype=str, keep_default_na=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise FileFormatError(f"{path} must be a CSV", got=str(error), hint="import again") from None
        for column in ("network", info.column):
            if column not in frame:
                raise TableError(f"{path} must have the column {column}", got=", ".join(map(str, frame.columns)))
        return cls(
            space, info.device, _parse_rows(frame, space, path), _parse_seconds(frame[info.column], path), info.metadata
        )


def _validate_name(path: Path) -> None:
    if not path.name.endswith(NETWORKS_SUFFIX) or path.name == NETWORKS_SUFFIX:
        raise ConfigError("a file of measured networks is named <variant>.networks.csv", got=path.name)


def _load_info(path: Path) -> NetworksInfo:
    """Return what is known of the networks: from the TOML beside them, or from that of the table that they were measured beside."""
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
        rule = f"{path}, line {row + 2}: a network of {space.name} has {len(space.columns)} of its labels, joined by /"
        example = "/".join(space.labels(space.reference).values())
        raise TableError(rule, got=str(frame["network"].iloc[row]), hint=f"such as {example}")
    return rows.to_numpy(np.int64).reshape(len(frame), len(space.columns))


def _parse_seconds(cells: pd.Series[str], path: Path) -> np.ndarray:
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    return validate_seconds(values, path)


def validate_seconds(values: np.ndarray, path: Path) -> np.ndarray:
    """Return times float [n]; raises `TableError` with the line of the first that is none: not finite, zero or below."""
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        rule = f"{path}, line {row + 2}: a measured time must be a finite number above zero"
        raise TableError(rule, got=float(values[row]))
    return values


REFERENCE_COLUMN = "sentinel_reference_s"


@dataclass(frozen=True)
class NetworkMeasurements:
    """`<variant>.networks.csv`: columns `network`, `layers_hash`, those of a measured row, and the sentinel's reference.

    reference_s: the table's. Lines of another reference are of an older scale of the table: they are not read, and leave the file
    when it is written; the journal still holds what they were made of.
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
            raise self._file_error("a torn one")
        if REFERENCE_COLUMN not in frame:
            return {}
        frame = frame[frame[REFERENCE_COLUMN] == _format_reference(self.reference_s)]
        return {str(row["layers_hash"]): {str(k): str(v) for k, v in row.items()} for row in frame.to_dict("records")}

    def add(self, rows: Mapping[str, Row], names: Mapping[str, str]) -> None:
        """List networks that are done, by layers_hash; those listed before stay, the newest row of each stands."""
        if not rows:
            return
        reference = _format_reference(self.reference_s)
        new = {
            key: {"network": names[key], "layers_hash": key, **row, REFERENCE_COLUMN: reference}
            for key, row in rows.items()
        }
        frame = pd.DataFrame(list({**self.read(), **new}.values()))
        write_csv(self.path, frame)

    def _file_error(self, found: str) -> FileFormatError:
        return FileFormatError(
            f"{self.path} must be a listing of whole networks",
            got=found,
            hint="delete it: it is derived anew from the samples beside it",
        )


def _format_reference(reference_s: float | None) -> str:
    return "" if reference_s is None else repr(reference_s)
