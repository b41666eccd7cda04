"""LatencyTable: what each block and fixed part of a space costs on one device; a CSV, and a TOML that says of what."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from scipy import stats

from donna_hw._core.files import read_model, read_text, write_atomic, write_toml
from donna_hw.devices.backends.base import ORIGINS, UNITS
from donna_hw.errors import BadFile, BadSetting, BadTable
from donna_hw.measurement.environment import Scalar
from donna_hw.spaces.space import Space
from donna_hw.tables.coverage import FIXED, Coverage, Key, block_key, coverage_of

UNSAMPLED = (
    "median_s",
    "raw_median_s",
    "mean_s",
    "min_s",
)  # blank in rows that have no samples, the table's own column apart
FORETOLD = ("composed", "learned", "absent")  # methods of rows that were not measured themselves
SUMMARISED = "summarised"  # of rows measured by a tool that tells no single times, whose median is blank for that


class LaunchFloor(BaseModel):
    """A second column: what a block adds to the time of launching; a network costs the smooth maximum of the sums of both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    sharpness: float = Field(gt=0, allow_inf_nan=False)


class TableInfo(BaseModel):
    """What a table's TOML says: `identity` must agree between rows, `conditions` are recorded only.

    column: the CSV's column that holds the cost, such as `median_s`. sentinel_reference_s, least_spread: see `Measurement`. residual:
    relative deviation of whole networks about the table's sums, of a table fitted to them; floor: its second column, where it has one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    space: str
    quantity: str
    unit: str
    origin: str
    column: str
    identity: dict[str, Scalar]
    conditions: dict[str, Scalar] = {}
    donna_hw: str
    created: str
    sentinel: str = ""
    sentinel_reference_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    least_spread: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    residual: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    floor: LaunchFloor | None = None

    def refuse_other(self, other: TableInfo, path: Path) -> None:
        """Raise `BadTable` that names the first difference when `other`, about to be written to `path`, is not of this identity."""
        mine, theirs = self._identity(), other._identity()
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                raise BadTable(
                    f"{path} holds rows of {key} = {mine.get(key)!r}; rows of different environments do not mix",
                    found=str(theirs.get(key)),
                    cure="write to another folder with --out, or move the old table away",
                )

    @property
    def in_chain(self) -> bool:
        """Whether the costs are differences of two chains: of a block that adds nothing they scatter about zero."""
        return self.identity.get("mode") == "in_chain"

    def _identity(self) -> dict[str, Scalar]:
        own: dict[str, Scalar] = {
            name: getattr(self, name) for name in ("device", "space", "quantity", "unit", "origin")
        }
        return own | {"column": self.column, "sentinel": self.sentinel} | self.identity


@dataclass(frozen=True)
class LatencyTable:
    """Costs by part and axis values, with their origin.

    frame: columns `part`, one for each axis, `layers_hash`, the cost (`info.column`, in `info.unit`), and for measured tables
    `low_s`, `high_s` (95 % interval), `raw_median_s`, `mean_s`, `min_s`, `samples`, `rounds`, `method` (`measured`, `summarised` by a tool
    that tells no single times, `composed`, `learned`, or `absent` of a block without layers, which costs nothing),
    `stopped` (the rule that ended the measurement), `verdict`, `evidence`. `latency_tables/README.md` explains them.
    """

    info: TableInfo
    frame: pd.DataFrame
    path: Path

    @classmethod
    def read(cls, path: Path) -> LatencyTable:
        """Read `<variant>.csv` and the TOML beside it; raises `BadFile` or `BadTable`, never returns a doubtful row."""
        info = read_model(path.with_suffix(".toml"), TableInfo)
        text = read_text(path)
        if not text.endswith("\n"):
            raise BadFile(f"{path} must end with a whole line", found="a torn one", cure="profile again: it resumes")
        frame = _cells(text, path)
        return cls(info, _numbers(frame, info, path), path)

    def write(self) -> None:
        """Write both files, each atomically."""
        write_toml(self.path.with_suffix(".toml"), self.info.model_dump(exclude_none=True))
        write_atomic(self.path, self.frame.to_csv(index=False, lineterminator="\n"))

    def lookup(self, space: Space, part: str, choice: Mapping[str, object] | None = None) -> float:
        """Return the cost of a block ({axis: value}) or of a fixed part, in `info.unit`; raises `BadTable` when it has no row."""
        axes = [axis.name for axis in space.stage(part).axes] if part not in space.fixed else []
        key = (part, *(str((choice or {}).get(axis, "")) for axis in axes))
        row = self.rows_by_key(space).get(key)
        if row is None:
            raise BadTable(f"{self.path} must have a row for {part}", found=" ".join(key), cure="check the axis values")
        return float(self.frame[self.info.column].iloc[row])

    def rows_by_key(self, space: Space) -> dict[Key, int]:
        """Return the row number of every key that the space knows; raises `BadTable` on a doubled key."""
        axes = {stage.name: [axis.name for axis in stage.axes] for stage in space.stages}
        found: dict[Key, int] = {}
        for number, record in enumerate(self.frame.to_dict("records")):
            names = axes.get(str(record["part"]), [])
            key = (str(record["part"]), *(str(record.get(name, "")) for name in names))
            if key in found:
                raise BadTable(
                    f"{self.path}: a block must have one row", found=" ".join(key), cure="delete one of them"
                )
            found[key] = number
        return found

    def coverage(self, space: Space) -> Coverage:
        """Return which blocks of a space have no row, or one of other layers; raises `BadTable` for another space or a doubled key."""
        if self.info.space != space.name:
            raise BadTable(f"{self.path} must be a table of {space.name}", found=self.info.space, cure="name its space")
        if space.global_axes:
            found = [self.at(space, setting).coverage(space.settled(setting)) for setting in space.settings]
            return Coverage(
                sum(one.wanted for one in found),
                tuple(key for one in found for key in one.missing),
                tuple(key for one in found for key in one.changed),
            )
        hashes = self.frame["layers_hash"].astype(str).tolist()
        return coverage_of(space, {key: hashes[row] for key, row in self.rows_by_key(space).items()})

    def at(self, space: Space, setting: Sequence[int]) -> LatencyTable:
        """Return the rows at one value number of each global axis, as the table of the space settled there; raises `BadTable`."""
        chosen = np.ones(len(self.frame), bool)
        for axis, number in zip(space.global_axes, setting, strict=True):
            if axis.name not in self.frame:
                raise BadTable(f"{self.path} must have the column {axis.name}", found=", ".join(self.frame.columns))
            chosen &= (self.frame[axis.name] == str(axis.values[number])).to_numpy()
        info = self.info.model_copy(update={"space": space.settled(setting).name})
        return replace(self, info=info, frame=self.frame[chosen].reset_index(drop=True))

    def costs(self, space: Space, column: str = "") -> TableCosts:
        """Return the costs of every block and fixed part of a space without global axes as arrays.

        column: of another number than the cost, such as the floor's. Raises `BadTable` when the table is of another space, when rows are
        missing (all are counted, the first are named), or when a row was measured on other layers than the space has now.
        """
        if space.global_axes:
            names = ", ".join(axis.name for axis in space.global_axes)
            raise BadSetting("costs are of one setting of each global axis", found=names, cure="ask the table `at` one")
        self._refuse_partial(space, self.coverage(space))
        rows = self.rows_by_key(space)
        wanted = {stage.name: [block_key(stage, m) for m in range(stage.size)] for stage in space.stages}
        fixed: list[Key] = [FIXED] if FIXED in rows else [(name,) for name in space.fixed]
        column = column or self.info.column
        values, errors = self.frame[column].to_numpy(np.float64), self.standard_errors(column)
        picks = [np.array([rows[key] for key in keys]) for keys in wanted.values()]
        fixed_rows = np.array([rows[key] for key in fixed], np.int64)
        return TableCosts(
            blocks=tuple(values[pick] for pick in picks),
            errors=tuple(errors[pick] for pick in picks),
            fixed=float(values[fixed_rows].sum()),
            fixed_error=float(np.sqrt((errors[fixed_rows] ** 2).sum())),
        )

    def standard_errors(self, column: str = "") -> np.ndarray:
        """Return the standard error of each row's cost or other column, float [rows]; zero where a table has no intervals."""
        column = column or self.info.column
        if std_of(column) in self.frame:
            return self.frame[std_of(column)].to_numpy(np.float64)
        if "low_s" not in self.frame:
            return np.zeros(len(self.frame))
        width = np.asarray(self.frame["high_s"] - self.frame["low_s"], np.float64)
        rounds = self.frame["rounds"].to_numpy(np.float64) if "rounds" in self.frame else np.ones(len(self.frame))
        quantile = np.where(rounds > 1, stats.t.ppf(0.975, np.maximum(rounds - 1, 1)), stats.norm.ppf(0.975))
        return np.asarray(width / (2 * quantile))

    def _refuse_partial(self, space: Space, found: Coverage) -> None:
        if found.missing:
            first = ", ".join(" ".join(key) for key in found.missing[:3])
            raise BadTable(
                f"{self.path} must have a row for each block of {space.name}",
                found=f"{len(found.missing)} missing: {first}{' ...' * (len(found.missing) > 3)}",
                cure=f"donna-hw profile {space.name} --device {self.info.device} fills them, with --retry those that failed; "
                f"donna-hw table check {self.path} names them all",
            )
        for key, kept, now in found.changed:
            raise BadTable(
                f"{self.path}: row {' '.join(key)} must be of the layers {now} that {space.name} has now",
                found=kept,
                cure="the space was changed since: profile again",
            )


