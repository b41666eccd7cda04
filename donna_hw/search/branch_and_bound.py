"""The exact front of one additive cost and an accuracy with second-order terms, by branch and bound over all combinations.

Networks are grown stage by stage. A beginning is dropped where no way to finish it can beat a network that is already known: the ways
to finish are gathered in boxes, and the best corner of a box is a bound on all that it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.predictors.quadratic import Quadratic
from donna_hw.search.branch_and_bound_bounds import GRID_PERCENT, PAIRS, CompletionBoxes, IncumbentBounds, coarsen_boxes
from donna_hw.search.pareto import unique_non_dominated_mask

BOX_COUNTS = (64, 512, 2048)  # a beginning is tried against few boxes first, and what is left against more
WARM_STARTS = 8

Array = np.ndarray


class Front(NamedTuple):
    """Rows int [n, stages], accuracy float [n] (%), cost int [n]; ordered by the cost, with which the accuracy strictly grows."""

    rows: Array
    accuracy: Array
    cost: Array


class _PartialNetworks(NamedTuple):
    """Beginnings of networks: rows int [n, k], cost int [n], value float [n], slopes float [n, stages] of every stage's t."""

    rows: Array
    cost: Array
    value: Array
    slopes: Array

    def take(self, which: Array | slice) -> _PartialNetworks:
        return _PartialNetworks(*(column[which] for column in self))


def second_order_front(quadratic: Quadratic, costs: tuple[Array, ...], upper_bound: int | None = None) -> Front:
    """Return the front of all combinations of blocks, none of which costs more than `highest`.

    costs: int [stage][block], whole numbers of any unit (picoseconds). Accuracies are equal when they round to the same multiple of
    1e-9 %; of networks that are equal in both, one stays. Raises `ConfigError` on costs or terms that are no such numbers and
    `InsufficientDataError` where no network lies within `highest`.
    """
    _validate_inputs(quadratic, costs)
    kept = [_non_dominated_blocks(*each) for each in zip(costs, quadratic.linear, quadratic.t, strict=True)]
    linear, t, whole = (
        tuple(values[own] for values, own in zip(term, kept, strict=True))
        for term in (quadratic.linear, quadratic.t, [cost.astype(np.int64) for cost in costs])
    )
    most = sum(int(cost.max()) for cost in whole)
    least = sum(int(cost.min()) for cost in whole)
    if upper_bound is not None and upper_bound < least:
        raise InsufficientDataError(
            "no network lies within the limit", got=upper_bound, hint=f"raise it to {least} or more"
        )
    tree = _Tree(
        Quadratic(linear, t, quadratic.interactions, quadratic.intercept),
        whole,
        least,
        most if upper_bound is None else min(most, upper_bound),
    )
    rows, accuracy, cost = tree.front()
    return Front(np.stack([own[column] for own, column in zip(kept, rows.T, strict=True)], axis=1), accuracy, cost)


