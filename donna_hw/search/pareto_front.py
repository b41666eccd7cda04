"""ParetoFront: the networks that no other network dominates."""

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

    Args:
        space: The space of the networks.
        rows: Their blocks and settings of the global axes, int [n, stages + global axes].
        accuracy: Predicted top-1 in per cent, float [n].
        accuracy_std: Its standard deviation, float [n].
        costs: By name, float [n] in the unit of `units`.
        cost_stds: Their standard deviations, float [n].
        units: Unit of each cost.
        extrapolated: Bool [n], where the predictor left its range.
        within_noise: Bool [n], where another network of the front may well be better (`within_noise`).
        evaluations: Networks that were evaluated.
        exact: Whether no network outside can belong to the front.
        multiplicity: Int [n], how many networks have the same accuracy and costs, where the front is exact.
        gap: By how much, in per cent, a network outside may be more accurate than the best within its costs; None where unknown.
        choice: How the networks were chosen from a larger front, in words.
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
        """Return one line per network: blocks, predicted accuracy, and each cost with its unit in the column's name."""
        columns: dict[str, object] = {
            name: [labels[m] for m in numbers]
            for name, labels, numbers in zip(self.space.columns, self.space.column_labels, self.rows.T, strict=True)
        }
        for column, axis in enumerate(self.space.global_axes, start=len(self.space.stages)):
            columns[axis.name] = [axis.label(axis.values[m]) for m in self.rows[:, column]]
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
        """Return the networks at the indices int [k]; a subset of an exact front does not count as exact."""
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
        """Return the indices of `count` networks spread evenly over the logarithm of `levels` (a cost, float [n]), without the ends."""
        return select_log_spaced(count, levels)


def select_log_spaced(count: int, levels: np.ndarray) -> np.ndarray:
    """Return the indices of `count` values spread evenly over the logarithm of `levels`, float [n] above zero, without the ends."""
    logs = np.log(levels)
    free = np.ones(len(logs), dtype=bool)
    for target in np.linspace(logs.min(), logs.max(), count + 2)[1:-1]:
        free[int(np.argmin(np.where(free, np.abs(logs - target), np.inf)))] = False
    return np.flatnonzero(~free)


def build_front(problem: SearchProblem, rows: Rows, evaluations: int) -> ParetoFront:
    """Return the front of given networks, int [n, stages]; raises `InsufficientDataError` where none satisfies the constraints."""
    feasible = (problem.violations(rows) <= 0).all(axis=1)
    if not feasible.any():
        raise infeasibility_error(problem, rows)
    rows = rows[feasible]
    rows = rows[unique_non_dominated_mask(problem.objectives(rows))]
    rows = rows[np.argsort(problem.costs[0].mean(rows), kind="stable")]
    return evaluate_front(problem, rows, evaluations)


def evaluate_front(
    problem: SearchProblem, rows: Rows, evaluations: int, *, multiplicity: np.ndarray | None = None
) -> ParetoFront:
    """Return networks, int [n, stages + global axes] in their order, as a front; it counts as exact where `multiplicity` is given."""
    qualities = gather_qualities(problem.qualities, rows)
    accuracy, accuracy_std = problem.predictor(qualities)
    return ParetoFront(
        space=problem.space,
        rows=rows,
        accuracy=accuracy,
        accuracy_std=accuracy_std,
        costs={cost.name: cost.mean(rows) for cost in problem.costs},
        cost_stds={cost.name: cost.std(rows) for cost in problem.costs},
        units={cost.name: cost.unit for cost in problem.costs},
        extrapolated=problem.predictor.extrapolates(qualities),
        within_noise=within_noise(rows, accuracy, accuracy_std, problem.costs),
        evaluations=evaluations,
        exact=multiplicity is not None,
        multiplicity=multiplicity,
    )


def select_diverse(front: ParetoFront, max_overlap: float) -> ParetoFront:
    """Return networks of a front such that no two share more than a fraction of their blocks.

    The choice is greedy and deterministic: the most accurate network, then each next one that differs enough from all selected ones.
    Another choice may be larger, and the result never counts as exact.

    Args:
        front: The front to choose from.
        max_overlap: Largest share of equal blocks, 0 to below 1.

    Returns:
        The selected networks, in the order of the front.

    Raises:
        ConfigError: `max_overlap` lies outside that range.
    """
    if not 0 <= max_overlap < 1:
        raise ConfigError("max_overlap must be from 0 to below 1", got=max_overlap)
    blocks = front.rows[:, : len(front.space.stages)]
    selected: list[int] = []
    for i in np.lexsort((np.arange(len(front)), -front.accuracy)):
        overlap = (blocks[selected] == blocks[i]).mean(axis=1)
        if not (overlap > max_overlap + 1e-12).any():  # a share such as 0.6 is no sum of fifths in binary
            selected.append(int(i))
    return front.subset(
        np.sort(selected), f"of {len(front)}, no two with more than {100 * max_overlap:g} % of equal blocks"
    )


PAIRS = 2**18  # compared at a time: memory stays flat


def within_noise(
    rows: Rows, accuracy: np.ndarray, accuracy_std: np.ndarray, costs: Sequence[CostModel], level: float = Z90
) -> np.ndarray:
    """Return which networks of a front lie within the noise of another one that may be better.

    Network i is marked when another network j of the front is significantly worse in nothing: its accuracy is not lower, and none of its
    costs is higher, by more than `level` standard deviations of the difference. As j is better in something, i may not belong to the
    front at all. A network that is not marked is significantly better than every other in accuracy or in a cost. The errors of the
    accuracies count as independent, which marks too many rather than too few. Errors that two costs share cancel (`std_of_difference`).

    Args:
        rows: The networks, int [n, stages + global axes].
        accuracy: Predicted top-1 in per cent, float [n].
        accuracy_std: Its standard deviation, float [n].
        costs: The costs.
        level: Standard deviations of the difference that are significant.

    Returns:
        Bool [n].
    """
    count = len(rows)
    marked = np.zeros(count, dtype=bool)
    means = np.stack([cost.mean(rows) for cost in costs])
    stds = np.stack([cost.std(rows) for cost in costs])

    def mark(first: np.ndarray, second: np.ndarray) -> None:
        """Mark each network of `first` whose partner in `second` is significantly worse in nothing."""
        similar = accuracy[first] - accuracy[second] <= level * np.hypot(accuracy_std[first], accuracy_std[second])
        for cost, mean in zip(costs, means, strict=True):
            similar &= mean[second] - mean[first] <= level * cost.std_of_difference(rows[second], rows[first])
        marked[first[similar]] = True

    order = np.argsort(accuracy, kind="stable")
    mark(order[1:], order[:-1])  # most are within the noise of a neighbor, and need no comparison with all
    mark(order[:-1], order[1:])
    rest = np.flatnonzero(~marked)
    step = max(1, PAIRS // max(count, 1))
    for start in range(0, len(rest), step):
        i = rest[start : start + step, None]
        lower = accuracy[i] - accuracy > level * np.hypot(accuracy_std[i], accuracy_std)
        # No difference is less certain than the sum of both deviations, which is cheap to compute and leaves few pairs to check.
        higher = (means[:, None] - means[:, i] > level * (stds[:, None] + stds[:, i])).any(axis=0)
        first, second = np.nonzero(~lower & ~higher & (i != np.arange(count)))
        mark(rest[start + first], second)
    return marked