@dataclass(frozen=True)
class TableCosts:
    """A table as arrays: blocks and errors (standard errors) [stage][block], and the sum of the fixed parts."""

    blocks: tuple[np.ndarray, ...]
    errors: tuple[np.ndarray, ...]
    fixed: float
    fixed_error: float


def std_of(column: str) -> str:
    """Return the name of the column of a fitted column's standard errors: `work_std_s` of `work_s`."""
    return f"{column.removesuffix('_s')}_std_s"


def table_path(root: Path, device: str, space: str, variant: str) -> Path:
    """Return where a table lies below `root`."""
    return root / device / space / f"{variant}.csv"


def _cells(text: str, path: Path) -> pd.DataFrame:
    """Return a CSV's cells as text; each row must be as long as the header, whose names must differ."""
    try:
        header, *rows = csv.reader(StringIO(text), strict=True)
    except csv.Error as error:
        raise BadFile(f"{path} must be a CSV", found=str(error), cure="profile again") from None
    if len(set(header)) < len(header):
        raise BadFile(f"{path} must have columns of different names", found=", ".join(header), cure="profile again")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise BadFile(
                f"{path}, line {number}: a row must have {len(header)} cells",
                found=f"{len(row)} cells",
                cure="delete the line and profile again: it is written anew",
            )
    return pd.DataFrame(rows, columns=header, dtype=str)


