"""LatencyTable: what each block and fixed part of a space costs on one device; a CSV, and a TOML that records of what."""

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

    The columns are `part`, one for each axis, `layers_hash`, and the cost (`info.column`, in `info.unit`). Measured tables also have
    `low_s` and `high_s` (95 % interval), `raw_median_s`, `mean_s`, `min_s`, `samples`, `rounds`, `method`, `stop_rule` (the rule that
    ended the measurement), `verdict` and `evidence`. The methods are `measured`, `summary` (of a tool that reports no single times),
    `composed` (predicted from sections), `predicted`, and `empty` (no layers, which costs nothing).
    `latency_tables/README.md` explains them.

    Attributes:
        info: What the TOML records: device, space, quantity, unit, environment.
        frame: The rows, one for each block and fixed part.
        path: The CSV; the TOML is next to it.
    """

    info: TableInfo
    frame: pd.DataFrame
    path: Path

    @classmethod
    def read(cls, path: Path) -> LatencyTable:
        """Read a table.

        Args:
            path: `<variant>.csv`, with its TOML next to it.

        Raises:
            FileFormatError: When a file is missing, torn or not of this format.
            TableError: For a wrong unit, a missing column or an invalid value, with its line.
        """
        info = read_model(path.with_suffix(".toml"), TableInfo)
        text = read_text(path)
        if not text.endswith("\n"):
            raise FileFormatError(f"{path}: the last line is torn", hint="profile again: it resumes")
        frame = parse_cells(text, path)
        return cls(info, parse_numbers(frame, info, path), path)

    def write(self) -> None:
        """Write both files, each atomically."""
        write_toml(self.path.with_suffix(".toml"), self.info.model_dump(exclude_none=True))
        write_csv(self.path, self.frame)

    def lookup(self, space: Space, part: str, choice: Mapping[str, object] | None = None) -> float:
        """Return the cost of a block or of a fixed part, in `info.unit`.

        Args:
            space: The space of the table.
            part: The name of a stage or fixed part.
            choice: {axis: value} of a stage's block.

        Raises:
            TableError: When the table has no row for it.
        """
        axes = [axis.name for axis in space.stage(part).axes] if part not in space.fixed else []
        key = (part, *(str((choice or {}).get(axis, "")) for axis in axes))
        row = self.rows_by_key(space).get(key)
        if row is None:
            raise TableError(f"{self.path}: no row for {' '.join(key)}", hint="check the axis values")
        return float(self.frame[self.info.column].iloc[row])

    def rows_by_key(self, space: Space) -> dict[Key, int]:
        """Return the row number of every key; raises `TableError` for two rows of one key."""
        axes = {stage.name: [axis.name for axis in stage.axes] for stage in space.stages}
        rows: dict[Key, int] = {}
        for number, record in enumerate(self.frame.to_dict("records")):
            names = axes.get(str(record["part"]), [])
            key = (str(record["part"]), *(str(record.get(name, "")) for name in names))
            if key in rows:
                raise TableError(f"{self.path}: two rows for {' '.join(key)}", hint="delete one of them")
            rows[key] = number
        return rows

    def coverage(self, space: Space) -> Coverage:
        """Return which blocks of a space have no row, or one of other layers; raises `TableError` for another space or two rows of one key."""
        if self.info.space != space.name:
            raise TableError(f"{self.path}: a table of {self.info.space}, not of {space.name}", hint="name its space")
        if space.global_axes:
            settings = [
                self.at_index(space, setting).coverage(space.at_index(setting))
                for setting in space.setting_combinations
            ]
            return Coverage(
                sum(coverage.total for coverage in settings),
                tuple(key for coverage in settings for key in coverage.missing),
                tuple(key for coverage in settings for key in coverage.changed),
            )
        hashes = self.frame["layers_hash"].astype(str).tolist()
        return compute_coverage(space, {key: hashes[row] for key, row in self.rows_by_key(space).items()})

    def at_index(self, space: Space, setting: Sequence[int]) -> LatencyTable:
        """Return the rows at one value number of each global axis, as the table of `space.at_index(setting)`; raises `TableError`."""
        selected = np.ones(len(self.frame), bool)
        for axis, number in zip(space.global_axes, setting, strict=True):
            if axis.name not in self.frame:
                raise TableError(f"{self.path}: no column {axis.name}, only {', '.join(self.frame.columns)}")
            selected &= (self.frame[axis.name] == str(axis.values[number])).to_numpy()
        info = self.info.model_copy(update={"space": space.at_index(setting).name})
        return replace(self, info=info, frame=self.frame[selected].reset_index(drop=True))

    def costs(self, space: Space, column: str = "") -> TableCosts:
        """Return the costs of every block and fixed part as arrays.

        Args:
            space: The space of the table, without global axes.
            column: A column of other numbers than the cost, such as the floor's.

        Raises:
            ConfigError: For a space with global axes.
            TableError: When the table is of another space, rows are missing (all are counted, the first are named), or a row was
                measured on other layers than the space has now.
        """
        if space.global_axes:
            names = ", ".join(axis.name for axis in space.global_axes)
            raise ConfigError(
                f"costs need one setting of each global axis of {space.name}",
                got=names,
                hint="select one by `at_index`",
            )
        self._validate_coverage(space, self.coverage(space))
        rows = self.rows_by_key(space)
        keys = {stage.name: [block_key(stage, m) for m in range(stage.size)] for stage in space.stages}
        fixed: list[Key] = [FIXED] if FIXED in rows else [(name,) for name in space.fixed]
        column = column or self.info.column
        values, errors = self.frame[column].to_numpy(np.float64), self.standard_errors(column)
        picks = [np.array([rows[key] for key in stage_keys]) for stage_keys in keys.values()]
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

    def _validate_coverage(self, space: Space, coverage: Coverage) -> None:
        if coverage.missing:
            first = ", ".join(" ".join(key) for key in coverage.missing[:3])
            raise TableError(
                f"{self.path}: {len(coverage.missing)} rows of {space.name} are missing: "
                f"{first}{' ...' * (len(coverage.missing) > 3)}",
                hint=f"donna-hw profile {space.name} --device {self.info.device} fills them, with --remeasure those that failed; "
                f"donna-hw table validate {self.path} names them all",
            )
        for key, measured, now in coverage.changed:
            raise TableError(
                f"{self.path}: row {' '.join(key)} is of layers {measured}, but {space.name} has {now} now",
                hint="the space was changed since: profile again",
            )


@dataclass(frozen=True)
class TableCosts:
    """A table as arrays.

    Attributes:
        blocks: Costs [stage][block].
        errors: Standard errors of the costs [stage][block].
        fixed: Sum of the fixed parts.
        fixed_error: Standard error of that sum.
    """

    blocks: tuple[np.ndarray, ...]
    errors: tuple[np.ndarray, ...]
    fixed: float
    fixed_error: float
