"""What a table's TOML says: of which device, space and environment its rows are."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from donna_hw.errors import TableError
from donna_hw.measurement.environment import Scalar

SAMPLE_COLUMNS = (
    "median_s",
    "raw_median_s",
    "mean_s",
    "min_s",
)  # blank in rows that have no samples, the table's own column apart


UNMEASURED_METHODS = ("composed", "predicted", "empty")  # methods of rows that were not measured themselves


SUMMARY = "summary"  # of rows measured by a tool that tells no single times, whose median is blank for that


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
    min_relative_std: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    residual_std: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    floor: LaunchFloor | None = None

    def validate_same_identity(self, other: TableInfo, path: Path) -> None:
        """Raise `TableError` that names the first difference when `other`, about to be written to `path`, is not of this identity."""
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
        """Whether the costs are differences of two chains: of a block that adds nothing they scatter about zero."""
        return self.identity.get("mode") == "in_context"

    def _identity(self) -> dict[str, Scalar]:
        own: dict[str, Scalar] = {
            name: getattr(self, name) for name in ("device", "space", "quantity", "unit", "origin")
        }
        return own | {"column": self.column, "sentinel": self.sentinel} | self.identity


def std_column(column: str) -> str:
    """Return the name of the column of a fitted column's standard errors: `work_std_s` of `work_s`."""
    return f"{column.removesuffix('_s')}_std_s"


def table_path(root: Path, device: str, space: str, variant: str) -> Path:
    """Return where a table lies below `root`."""
    return root / device / space / f"{variant}.csv"
