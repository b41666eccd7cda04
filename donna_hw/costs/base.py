"""CostModel: the interface of everything that predicts what whole architectures cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from donna_hw.spaces.space import Rows


@dataclass(frozen=True)
class CostTerms:
    """A cost as an exact search needs it, at one setting of the global axes: additive parts, and how they combine.

    Args:
        terms: K additive parts, each [stage][block].
        constants: What each part adds for every network.
        sharpness: None if the cost is the sum of the parts. Else it is their smooth maximum, (sum of part ** sharpness) **
            (1 / sharpness). Both grow with every part.
    """

    terms: tuple[tuple[np.ndarray, ...], ...]
    constants: tuple[float, ...]
    sharpness: float | None = None

    def sums(self, rows: Rows) -> np.ndarray:
        """Return each part of each network, float [n, K], of block numbers int [n, stages or more]."""
        return np.stack(
            [
                constant + gather_terms(term, rows).sum(axis=1)
                for constant, term in zip(self.constants, self.terms, strict=True)
            ],
            axis=1,
        )

    def combine(self, sums: np.ndarray) -> np.ndarray:
        """Return the cost, float [n], of parts float [n, K]."""
        return smooth_max(sums, self.sharpness)


class CostModel(Protocol):
    """What networks cost.

    Rows are int [n, stages + global axes]. Costs are float [n] in `unit`, and lower is better. Methods are vectorized over networks.
    """

    @property
    def name(self) -> str:
        """The name of the cost, such as that of a device."""

    @property
    def unit(self) -> str:
        """Unit of the cost: `s`, `MAC`, `parameter` or `J`."""

    def mean(self, rows: Rows) -> np.ndarray:
        """Return the expected cost of each row."""

    def std(self, rows: Rows) -> np.ndarray:
        """Return the standard deviation of each row's cost about its mean."""

    def std_of_difference(self, a: Rows, b: Rows) -> np.ndarray:
        """Return the standard deviation of cost(a) - cost(b), row by row; errors that two networks share cancel."""

    def additive_terms(self, settings: tuple[int, ...] = ()) -> CostTerms | None:
        """Return the additive parts at one value index of each global axis; None for a cost without such parts (a measured one)."""


def smooth_max(parts: np.ndarray, sharpness: float | None) -> np.ndarray:
    """Return the sum of parts float [n, K], or with a sharpness their smooth maximum, float [n], for parts above zero."""
    if sharpness is None or parts.shape[1] == 1:
        return np.asarray(parts.sum(axis=1))
    largest = parts.max(axis=1)  # factored out, so that no power overflows
    return np.asarray(largest * ((parts / largest[:, None]) ** sharpness).sum(axis=1) ** (1 / sharpness))


def gather_terms(terms: tuple[np.ndarray, ...], rows: Rows) -> np.ndarray:
    """Return the value [stage][block] of each stage of each row, float [n, stages]."""
    return np.stack([values[rows[:, stage]] for stage, values in enumerate(terms)], axis=1)
