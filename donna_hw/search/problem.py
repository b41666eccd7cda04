"""SearchProblem: what a search looks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from donna_hw.costs.base import CostModel
from donna_hw.errors import ConfigError
from donna_hw.predictors.base import AccuracyPredictor
from donna_hw.spaces.space import Rows, Space
from donna_hw.training.block_metrics import gather_qualities, is_trained


@dataclass(frozen=True)
class Constraint:
    """An upper bound on a cost, in that cost's unit."""

    cost: CostModel
    upper_bound: float


@dataclass(frozen=True)
class SearchProblem:
    """What a search looks for: the most accurate networks at every combination of costs, under constraints.

    Args:
        space: The space to search.
        qualities: Inputs of the predictor, [stage][block] or [stage][block, metric]; infinite for blocks that must not be used.
        predictor: Predicts the accuracy of networks from the qualities of their blocks.
        costs: At least one; the first orders the front.
        constraints: Upper bounds on these costs or on others.

    Raises:
        ConfigError: There is no cost.
    """

    space: Space
    qualities: tuple[np.ndarray, ...]
    predictor: AccuracyPredictor
    costs: Sequence[CostModel]
    constraints: Sequence[Constraint] = ()

    def __post_init__(self) -> None:
        if not self.costs:
            raise ConfigError("a search needs at least one cost", got=0, hint="add one with --cost DEVICE")

    def usable(self, rows: Rows) -> np.ndarray:
        """Return bool [n]: networks of trained blocks only."""
        return is_trained(gather_qualities(self.qualities, rows))

    def objectives(self, rows: Rows) -> np.ndarray:
        """Return (-accuracy, each cost), all minimized, float [n, 1 + costs]; an unusable network gets the worst accuracy."""
        usable = self.usable(rows)
        accuracy = np.full(
            len(rows), -1.0
        )  # below any accuracy: only diverged blocks get it, and no front contains them
        if usable.any():
            accuracy[usable] = self.predictor(gather_qualities(self.qualities, rows[usable]))[0]
        return np.stack([-accuracy, *(cost.mean(rows) for cost in self.costs)], axis=1)

    def violations(self, rows: Rows) -> np.ndarray:
        """Return by what share each constraint is violated, float [n, 1 + constraints]; a network is feasible where all are at most 0."""
        columns = [np.where(self.usable(rows), 0.0, 1.0)]
        columns += [limit.cost.mean(rows) / limit.upper_bound - 1 for limit in self.constraints]
        return np.stack(columns, axis=1)
