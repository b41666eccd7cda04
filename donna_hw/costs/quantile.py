"""QuantileCost: a cost evaluated at its upper quantile, so that a network that may be slow counts as slow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from donna_hw.costs.base import CostModel, CostTerms
from donna_hw.errors import ConfigError
from donna_hw.spaces.space import Rows


@dataclass(frozen=True)
class QuantileCost:
    """The value below which a cost stays with a given probability, for normal errors; constraints on it hold with that probability.

    Args:
        cost: The cost.
        quantile: The probability, above 0.5 and below 1.
    """

    cost: CostModel
    quantile: float

    def __post_init__(self) -> None:
        if not 0.5 < self.quantile < 1:
            raise ConfigError("quantile must be above 0.5 and below 1", got=self.quantile)

    @property
    def name(self) -> str:
        """The cost's name and the quantile in per cent, such as `latency@v100_q90`."""
        return f"{self.cost.name}_q{100 * self.quantile:g}"

    @property
    def unit(self) -> str:
        """The cost's unit."""
        return self.cost.unit

    def mean(self, rows: Rows) -> np.ndarray:
        """Return the upper quantile, mean + z * std, float [n]."""
        return np.asarray(self.cost.mean(rows) + norm.ppf(self.quantile) * self.cost.std(rows))

    def std(self, rows: Rows) -> np.ndarray:
        """Return the deviation of the cost itself, float [n]."""
        return self.cost.std(rows)

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the deviation of the difference of the costs themselves, float [n]."""
        return self.cost.std_of_difference(a, b)

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms | None:
        """Return None: a deviation is no sum over blocks, so no search on it is exact."""
        return None
