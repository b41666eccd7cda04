"""ParetoFront: the networks that no other network beats in every objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from donna_hw.costs.base import CostModel
from donna_hw.errors import ConfigError
from donna_hw.measurement.intervals import Z90
from donna_hw.search.infeasibility import infeasibility_error
from donna_hw.search.pareto import unique_non_dominated_mask
from donna_hw.search.problem import SearchProblem
from donna_hw.spaces.space import Rows, Space
from donna_hw.training.block_metrics import gather_qualities


@dataclass(frozen=True)
class ParetoFront:
    """The front of a search, ordered by the first cost.

    rows: int [n, stages]. accuracy, accuracy_std: predicted top-1 %, float [n]. costs, cost_stds: by device name, float [n] in the
    unit of `units`. extrapolated: bool [n], where the predictor left its range. within_noise: bool [n], where another network of the
    front may well be better (`search/noise.py`). evaluations: networks that were looked at.
    exact: whether no network outside can belong to it; equals: int [n], how many networks have the same accuracy and costs, where it is.
    gap: by how much, in per cent, a network outside may be more accurate than the best within its costs; None where that is not known.
    choice: how it was chosen from a larger front, in words.
    """

    space: Space
    rows: Rows
    accuracy: np.ndarray
    accuracy_std: np.ndarray
    costs: dict[str, np.ndarray]
    cost_stds: dict[str, np.ndarray]
    units: dict[str, str]
    extrapolated: np.ndarray
    within_noise: np.ndarray
    evaluations: int
    exact: bool = False
    multiplicity: np.ndarray | None = None
    gap: float | None = None
    choice: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Return one line a network: blocks, predicted accuracy, and each cost with its unit in the column's name."""
        columns: dict[str, object] = {
            name: [labels[m] for m in numbers]
            for name, labels, numbers in zip(self.space.columns, self.space.column_labels, self.rows.T, strict=True)
        }
        for place, axis in enumerate(self.space.global_axes, start=len(self.space.stages)):
            columns[axis.name] = [axis.label(axis.values[m]) for m in self.rows[:, place]]
        columns |= {
            "predicted_top1_percent": self.accuracy.round(4),
            "predicted_std_percent": self.accuracy_std.round(4),
        }
        columns |= {"extrapolated": self.extrapolated, "within_noise": self.within_noise}
        for device, cost in self.costs.items():
            suffix = self.units[device].lower()
            columns[f"{device}_{suffix}"] = [float(f"{value:.6g}") for value in cost]
            columns[f"{device}_std_{suffix}"] = [float(f"{value:.3g}") for value in self.cost_stds[device]]
        if self.multiplicity is not None:
            columns["multiplicity"] = self.multiplicity
        return pd.DataFrame(columns)

    def subset(self, numbers: np.ndarray, choice: str) -> ParetoFront:
        """Return the networks of these numbers, int [k]; what is left of an exact front is none any more."""
        return replace(
            self,
            rows=self.rows[numbers],
            accuracy=self.accuracy[numbers],
            accuracy_std=self.accuracy_std[numbers],
            costs={name: cost[numbers] for name, cost in self.costs.items()},
            cost_stds={name: std[numbers] for name, std in self.cost_stds.items()},
            extrapolated=self.extrapolated[numbers],
            within_noise=self.within_noise[numbers],
            exact=False,
            multiplicity=None,
            gap=None,
            choice=choice,
        )

    def select_log_spaced(self, count: int, levels: np.ndarray) -> np.ndarray:
        """Return the numbers of `count` networks spread evenly over the logarithm of `levels` (a cost, float [n]), ends left out."""
        return select_log_spaced(count, levels)


def select_log_spaced(count: int, levels: np.ndarray) -> np.ndarray:
    """Return the numbers of `count` values spread evenly over the logarithm of `levels`, float [n] above zero, ends left out."""
    logs = np.log(levels)
    free = np.ones(len(logs), dtype=bool)
    for wanted in np.linspace(logs.min(), logs.max(), count + 2)[1:-1]:
        free[int(np.argmin(np.where(free, np.abs(logs - wanted), np.inf)))] = False
    return np.flatnonzero(~free)


def build_front(aim: SearchProblem, rows: Rows, evaluations: int) -> ParetoFront:
    """Return the front of given networks, int [n, stages], within the aim's limits; raises `InsufficientDataError` where none lies there."""
    feasible = (aim.violations(rows) <= 0).all(axis=1)
    if not feasible.any():
        raise infeasibility_error(aim, rows)
    rows = rows[feasible]
    rows = rows[unique_non_dominated_mask(aim.objectives(rows))]
    rows = rows[np.argsort(aim.costs[0].mean(rows), kind="stable")]
    return evaluate_front(aim, rows, evaluations)


def evaluate_front(
    aim: SearchProblem, rows: Rows, evaluations: int, *, multiplicity: np.ndarray | None = None
) -> ParetoFront:
    """Return networks, int [n, stages + global axes] in their order, as a front; `equals` are there where it is exact."""
    qualities = gather_qualities(aim.qualities, rows)
    accuracy, accuracy_std = aim.predictor(qualities)
    return ParetoFront(
        space=aim.space,
        rows=rows,
        accuracy=accuracy,
        accuracy_std=accuracy_std,
        costs={cost.name: cost.mean(rows) for cost in aim.costs},
        cost_stds={cost.name: cost.std(rows) for cost in aim.costs},
        units={cost.name: cost.unit for cost in aim.costs},
        extrapolated=aim.predictor.extrapolates(qualities),
        within_noise=within_noise(rows, accuracy, accuracy_std, aim.costs),
        evaluations=evaluations,
        exact=multiplicity is not None,
        multiplicity=multiplicity,
    )


def select_diverse(front: ParetoFront, max_overlap: float) -> ParetoFront:
    """Return the networks of a front of which no two have more than that share of equal blocks, 0 to below 1.

    Greedy, the same every time: the most accurate network is kept, then each next one that differs enough from all that are kept. Another
    choice may be larger; the result is never said to be exact.
    """
    if not 0 <= max_overlap < 1:
        raise ConfigError("a share of equal blocks lies from 0 to below 1", got=max_overlap)
    blocks = front.rows[:, : len(front.space.stages)]
    kept: list[int] = []
    for i in np.lexsort((np.arange(len(front)), -front.accuracy)):
        equal = (blocks[kept] == blocks[i]).mean(axis=1)
        if not (equal > max_overlap + 1e-12).any():  # a share such as 0.6 is no sum of fifths in binary
            kept.append(int(i))
    return front.subset(
        np.sort(kept), f"of {len(front)}, no two with more than {100 * max_overlap:g} % of equal blocks"
    )


PAIRS = 2**18  # compared at a time: memory stays flat


def within_noise(
    rows: Rows, accuracy: np.ndarray, accuracy_std: np.ndarray, costs: Sequence[CostModel], level: float = Z90
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