@dataclass(frozen=True)
class _Tree:
    quadratic: Quadratic
    costs: tuple[Array, ...]
    lower_bound: int
    upper_bound: int

    @property
    def stages(self) -> int:
        return len(self.costs)

    def front(self) -> Front:
        known = self._initial_front()
        thresholds = IncumbentBounds((known.cost, known.accuracy), self.lower_bound, self.upper_bound, self._rounding())
        boxes = self._completion_boxes()
        begun = self._root()
        for stage in range(self.stages):
            size = max(1, PAIRS // len(self.costs[stage]))
            parts = []
            for start in range(0, max(len(begun.cost), 1), size):
                part = self._expand(begun.take(slice(start, start + size)), stage)
                for level in boxes[stage + 1]:
                    part = part.take(thresholds.may_improve(part.cost, part.value, part.slopes[:, stage + 1 :], level))
                parts.append(part)
            begun = _PartialNetworks(*map(np.concatenate, zip(*parts, strict=True)))
        return self._merge_fronts([known, Front(begun.rows, begun.value, begun.cost)])

    def _rounding(self) -> float:
        """Return by how much a bound may be rounded off, in per cent: sums of other orders than `Quadratic` has."""
        t = np.array([each.max() for each in self.quadratic.t])
        linear = sum(float(np.abs(each).max()) for each in self.quadratic.linear)
        size = abs(self.quadratic.intercept) + linear + float(t @ self.quadratic.interactions @ t)
        return float(8 * self.stages**2 * np.finfo(float).eps * size)

    def _root(self) -> _PartialNetworks:
        none = np.zeros((1, 0), dtype=np.int32)
        return _PartialNetworks(
            none, np.zeros(1, dtype=np.int64), np.full(1, self.quadratic.intercept), np.zeros((1, self.stages))
        )

    def _expand(self, begun: _PartialNetworks, stage: int) -> _PartialNetworks:
        """Return every beginning with every block of the next stage, summed in the order of `Quadratic`."""
        linear, t = self.quadratic.linear[stage], self.quadratic.t[stage]
        count = len(begun.cost)
        value = begun.value[:, None] + (linear + begun.slopes[:, stage, None] * t)
        slopes = begun.slopes[:, None] + t[:, None] * self.quadratic.interactions[stage]
        blocks = np.tile(np.arange(len(t), dtype=np.int32), count)
        rows = np.concatenate([np.repeat(begun.rows, len(t), axis=0), blocks[:, None]], axis=1)
        cost = begun.cost[:, None] + self.costs[stage]
        return _PartialNetworks(rows, cost.ravel(), value.ravel(), slopes.reshape(-1, self.stages))

    def _initial_front(self) -> Front:
        """Return good networks: fronts that take for granted how large the t of the stages to come will be."""
        fronts = []
        for share in np.linspace(0.1, 1.0, WARM_STARTS):
            ahead = np.array([np.quantile(t, share) for t in self.quadratic.t])
            begun = self._root()
            for stage in range(self.stages):
                begun = self._expand(begun, stage)
                score = begun.value + begun.slopes[:, stage + 1 :] @ ahead[stage + 1 :]
                begun = begun.take(_front_indices(begun.cost, score))
            fronts.append(Front(begun.rows, begun.value, begun.cost))
        return self._merge_fronts(fronts)

    def _merge_fronts(self, found: list[Front]) -> Front:
        """Return the front of several sets of networks, their accuracies rounded to the grid."""
        rows, accuracy, cost = map(np.concatenate, zip(*found, strict=True))
        steps = np.rint(accuracy / GRID_PERCENT)
        which = _front_indices(cost, steps)
        which = which[cost[which] <= self.upper_bound]
        return Front(rows[which], steps[which] * GRID_PERCENT, cost[which])

    def _completion_boxes(self) -> list[list[CompletionBoxes]]:
        """Return for each number of stages done the boxes of ways to finish, few first."""
        one = CompletionBoxes(np.zeros(1, dtype=np.int64), np.zeros(1), np.zeros((1, 0)))
        found = [[one]]
        for stage in range(self.stages - 1, 0, -1):
            last = found[0][-1]
            t, weights = self.quadratic.t[stage], self.quadratic.interactions
            cost = self.costs[stage][:, None] + last.cost
            value = (
                self.quadratic.linear[stage][:, None] + last.value + t[:, None] * (last.t @ weights[stage, stage + 1 :])
            )
            each = np.broadcast_to(last.t, (len(t), *last.t.shape)).reshape(cost.size, -1)
            boxes = CompletionBoxes(cost.ravel(), value.ravel(), np.column_stack([np.repeat(t, len(last.cost)), each]))
            typical = sum(np.median(self.quadratic.t[i]) * weights[i, stage:] for i in range(stage))
            levels: list[CompletionBoxes] = []
            for count in reversed(BOX_COUNTS):
                boxes = coarsen_boxes(boxes, np.asarray(typical), count)
                levels.insert(0, boxes)
            found.insert(0, levels)
        return [[], *found]


def _front_indices(cost: Array, score: Array) -> Array:
    """Return the numbers of the front of (cost, score), ordered by the cost; of equals the first."""
    order = np.lexsort((-score, cost))
    ranked = score[order]
    before = np.concatenate([[-np.inf], np.maximum.accumulate(ranked)[:-1]])
    return np.asarray(order[ranked > before])


def _non_dominated_blocks(cost: Array, linear: Array, t: Array) -> Array:
    """Return the numbers of a stage's blocks that no other beats in cost, linear and t; of equals one."""
    usable = np.flatnonzero(np.isfinite(linear))
    return np.asarray(usable[unique_non_dominated_mask(np.column_stack([cost, -linear, -t])[usable])])


def _validate_inputs(quadratic: Quadratic, costs: tuple[Array, ...]) -> None:
    weights = quadratic.interactions
    sizes = [
        (len(cost), len(linear), len(t)) for cost, linear, t in zip(costs, quadratic.linear, quadratic.t, strict=True)
    ]
    rules = {
        "every block must have one cost, one linear term and one t": all(len(set(size)) == 1 for size in sizes),
        "interactions must be symmetric, finite and zero or more": np.isfinite(weights).all()
        and (weights >= 0).all()
        and np.array_equal(weights, weights.T),
        "every t must be finite and zero or more": all((np.isfinite(t) & (t >= 0)).all() for t in quadratic.t),
        "linear terms must be numbers, or minus infinity": all((linear < np.inf).all() for linear in quadratic.linear),
        "costs must be whole numbers below 2^53": all(
            np.issubdtype(cost.dtype, np.integer) and (np.abs(cost) < 2**53).all() for cost in costs
        ),
    }
    for rule, kept in rules.items():
        if not kept:
            raise ConfigError(
                f"a second-order search: {rule}",
                got="others",
                hint="give the predictor's own Quadratic and whole costs",
            )
    for stage, linear in enumerate(quadratic.linear):
        if not np.isfinite(linear).any():
            raise InsufficientDataError(
                "every stage needs a block that can be used",
                got=f"none in stage {stage}",
                hint="train more blocks of it",
            )
