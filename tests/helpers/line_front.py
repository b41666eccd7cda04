"""A table's cost brought to whole networks by a line: a correction simple enough to know its answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.costs.base import CostTerms
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import InsufficientDataError, TableError


@dataclass(frozen=True)
class Lined:
    """offset + scale * table; `residual` is the relative deviation of networks about it, half of which is another network's own."""

    table: TableCost
    scale: float = 1.0
    offset: float = 0.0
    residual: float = 0.0

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def unit(self) -> str:
        return self.table.unit

    def mean(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.offset + self.scale * self.table.mean(rows))

    def std(self, rows: np.ndarray) -> np.ndarray:
        return np.hypot(self.scale * self.table.std(rows), self.residual * self.mean(rows))

    def std_of_difference(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        differ = (a != b).mean(axis=1) * self.residual**2 * (self.mean(a) ** 2 + self.mean(b) ** 2)
        return np.asarray(np.sqrt((self.scale * self.table.std_of_difference(a, b)) ** 2 + differ))

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms:
        plain = self.table.additive_terms(settings)
        terms = tuple(tuple(self.scale * values for values in term) for term in plain.terms)
        return CostTerms(terms, tuple(self.offset + self.scale * value for value in plain.constants))


def line(cost: TableCost, rows: np.ndarray, measured: np.ndarray) -> Lined:
    """Return the line of least relative squares through measured networks, at least four."""
    if len(measured) < 4:
        raise InsufficientDataError("a line needs 4 networks", got=len(measured))
    sums = cost.mean(rows)
    scale, offset = np.linalg.lstsq(np.stack([sums, np.ones_like(sums)], 1) / measured[:, None], np.ones(len(sums)))[0]
    cheapest = cost.terms_by_setting[0].constants[0] + sum(values.min() for values in cost.terms_by_setting[0].terms[0])
    if min(offset + scale * cheapest, scale) <= 0:
        raise TableError("the cheapest network must cost more than nothing", got=f"{offset + scale * cheapest:.3g} s")
    errors = (offset + scale * sums) / measured - 1
    return Lined(cost, float(scale), float(offset), float(np.sqrt((errors**2).sum() / (len(sums) - 2))))
