"""The exact front: all networks that no other beats, found by sums over stages; nothing is sampled."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from donna_hw.costs.base import CostModel, CostTerms
from donna_hw.costs.multi_device import sum_terms
from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.search.branch_and_bound import second_order_front
from donna_hw.search.branch_and_bound_bounds import GRID_PERCENT
from donna_hw.search.exact_sums import choose_grid, floor_to_grid, non_dominated_sums, round_to_grid
from donna_hw.search.infeasibility import infeasibility_error
from donna_hw.search.pareto import unique_non_dominated
from donna_hw.search.pareto_front import ParetoFront, evaluate_front
from donna_hw.search.problem import SearchProblem
from donna_hw.spaces.space import Rows
from donna_hw.training.block_metrics import is_trained

MAX_DIMENSIONS = 5  # a sixth may take hours at 384 blocks a stage
ROUNDING = 1e-12  # of a float, by the order of a sum
NEAREST_SAMPLES = 1000  # random networks of which the nearest is told where none is within the limits


def exact_search_obstacle(aim: SearchProblem) -> str | None:
    """Return why no exact search of an aim is possible, None where one is."""
    if aim.predictor.scores(aim.qualities) is None:
        return _second_order_obstacle(aim)
    first, count = (0,) * len(aim.space.global_axes), 1
    for cost in _all_costs(aim):
        parts = cost.additive_terms(first)
        if parts is None:
            return f"{cost.name} is no sum over blocks"
        count += len(_merge_terms(parts).terms)
    return None if count <= MAX_DIMENSIONS else f"{count} dimensions of dominance; {MAX_DIMENSIONS} are looked at"


def exact_front(aim: SearchProblem) -> ParetoFront:
    """Return the exact front of an aim: one network of each undominated vector of accuracy and costs, and the number of its equals.

    Sums are compared on a grid (`search/grid.py`). Dimensions of dominance are the accuracy, every cost, each part of a launch floor, and
    each limit's cost; equals agree in the accuracy and all costs, and are counted whole where the costs are sums and no other cost is
    limited, else those at least that agree in every dimension. Each setting of the global axes is searched. An accuracy with second-order
    terms is searched by bounds, beside one cost that is a sum; its equals are not counted, each is 1. Raises `ConfigError` with
    the reason where it is not possible (`TooMany` where memory ends), `InsufficientDataError` where no network is within the limits.
    """
    reason = exact_search_obstacle(aim)
    if reason is not None:
        raise ConfigError("an exact search needs sums over blocks", got=reason, hint="search with --method auto")
    scores = aim.predictor.scores(aim.qualities)
    if scores is None:
        return _search_second_order(aim)
    gains = tuple(-values for values in scores)  # minimised; infinite for diverged blocks
    usable = [
        np.flatnonzero(np.isfinite(gain) & is_trained(own)) for gain, own in zip(gains, aim.qualities, strict=True)
    ]
    if any(len(pick) == 0 for pick in usable):
        raise infeasibility_error(aim, np.empty((0, len(aim.space.columns)), np.int64))
    score = _Dimension(
        tuple(gain[pick] for gain, pick in zip(gains, usable, strict=True)), 0.0, choose_grid("", [gains], [0.0])
    )
    priced = [_Objective.of(aim, cost) for cost in _all_costs(aim)]
    each = [_search_setting(setting, score, priced, usable) for setting in aim.space.setting_combinations]
    rows, equals, points = (np.concatenate([found[k] for found in each]) for k in range(3))
    if not len(rows):
        raise infeasibility_error(aim, aim.space.random_rows(min(NEAREST_SAMPLES, aim.space.size), 0))
    kept, equals = unique_non_dominated(points, equals)
    order = np.lexsort(points[kept].T[[0, *range(points.shape[1] - 1, 0, -1)]])  # by the first cost
    front = evaluate_front(aim, rows[kept[order]], evaluations=0, multiplicity=equals[order])
    return replace(front, gap=0.0)


def _second_order_obstacle(aim: SearchProblem) -> str | None:
    """Return why an accuracy that is no sum cannot be searched exactly."""
    if aim.predictor.quadratic(aim.qualities) is None:
        return "the accuracy is no sum over blocks, nor of products of two"
    parts = aim.costs[0].additive_terms((0,) * len(aim.space.global_axes))
    if _all_costs(aim) != [aim.costs[0]] or parts is None or len(_merge_terms(parts).terms) > 1:
        return "the accuracy has second-order terms, and that needs one cost that is a sum"
    return None


def _search_second_order(aim: SearchProblem) -> ParetoFront:
    """Return the exact front of an accuracy with second-order terms and one cost."""
    quadratic, priced = aim.predictor.quadratic(aim.qualities), _Objective.of(aim, aim.costs[0])
    assert quadratic is not None  # noqa: S101  `exact_search_obstacle` asked
    every, rows, points = [np.arange(size) for size in aim.space.stage_sizes], [], []
    for setting in aim.space.setting_combinations:
        (side,) = priced.dimensions(setting, every)
        constant = int(round_to_grid(np.array(side.constant), side.grid))
        costs = tuple(round_to_grid(values, side.grid) for values in side.term)
        highest = None if np.isinf(side.upper_bound) else int(floor_to_grid(side.upper_bound, side.grid)) - constant
        try:
            found = second_order_front(quadratic, costs, highest)
        except InsufficientDataError:
            continue
        rows.append(np.hstack([found.rows, np.tile(np.array(setting, np.int64), (len(found.rows), 1))]))
        points.append(np.column_stack([-round_to_grid(found.accuracy, GRID_PERCENT), found.cost + constant]))
    if not rows:
        raise infeasibility_error(aim, aim.space.random_rows(min(NEAREST_SAMPLES, aim.space.size), 0))
    joined, ones = np.concatenate(rows), np.ones(sum(map(len, rows)), np.int64)
    kept, _ = unique_non_dominated(np.concatenate(points), ones)
    order = np.argsort(np.concatenate(points)[kept, 1], kind="stable")
    return replace(evaluate_front(aim, joined[kept[order]], evaluations=0, multiplicity=ones[: len(kept)]), gap=0.0)


@dataclass(frozen=True)
class _Dimension:
    """One dimension of dominance: a term [stage][block] and a constant on a grid; the highest sum, and whether nothing else counts."""

    term: tuple[np.ndarray, ...]
    constant: float
    grid: float
    upper_bound: float = np.inf
    slack: bool = False


@dataclass(frozen=True)
class _Objective:
    """A cost, what it is a whole multiple of, the highest it may be, and whether less of it is better."""

    cost: CostModel
    grid: float
    upper_bound: float
    objective: bool

    @classmethod
    def of(cls, aim: SearchProblem, cost: CostModel) -> _Objective:
        """Return a cost of an aim on one grid for all settings."""
        every = [_cost_terms(cost, setting) for setting in aim.space.setting_combinations]
        grid = choose_grid(
            cost.unit,
            [term for parts in every for term in parts.terms],
            [c for parts in every for c in parts.constants],
        )
        highest = min((limit.upper_bound for limit in aim.constraints if limit.cost is cost), default=np.inf)
        return cls(cost, grid, highest, any(cost is objective for objective in aim.costs))

    def dimensions(self, setting: tuple[int, ...], usable: list[np.ndarray]) -> list[_Dimension]:
        """Return a dimension for each part."""
        parts = _cost_terms(self.cost, setting)
        slack = not self.objective and (parts.sharpness is None or np.isinf(parts.sharpness))
        return [
            _Dimension(
                tuple(v[pick] for v, pick in zip(term, usable, strict=True)),
                constant,
                self.grid,
                self.upper_bound,
                slack,
            )
            for term, constant in zip(parts.terms, parts.constants, strict=True)
        ]


def _search_setting(
    setting: tuple[int, ...], score: _Dimension, priced: list[_Objective], usable: list[np.ndarray]
) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Return the undominated networks at one setting of the global axes, their equals, and their points int [n, 1 + costs]."""
    own = [cost.dimensions(setting, usable) for cost in priced]
    sides = [score, *(side for each in own for side in each)]
    constants = np.array([round_to_grid(np.array(side.constant), side.grid) for side in sides])
    stages = [np.stack([round_to_grid(side.term[i], side.grid) for side in sides], axis=1) for i in range(len(usable))]
    highest = np.array([floor_to_grid(side.upper_bound, side.grid) for side in sides]) - constants
    sums = non_dominated_sums(stages, highest, np.array([side.slack for side in sides]))
    rows = np.stack([pick[sums.rows[:, i]] for i, pick in enumerate(usable)], axis=1)
    rows = np.hstack([rows, np.tile(np.array(setting, np.int64), (len(rows), 1))])
    whole, columns, start, keep = sums.points + constants, [sums.points[:, 0]], 1, np.ones(len(rows), bool)
    for cost, each in zip(priced, own, strict=True):
        column = whole[:, start]
        if len(each) > 1 and not each[0].slack:  # each part is within the limit: so must be what they join to
            parts = whole[:, start : start + len(each)].astype(float)
            column = np.rint(_cost_terms(cost.cost, setting).combine(parts)).astype(np.int64)
            keep &= cost.cost.mean(rows) <= cost.upper_bound * (
                1 + ROUNDING
            )  # on no grid: a rounded one may pass its own limit
        columns += [column] * cost.objective
        start += len(each)
    return rows[keep], sums.multiplicity[keep], np.stack(columns, axis=1)[keep]


def _all_costs(aim: SearchProblem) -> list[CostModel]:
    """Return the costs, then those that have a limit only."""
    return list({id(cost): cost for cost in (*aim.costs, *(limit.cost for limit in aim.constraints))}.values())


def _cost_terms(cost: CostModel, setting: tuple[int, ...]) -> CostTerms:
    parts = cost.additive_terms(setting)
    assert parts is not None  # noqa: S101  `exact_search_obstacle` asked
    return _merge_terms(parts)


def _merge_terms(parts: CostTerms) -> CostTerms:
    """Return parts that join to their sum as one."""
    if parts.sharpness is not None:
        return parts
    return CostTerms((sum_terms(parts.terms),), (sum(parts.constants),))
