"""LatencyTable: what each block and fixed part of a space costs on one device; a CSV, and a TOML that says of what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import write_csv
from donna_hw._core.files import read_text
from donna_hw._core.toml_files import read_model, write_toml
from donna_hw.errors import ConfigError, FileFormatError, TableError
from donna_hw.measurement.intervals import standard_error
from donna_hw.spaces.space import Space
from donna_hw.tables.coverage import FIXED, Coverage, Key, block_key, compute_coverage
from donna_hw.tables.csv_format import parse_cells, parse_numbers
from donna_hw.tables.table_info import TableInfo, std_column


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
        """Read `<variant>.csv` and the TOML beside it; raises `FileFormatError` or `TableError`, never returns a doubtful row."""
        info = read_model(path.with_suffix(".toml"), TableInfo)
        text = read_text(path)
        if not text.endswith("\n"):
            raise FileFormatError(
                f"{path} must end with a whole line", got="a torn one", hint="profile again: it resumes"
            )
        frame = parse_cells(text, path)
        return cls(info, parse_numbers(frame, info, path), path)

    def write(self) -> None:
        """Write both files, each atomically."""
        write_toml(self.path.with_suffix(".toml"), self.info.model_dump(exclude_none=True))
        write_csv(self.path, self.frame)

    def lookup(self, space: Space, part: str, choice: Mapping[str, object] | None = None) -> float:
        """Return the cost of a block ({axis: value}) or of a fixed part, in `info.unit`; raises `TableError` when it has no row."""
        axes = [axis.name for axis in space.stage(part).axes] if part not in space.fixed else []
        key = (part, *(str((choice or {}).get(axis, "")) for axis in axes))
        row = self.rows_by_key(space).get(key)
        if row is None:
            raise TableError(f"{self.path} must have a row for {part}", got=" ".join(key), hint="check the axis values")
        return float(self.frame[self.info.column].iloc[row])

    def rows_by_key(self, space: Space) -> dict[Key, int]:
        """Return the row number of every key that the space knows; raises `TableError` on a doubled key."""
        axes = {stage.name: [axis.name for axis in stage.axes] for stage in space.stages}
        found: dict[Key, int] = {}
        for number, record in enumerate(self.frame.to_dict("records")):
            names = axes.get(str(record["part"]), [])
            key = (str(record["part"]), *(str(record.get(name, "")) for name in names))
            if key in found:
                raise TableError(
                    f"{self.path}: a block must have one row", got=" ".join(key), hint="delete one of them"
                )
            found[key] = number
        return found

    def coverage(self, space: Space) -> Coverage:
        """Return which blocks of a space have no row, or one of other layers; raises `TableError` for another space or a doubled key."""
        if self.info.space != space.name:
            raise TableError(f"{self.path} must be a table of {space.name}", got=self.info.space, hint="name its space")
        if space.global_axes:
            found = [
                self.at_index(space, setting).coverage(space.at_index(setting))
                for setting in space.setting_combinations
            ]
            return Coverage(
                sum(one.total for one in found),
                tuple(key for one in found for key in one.missing),
                tuple(key for one in found for key in one.changed),
            )
        hashes = self.frame["layers_hash"].astype(str).tolist()
        return compute_coverage(space, {key: hashes[row] for key, row in self.rows_by_key(space).items()})

    def at_index(self, space: Space, setting: Sequence[int]) -> LatencyTable:
        """Return the rows at one value number of each global axis, as the table of the space settled there; raises `TableError`."""
        chosen = np.ones(len(self.frame), bool)
        for axis, number in zip(space.global_axes, setting, strict=True):
            if axis.name not in self.frame:
                raise TableError(f"{self.path} must have the column {axis.name}", got=", ".join(self.frame.columns))
            chosen &= (self.frame[axis.name] == str(axis.values[number])).to_numpy()
        info = self.info.model_copy(update={"space": space.at_index(setting).name})
        return replace(self, info=info, frame=self.frame[chosen].reset_index(drop=True))

    def costs(self, space: Space, column: str = "") -> TableCosts:
        """Return the costs of every block and fixed part of a space without global axes as arrays.

        column: of another number than the cost, such as the floor's. Raises `TableError` when the table is of another space, when rows are
        missing (all are counted, the first are named), or when a row was measured on other layers than the space has now.
        """
        if space.global_axes:
            names = ", ".join(axis.name for axis in space.global_axes)
            raise ConfigError("costs are of one setting of each global axis", got=names, hint="ask the table `at` one")
        self._validate_coverage(space, self.coverage(space))
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
        if std_column(column) in self.frame:
            return self.frame[std_column(column)].to_numpy(np.float64)
        if "low_s" not in self.frame:
            return np.zeros(len(self.frame))
        rounds = self.frame["rounds"].to_numpy(np.float64) if "rounds" in self.frame else np.ones(len(self.frame))
        low, high = (self.frame[name].to_numpy(np.float64) for name in ("low_s", "high_s"))
        return standard_error(low, high, rounds)

    def _validate_coverage(self, space: Space, found: Coverage) -> None:
        if found.missing:
            first = ", ".join(" ".join(key) for key in found.missing[:3])
            raise TableError(
                f"{self.path} must have a row for each block of {space.name}",
                got=f"{len(found.missing)} missing: {first}{' ...' * (len(found.missing) > 3)}",
                hint=f"donna-hw profile {space.name} --device {self.info.device} fills them, with --retry those that failed; "
                f"donna-hw table check {self.path} names them all",
            )
        for key, kept, now in found.changed:
            raise TableError(
                f"{self.path}: row {' '.join(key)} must be of the layers {now} that {space.name} has now",
                got=kept,
                hint="the space was changed since: profile again",
            )


@dataclass(frozen=True)
class TableCosts:
    """A table as arrays: blocks and errors (standard errors) [stage][block], and the sum of the fixed parts."""

    blocks: tuple[np.ndarray, ...]
    errors: tuple[np.ndarray, ...]
    fixed: float
    fixed_error: float
