"""The exact front of one additive cost and an accuracy with second-order terms, by branch and bound over all combinations.

Networks are built stage by stage. A partial network is dropped where no completion of it can dominate a network that is already known.
The completions are grouped in boxes, and the best corner of a box is a bound on every completion in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.predictors.quadratic import Quadratic
from donna_hw.search.branch_and_bound_bounds import GRID_PERCENT, PAIRS, CompletionBoxes, IncumbentBounds, coarsen_boxes
from donna_hw.search.pareto import unique_non_dominated_mask

BOX_COUNTS = (64, 512, 2048)  # a partial network is tested against few boxes first, and the rest against more
WARM_STARTS = 8

Array = np.ndarray


class Front(NamedTuple):
    """Rows int [n, stages], accuracy float [n] (%) and cost int [n], ordered by cost; the accuracy strictly grows with the cost."""

    rows: Array
    accuracy: Array
    cost: Array


class _PartialNetworks(NamedTuple):
    """Partial networks: rows int [n, k], cost int [n], value float [n], and slopes float [n, stages] of every stage's t."""

    rows: Array
    cost: Array
    value: Array
    slopes: Array

    def take(self, index: Array | slice) -> _PartialNetworks:
        return _PartialNetworks(*(column[index] for column in self))


def second_order_front(quadratic: Quadratic, costs: tuple[Array, ...], upper_bound: int | None = None) -> Front:
    """Return the front of all combinations of blocks.

    Args:
        quadratic: The accuracy in per cent. Accuracies are equal when they round to the same multiple of 1e-9 %.
        costs: What each block costs, int [stage][block], in any unit (such as picoseconds).
        upper_bound: The most that a network may cost, None for no bound.

    Returns:
        The front; of networks with equal accuracy and cost, one remains.

    Raises:
        ConfigError: The costs or terms are not of these kinds.
        InsufficientDataError: No network costs as little as `upper_bound`.
    """
    _validate_inputs(quadratic, costs)
    blocks = [_non_dominated_blocks(*terms) for terms in zip(costs, quadratic.linear, quadratic.t, strict=True)]
    linear, t, block_costs = (
        tuple(values[numbers] for values, numbers in zip(term, blocks, strict=True))
        for term in (quadratic.linear, quadratic.t, [cost.astype(np.int64) for cost in costs])
    )
    highest = sum(int(cost.max()) for cost in block_costs)
    lowest = sum(int(cost.min()) for cost in block_costs)
    if upper_bound is not None and upper_bound < lowest:
        raise InsufficientDataError(
            "no network satisfies the constraint", got=upper_bound, hint=f"raise it to {lowest} or more"
        )
    tree = _Tree(
        Quadratic(linear, t, quadratic.interactions, quadratic.intercept),
        block_costs,
        lowest,
        highest if upper_bound is None else min(highest, upper_bound),
    )
    rows, accuracy, cost = tree.front()
    return Front(
        np.stack([numbers[column] for numbers, column in zip(blocks, rows.T, strict=True)], axis=1), accuracy, cost
    )


