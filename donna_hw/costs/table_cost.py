"""TableCost: the sum of a table's rows, with the table's own error."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from donna_hw.costs.correction import Correction
from donna_hw.costs.model import CostParts, picked
from donna_hw.errors import BadSetting, BadTable
from donna_hw.spaces.space import Rows, Space
from donna_hw.table import LatencyTable


@dataclass(frozen=True)
class TableCost:
    """The sum of a table's rows, fixed parts included, and a correction."""

    name: str
    unit: str
    blocks: tuple[np.ndarray, ...]
    errors: tuple[np.ndarray, ...]
    fixed: float
    fixed_error: float
    correction: Correction = field(default_factory=Correction)

    @classmethod
    def of(cls, space: Space, table: LatencyTable, correction: Correction | None = None) -> TableCost:
        """Return the cost model of a table that covers the space; raises `BadTable` where it does not."""
        if space.global_axes:
            raise BadSetting(
                "a table holds one setting of each global axis; this cost cannot vary them",
                found=", ".join(axis.name for axis in space.global_axes),
            )
        costs = table.costs(space)
        info, correction = table.info, correction or Correction()
        cheapest = costs.fixed + sum(float(values.min()) for values in costs.blocks)
        if correction.offset + correction.scale * cheapest <= 0:
            raise BadTable(
                f"{table.path}: the cheapest network must cost more than nothing after the correction",
                found=f"{correction.offset + correction.scale * cheapest:.3g} {info.unit}",
                cure="correct with more whole networks, cheap ones among them",
            )
        return cls(info.device, info.unit, costs.blocks, costs.errors, costs.fixed, costs.fixed_error, correction)

    def mean(self, rows: Rows) -> np.ndarray:
        """Return offset + scale * (fixed parts + blocks), float [n]."""
        table: np.ndarray = self.fixed + picked(self.blocks, rows).sum(axis=1)
        return self.correction.offset + self.correction.scale * table

    def std(self, rows: Rows) -> np.ndarray:
        """Return the rows' standard errors and the correction's residual, added in quadrature, float [n]."""
        table = self.fixed_error**2 + (picked(self.errors, rows) ** 2).sum(axis=1)
        residual = self.correction.residual * self.mean(rows)
        return np.asarray(np.sqrt(self.correction.scale**2 * table + residual**2))

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the standard deviation of cost(a) - cost(b), float [n].

        Rows in common cancel. The residual is taken as spread evenly over the stages, so that its share in the stages in common
        cancels too.
        """
        differ = a != b
        table = ((picked(self.errors, a) ** 2 + picked(self.errors, b) ** 2) * differ).sum(axis=1)
        residual = self.correction.residual**2 * (self.mean(a) ** 2 + self.mean(b) ** 2) * differ.mean(axis=1)
        return np.asarray(np.sqrt(self.correction.scale**2 * table + residual))

    def parts(self, settings: tuple[int, ...] = ()) -> CostParts:
        """Return one additive part, the correction included."""
        scale = self.correction.scale
        return CostParts(
            (tuple(scale * values for values in self.blocks),), (self.correction.offset + scale * self.fixed,)
        )
