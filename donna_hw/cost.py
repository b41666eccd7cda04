"""CostModel: what whole architectures cost, from a table, corrected by a few whole networks, with an error bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from donna_hw.errors import BadSetting, BadTable, NothingToFit
from donna_hw.measurement.statistics import checked
from donna_hw.spaces.space import Rows, Space
from donna_hw.table import LatencyTable


@dataclass(frozen=True)
class CostParts:
    """A cost as an exact search needs it: additive parts and the monotone function that joins them.

    terms: K additive costs, each [stage][block]. constants: what each adds for every network. combination: `sum`.
    """

    terms: tuple[tuple[np.ndarray, ...], ...]
    constants: tuple[float, ...]
    combination: str = "sum"


class CostModel(Protocol):
    """What networks cost. Rows are int [n, stages]; costs float [n] in `unit`, lower is better; no loop over networks."""

    @property
    def name(self) -> str:
        """The device's name."""

    @property
    def unit(self) -> str:
        """Unit of the cost: `s`, `MAC` or `parameter`."""

    def mean(self, rows: Rows) -> np.ndarray:
        """Return the expected cost of each row."""

    def std(self, rows: Rows) -> np.ndarray:
        """Return the standard deviation of each row's cost about its mean."""

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the standard deviation of cost(a) - cost(b), row by row: what two networks share cancels."""

    def parts(self) -> CostParts:
        """Return the additive parts."""


@dataclass(frozen=True)
class Correction:
    """cost = offset + scale * table, fitted on whole networks.

    residual: standard deviation of the relative error, from the fit. mape_before, mape_loo: mean absolute relative error in %
    of the plain table, and of the corrected one on networks left out of the fit. networks: how many were fitted.
    """

    scale: float = 1.0
    offset: float = 0.0
    residual: float = 0.0
    networks: int = 0
    mape_before: float = 0.0
    mape_loo: float = 0.0


@dataclass(frozen=True)
class TableCost:
    """The sum of a table's rows, fixed parts included, and a correction."""

    name: str
    unit: str
    blocks: tuple[np.ndarray, ...]
    errors: tuple[np.ndarray, ...]
    fixed: float
    fixed_error: float
    correction: Correction = Correction()

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
        table: np.ndarray = self.fixed + _picked(self.blocks, rows).sum(axis=1)
        return self.correction.offset + self.correction.scale * table

    def std(self, rows: Rows) -> np.ndarray:
        """Return the rows' standard errors and the correction's residual, added in quadrature, float [n]."""
        table = self.fixed_error**2 + (_picked(self.errors, rows) ** 2).sum(axis=1)
        residual = self.correction.residual * self.mean(rows)
        return np.asarray(np.sqrt(self.correction.scale**2 * table + residual**2))

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the standard deviation of cost(a) - cost(b), float [n].

        Rows in common cancel. The residual is taken as spread evenly over the stages, so that its share in the stages in common
        cancels too.
        """
        differ = a != b
        table = ((_picked(self.errors, a) ** 2 + _picked(self.errors, b) ** 2) * differ).sum(axis=1)
        residual = self.correction.residual**2 * (self.mean(a) ** 2 + self.mean(b) ** 2) * differ.mean(axis=1)
        return np.asarray(np.sqrt(self.correction.scale**2 * table + residual))

    def parts(self) -> CostParts:
        """Return one additive part, the correction included."""
        scale = self.correction.scale
        return CostParts(
            (tuple(scale * values for values in self.blocks),), (self.correction.offset + scale * self.fixed,)
        )


def fit_correction(predicted: np.ndarray, measured: np.ndarray) -> Correction:
    """Fit offset and scale on whole networks by least squares of the relative error.

    predicted: sums of the uncorrected table, float [n]; measured: float [n], the same unit. Needs four networks or more. Raises
    `BadTable` when the scale comes out zero or negative: the table then says nothing about whole networks.
    """
    count = len(measured)
    if count < 4:
        raise NothingToFit("a correction needs at least 4 whole networks", found=count, cure="measure more")
    if len(predicted) != count:
        raise BadSetting(f"a correction needs a prediction for each of {count} measured networks", found=len(predicted))
    checked(predicted, "predictions to correct")
    checked(measured, "whole networks to correct by")
    scale, offset = _least_squares(predicted, measured)
    if scale <= 0:
        raise BadTable(
            "whole networks must cost more where their table sums to more",
            found=f"a scale of {scale:.3g}",
            cure="measure more networks, or the table again",
        )
    errors = (offset + scale * predicted) / measured - 1
    left_out = []
    for i in range(count):
        others = np.arange(count) != i
        a, b = _least_squares(predicted[others], measured[others])
        left_out.append(abs((b + a * predicted[i]) / measured[i] - 1))
    return Correction(
        scale=scale,
        offset=offset,
        residual=float(np.sqrt((errors**2).sum() / (count - 2))),
        networks=count,
        mape_before=float(100 * np.abs(predicted / measured - 1).mean()),
        mape_loo=float(100 * np.mean(left_out)),
    )


def _least_squares(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return (scale, offset) that minimise the sum of ((offset + scale * x) / y - 1)^2."""
    scale, offset = np.linalg.lstsq(np.stack([x / y, 1 / y], axis=1), np.ones_like(y), rcond=None)[0]
    return float(scale), float(offset)


def _picked(tables: tuple[np.ndarray, ...], rows: Rows) -> np.ndarray:
    """Return the table's value of each stage of each row, float [n, stages]."""
    return np.stack([values[rows[:, stage]] for stage, values in enumerate(tables)], axis=1)