@dataclass(frozen=True)
class _Tree:
    """The search tree of one problem, its blocks already reduced to the non-dominated ones of each stage."""

    quadratic: Quadratic
    costs: tuple[Array, ...]
    lower_bound: int
    upper_bound: int

    @property
    def stages(self) -> int:
        return len(self.costs)

    def front(self) -> Front:
        known = self._initial_front()
        bounds = IncumbentBounds((known.cost, known.accuracy), self.lower_bound, self.upper_bound, self._rounding())
        boxes = self._completion_boxes()
        partial = self._root()
        for stage in range(self.stages):
            size = max(1, PAIRS // len(self.costs[stage]))
            chunks = []
            for start in range(0, max(len(partial.cost), 1), size):
                chunk = self._expand(partial.take(slice(start, start + size)), stage)
                for level in boxes[stage + 1]:
                    chunk = chunk.take(bounds.may_improve(chunk.cost, chunk.value, chunk.slopes[:, stage + 1 :], level))
                chunks.append(chunk)
            partial = _PartialNetworks(*map(np.concatenate, zip(*chunks, strict=True)))
        return self._merge_fronts([known, Front(partial.rows, partial.value, partial.cost)])

    def _rounding(self) -> float:
        """Return the largest rounding error of a bound in per cent: its sums have another order than those of `Quadratic`."""
        t = np.array([values.max() for values in self.quadratic.t])
        linear = sum(float(np.abs(values).max()) for values in self.quadratic.linear)
        size = abs(self.quadratic.intercept) + linear + float(t @ self.quadratic.interactions @ t)
        return float(8 * self.stages**2 * np.finfo(float).eps * size)

    def _root(self) -> _PartialNetworks:
        rows = np.zeros((1, 0), dtype=np.int32)
        return _PartialNetworks(
            rows, np.zeros(1, dtype=np.int64), np.full(1, self.quadratic.intercept), np.zeros((1, self.stages))
        )

    def _expand(self, partial: _PartialNetworks, stage: int) -> _PartialNetworks:
        """Return every partial network with every block of the next stage, summed in the order of `Quadratic`."""
        linear, t = self.quadratic.linear[stage], self.quadratic.t[stage]
        count = len(partial.cost)
        value = partial.value[:, None] + (linear + partial.slopes[:, stage, None] * t)
        slopes = partial.slopes[:, None] + t[:, None] * self.quadratic.interactions[stage]
        blocks = np.tile(np.arange(len(t), dtype=np.int32), count)
        rows = np.concatenate([np.repeat(partial.rows, len(t), axis=0), blocks[:, None]], axis=1)
        cost = partial.cost[:, None] + self.costs[stage]
        return _PartialNetworks(rows, cost.ravel(), value.ravel(), slopes.reshape(-1, self.stages))

    def _initial_front(self) -> Front:
        """Return good networks: fronts that assume how large the t of the remaining stages will be."""
        fronts = []
        for share in np.linspace(0.1, 1.0, WARM_STARTS):
            ahead = np.array([np.quantile(t, share) for t in self.quadratic.t])
            partial = self._root()
            for stage in range(self.stages):
                partial = self._expand(partial, stage)
                score = partial.value + partial.slopes[:, stage + 1 :] @ ahead[stage + 1 :]
                partial = partial.take(_front_indices(partial.cost, score))
            fronts.append(Front(partial.rows, partial.value, partial.cost))
        return self._merge_fronts(fronts)

    def _merge_fronts(self, fronts: list[Front]) -> Front:
        """Return the front of several sets of networks, their accuracies rounded to the grid."""
        rows, accuracy, cost = map(np.concatenate, zip(*fronts, strict=True))
        steps = np.rint(accuracy / GRID_PERCENT)
        picks = _front_indices(cost, steps)
        picks = picks[cost[picks] <= self.upper_bound]
        return Front(rows[picks], steps[picks] * GRID_PERCENT, cost[picks])

    def _completion_boxes(self) -> list[list[CompletionBoxes]]:
        """Return for each number of finished stages the boxes of completions, the fewest boxes first."""
        empty = CompletionBoxes(np.zeros(1, dtype=np.int64), np.zeros(1), np.zeros((1, 0)))
        by_stage = [[empty]]
        for stage in range(self.stages - 1, 0, -1):
            last = by_stage[0][-1]
            t, weights = self.quadratic.t[stage], self.quadratic.interactions
            cost = self.costs[stage][:, None] + last.cost
            value = (
                self.quadratic.linear[stage][:, None] + last.value + t[:, None] * (last.t @ weights[stage, stage + 1 :])
            )
            later = np.broadcast_to(last.t, (len(t), *last.t.shape)).reshape(cost.size, -1)
            boxes = CompletionBoxes(cost.ravel(), value.ravel(), np.column_stack([np.repeat(t, len(last.cost)), later]))
            typical = sum(np.median(self.quadratic.t[i]) * weights[i, stage:] for i in range(stage))
            levels: list[CompletionBoxes] = []
            for count in reversed(BOX_COUNTS):
                boxes = coarsen_boxes(boxes, np.asarray(typical), count)
                levels.insert(0, boxes)
            by_stage.insert(0, levels)
        return [[], *by_stage]


def _front_indices(cost: Array, score: Array) -> Array:
    """Return the indices of the front of (cost, score), ordered by cost; of equal points the first."""
    order = np.lexsort((-score, cost))
    ranked = score[order]
    before = np.concatenate([[-np.inf], np.maximum.accumulate(ranked)[:-1]])
    return np.asarray(order[ranked > before])


def _non_dominated_blocks(cost: Array, linear: Array, t: Array) -> Array:
    """Return the numbers of a stage's blocks that no other dominates in cost, linear and t; of equal blocks one."""
    usable = np.flatnonzero(np.isfinite(linear))
    return np.asarray(usable[unique_non_dominated_mask(np.column_stack([cost, -linear, -t])[usable])])


def _validate_inputs(quadratic: Quadratic, costs: tuple[Array, ...]) -> None:
    weights = quadratic.interactions
    sizes = [
        (len(cost), len(linear), len(t)) for cost, linear, t in zip(costs, quadratic.linear, quadratic.t, strict=True)
    ]
    requirements = {
        "every block needs one cost, one linear term and one t": all(len(set(size)) == 1 for size in sizes),
        "interactions must be symmetric, finite and zero or more": np.isfinite(weights).all()
        and (weights >= 0).all()
        and np.array_equal(weights, weights.T),
        "every t must be finite and zero or more": all((np.isfinite(t) & (t >= 0)).all() for t in quadratic.t),
        "linear terms must be numbers or minus infinity": all((linear < np.inf).all() for linear in quadratic.linear),
        "costs must be integers below 2^53": all(
            np.issubdtype(cost.dtype, np.integer) and (np.abs(cost) < 2**53).all() for cost in costs
        ),
    }
    for requirement, is_met in requirements.items():
        if not is_met:
            raise ConfigError(
                f"bad input of a second-order search: {requirement}",
                hint="pass the predictor's own Quadratic and integer costs",
            )
    for stage, linear in enumerate(quadratic.linear):
        if not np.isfinite(linear).any():
            raise InsufficientDataError(f"stage {stage} has no usable block", hint="train more of its blocks")
