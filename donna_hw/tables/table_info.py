"""A table's TOML: of which device, space and environment its rows are."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from donna_hw.errors import TableError
from donna_hw.measurement.environment import Scalar

# Empty in rows without samples, except for the table's cost column.
SAMPLE_COLUMNS = ("median_s", "raw_median_s", "mean_s", "min_s")

UNMEASURED_METHODS = ("composed", "predicted", "empty")  # methods of rows that were not measured themselves

SUMMARY = "summary"  # of rows measured by a tool that reports no single times, so that their median is empty


class LaunchFloor(BaseModel):
    """A second column: what a block adds to the time of launching; a network costs the smooth maximum of the sums of both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    sharpness: float = Field(gt=0, allow_inf_nan=False)


class TableInfo(BaseModel):
    """A table's TOML.

    Attributes:
        identity: What must agree between rows: environment, mode, protocol.
        conditions: What is recorded only.
        column: The CSV's column that holds the cost, such as `median_s`.
        sentinel: The layers_hash of the sentinel; empty without one.
        sentinel_reference_s: See `Measurement`.
        min_relative_std: See `Measurement`.
        residual_std: Relative deviation of whole networks from the table's sums, of a table fitted to networks.
        floor: The second column of a fitted table, where it has one.
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
    min_relative_std: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    residual_std: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    floor: LaunchFloor | None = None

    def validate_same_identity(self, other: TableInfo, path: Path) -> None:
        """Raise `TableError` with the first difference when `other`, about to be written to `path`, is of another identity."""
        mine, theirs = self._identity(), other._identity()
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                raise TableError(
                    f"{path} holds rows of {key} = {mine.get(key)!r}; rows of different environments do not mix",
                    got=str(theirs.get(key)),
                    hint="write to another folder with --tables, or move the old table away",
                )

    @property
    def in_context(self) -> bool:
        """Whether the costs are differences of two chains; those of a block that adds nothing scatter about zero."""
        return self.identity.get("mode") == "in_context"

    def _identity(self) -> dict[str, Scalar]:
        general: dict[str, Scalar] = {
            name: getattr(self, name) for name in ("device", "space", "quantity", "unit", "origin")
        }
        return general | {"column": self.column, "sentinel": self.sentinel} | self.identity


def std_column(column: str) -> str:
    """Return the name of the column of a fitted column's standard errors: `work_std_s` of `work_s`."""
    return f"{column.removesuffix('_s')}_std_s"


def table_path(root: Path, device: str, space: str, variant: str) -> Path:
    """Return where a table lies below `root`."""
    return root / device / space / f"{variant}.csv"
