"""What a front's errors leave open: which of its networks another of them may well beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw.costs.base import CostModel
from donna_hw.spaces.space import Rows

LEVEL = 1.645  # standard deviations: 95 % of a normal distribution lie below
PAIRS = 2**18  # compared at a time: memory stays flat


def within_noise(
    rows: Rows, accuracy: np.ndarray, accuracy_std: np.ndarray, costs: Sequence[CostModel], level: float = LEVEL
) -> np.ndarray:
    """Return bool [n]: networks of a front that lie within the noise of a better one.

    Network i is marked when another network j of the front is significantly worse than i in nothing: neither is its accuracy lower, nor
    any of its costs higher, by more than `level` standard deviations of the difference. Both belong to the front, so that j is better in
    something; i is then not known to belong to it. A network that is not marked beats every other significantly in accuracy or a cost. The
    accuracies' errors count as independent, which marks rather too many; what costs share cancels (`std_of_difference`).
    """
    count = len(rows)
    marked = np.zeros(count, dtype=bool)
    means = np.stack([cost.mean(rows) for cost in costs])
    stds = np.stack([cost.std(rows) for cost in costs])

    def mark(one: np.ndarray, other: np.ndarray) -> None:
        """Mark each of `one` whose partner in `other` is significantly worse in nothing."""
        alike = accuracy[one] - accuracy[other] <= level * np.hypot(accuracy_std[one], accuracy_std[other])
        for cost, mean in zip(costs, means, strict=True):
            alike &= mean[other] - mean[one] <= level * cost.std_of_difference(rows[other], rows[one])
        marked[one[alike]] = True

    order = np.argsort(accuracy, kind="stable")
    mark(order[1:], order[:-1])  # most are within the noise of a neighbour, which spares them the comparison with all
    mark(order[:-1], order[1:])
    rest = np.flatnonzero(~marked)
    step = max(1, PAIRS // max(count, 1))
    for start in range(0, len(rest), step):
        i = rest[start : start + step, None]
        lower = accuracy[i] - accuracy > level * np.hypot(accuracy_std[i], accuracy_std)
        # no difference is less certain than the sum of two deviations, which is cheap to have: it leaves few pairs to look at closely
        higher = (means[:, None] - means[:, i] > level * (stds[:, None] + stds[:, i])).any(axis=0)
        place, other = np.nonzero(~lower & ~higher & (i != np.arange(count)))
        mark(rest[start + place], other)
    return marked
