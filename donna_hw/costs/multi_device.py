"""One cost of several devices: their maximum, or a weighted sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from donna_hw.costs.base import CostModel, CostTerms
from donna_hw.errors import ConfigError
from donna_hw.spaces.space import Rows

Term = tuple[np.ndarray, ...]  # [stage][block]


@dataclass(frozen=True)
class MaxCost:
    """The largest of several costs of one unit: a network must be good on every device.

    The mean is the largest expected cost, and the deviation is that of this cost. The higher expectation of a maximum of several nearly
    equal costs is ignored.

    Args:
        name: See `CostModel`.
        costs: At least two, of one unit.
    """

    name: str
    costs: tuple[CostModel, ...]

    def __post_init__(self) -> None:
        _validate_units(self.name, self.costs)

    @property
    def unit(self) -> str:
        """The unit that all the costs share."""
        return self.costs[0].unit

    def mean(self, rows: Rows) -> np.ndarray:
        """Return the largest expected cost, float [n]."""
        return np.asarray(self._means(rows).max(axis=0))

    def std(self, rows: Rows) -> np.ndarray:
        """Return the deviation of the cost that is the largest, float [n]."""
        stds = np.stack([cost.std(rows) for cost in self.costs])
        return np.asarray(np.take_along_axis(stds, self._argmax(rows)[None], axis=0)[0])

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the deviation of cost(a) - cost(b), float [n]; shared errors cancel only where the same device is the largest of both."""
        largest_a, largest_b = self._argmax(a), self._argmax(b)
        stds = np.stack([cost.std_of_difference(a, b) for cost in self.costs])
        same_device = np.take_along_axis(stds, largest_a[None], axis=0)[0]
        return np.asarray(np.where(largest_a == largest_b, same_device, np.hypot(self.std(a), self.std(b))))

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms | None:
        """Return a part for each device, combined by their maximum (of infinite sharpness); None where a cost is no sum."""
        sums = [terms for terms in (as_sum(cost, settings) for cost in self.costs) if terms is not None]
        if len(sums) < len(self.costs):
            return None
        return CostTerms(tuple(term for term, _ in sums), tuple(constant for _, constant in sums), np.inf)

    def _means(self, rows: Rows) -> np.ndarray:
        return np.stack([cost.mean(rows) for cost in self.costs])

    def _argmax(self, rows: Rows) -> np.ndarray:
        return np.asarray(self._means(rows).argmax(axis=0))


@dataclass(frozen=True)
class WeightedSumCost:
    """A weighted sum of several costs of one unit; errors of different devices count as independent.

    Args:
        name: See `CostModel`.
        costs: At least two, of one unit.
        weights: A weight above zero for each.
    """

    name: str
    costs: tuple[CostModel, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        _validate_units(self.name, self.costs)
        if min(self.weights) <= 0:
            raise ConfigError(f"{self.name}: weights must be above zero", got=min(self.weights))

    @property
    def unit(self) -> str:
        """The unit that all the costs share."""
        return self.costs[0].unit

    def mean(self, rows: Rows) -> np.ndarray:
        """Return the weighted sum of the expected costs, float [n]."""
        return np.asarray(sum(weight * cost.mean(rows) for weight, cost in self._pairs))

    def std(self, rows: Rows) -> np.ndarray:
        """Return the weighted deviations, added in quadrature, float [n]."""
        return np.sqrt(sum((weight * cost.std(rows)) ** 2 for weight, cost in self._pairs))

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the weighted deviations of the differences, added in quadrature, float [n]."""
        return np.sqrt(sum((weight * cost.std_of_difference(a, b)) ** 2 for weight, cost in self._pairs))

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms | None:
        """Return one additive part, the weighted sum of the devices' parts; None where a cost is no sum."""
        sums = [terms for terms in (as_sum(cost, settings) for cost in self.costs) if terms is not None]
        if len(sums) < len(self.costs):
            return None
        weighted = list(zip(self.weights, sums, strict=True))
        term = sum_terms([tuple(weight * values for values in term) for weight, (term, _) in weighted])
        return CostTerms((term,), (sum(weight * constant for weight, (_, constant) in weighted),))

    @property
    def _pairs(self) -> list[tuple[float, CostModel]]:
        return list(zip(self.weights, self.costs, strict=True))


def as_sum(cost: CostModel, settings: tuple[int, ...] = ()) -> tuple[Term, float] | None:
    """Return the term [stage][block] and the constant of a cost that is a sum; None for any other cost."""
    parts = cost.additive_terms(settings)
    if parts is None or (parts.sharpness is not None and len(parts.terms) > 1):
        return None
    return sum_terms(parts.terms), sum(parts.constants)


def sum_terms(terms: Sequence[Term]) -> Term:
    """Return the sum of several terms, block by block."""
    return tuple(np.sum(values, axis=0) for values in zip(*terms, strict=True))


def _validate_units(name: str, costs: Sequence[CostModel]) -> None:
    units = sorted({cost.unit for cost in costs})
    if len(costs) < 2 or len(units) > 1:
        raise ConfigError(f"{name}: only two or more costs of the same unit can be combined", got=", ".join(units))