def _numbers(frame: pd.DataFrame, info: TableInfo, path: Path) -> pd.DataFrame:
    """Return the frame with numbers as numbers; raises `BadTable` for a wrong unit, a missing column or a value that is none."""
    if info.origin not in ORIGINS:
        raise BadTable(f"{path}: an origin must be a known one", found=info.origin, known=ORIGINS)
    if UNITS.get(info.quantity) != info.unit:
        known = [f"{quantity} in {unit}" for quantity, unit in UNITS.items()]
        raise BadTable(f"{path}: quantity and unit must agree", found=f"{info.quantity} in {info.unit}", known=known)
    needed = ["part", "layers_hash", info.column]
    if info.origin == "measured":
        needed += ["low_s", "high_s"]
    for column in needed:
        if column not in frame:
            raise BadTable(
                f"{path} must have the column {column} (times are in seconds)",
                found=", ".join(frame.columns),
                cure="convert the unit and rename the column, or profile again",
            )
    if frame.empty:
        raise BadTable(f"{path} must have rows", found="none", cure="profile again")
    numeric = [name for name in map(str, frame) if name.endswith("_s") or name in (info.column, "samples", "rounds")]
    unsampled = (
        frame["method"].isin((*FORETOLD, SUMMARISED)).to_numpy() if "method" in frame else np.zeros(len(frame), bool)
    )
    absent = (frame["method"] == "absent").to_numpy() if "method" in frame else np.zeros(len(frame), bool)
    for column in numeric:
        values = pd.to_numeric(frame[column], errors="coerce")
        differences = info.in_chain and column.endswith("_s")
        bad = _impossible(values.to_numpy(np.float64), column, info)
        if column in UNSAMPLED and column != info.column:
            bad &= ~(unsampled & (frame[column].to_numpy() == ""))
        bad &= ~(absent & (values.to_numpy(np.float64) == 0))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            rule = "a finite number" if differences else "a finite number, zero or more, and no measured time is zero"
            raise BadTable(
                f"{path}, line {row + 2}: {column} must be {rule}",
                found=str(frame[column].iloc[row]),
                cure="delete the row and profile again: only it is measured",
            )
        frame[column] = values
    suffix = {"s": "_s", "J": "_j"}.get(info.unit, "")
    if not info.column.endswith(suffix):
        raise BadTable(
            f"{path}: the column of a {info.quantity} in {info.unit} must end in {suffix}", found=info.column
        )
    if info.origin == "measured":
        upside_down = (frame["low_s"] > frame["high_s"]).to_numpy()
        if upside_down.any():
            row = int(np.flatnonzero(upside_down)[0])
            raise BadTable(
                f"{path}, line {row + 2}: low_s must not be above high_s",
                found=f"{frame['low_s'].iloc[row]} and {frame['high_s'].iloc[row]}",
                cure="delete the row and profile again",
            )
    return frame


def _impossible(values: np.ndarray, column: str, info: TableInfo) -> np.ndarray:
    """Return which values cannot be; differences of two chains and what a fit says may be zero or less, no other time."""
    bad: np.ndarray = ~np.isfinite(values)
    if column.endswith("_s") and (info.in_chain or info.origin == "fitted"):
        return bad
    bad |= values < 0
    return np.asarray(bad | ((values == 0) & (info.origin == "measured" and column == info.column)))
