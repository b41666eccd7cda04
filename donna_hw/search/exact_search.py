"""The exact front: all networks that no other network dominates, found by sums over stages. Nothing is sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from donna_hw.costs.base import CostModel, CostTerms
from donna_hw.costs.multi_device import sum_terms
from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.search.branch_and_bound import second_order_front
from donna_hw.search.branch_and_bound_bounds import GRID_PERCENT
from donna_hw.search.exact_sums import ParetoSums, choose_grid, floor_to_grid, non_dominated_sums, round_to_grid
from donna_hw.search.infeasibility import infeasibility_error
from donna_hw.search.pareto import unique_non_dominated
from donna_hw.search.pareto_front import ParetoFront, evaluate_front
from donna_hw.search.problem import SearchProblem
from donna_hw.spaces.space import Rows
from donna_hw.training.block_metrics import is_trained

MAX_DIMENSIONS = 5  # a sixth may take hours at 384 blocks a stage
ROUNDING = 1e-12  # relative: a float sum depends on the order of its terms
NEAREST_SAMPLES = 1000  # random networks, of which an infeasible search reports the nearest

# Networks, how many equal each of them, and their objectives on the grid, int [n, 1 + costs].
Points = tuple[Rows, np.ndarray, np.ndarray]


def exact_search_obstacle(problem: SearchProblem) -> str | None:
    """Return why no exact search of a problem is possible, None where one is."""
    if problem.predictor.scores(problem.qualities) is None:
        return _second_order_obstacle(problem)
    first, count = (0,) * len(problem.space.global_axes), 1
    for cost in _all_costs(problem):
        terms = cost.additive_terms(first)
        if terms is None:
            return f"{cost.name} is no sum over blocks"
        count += len(_merge_terms(terms).terms)
    return (
        None if count <= MAX_DIMENSIONS else f"{count} dimensions of dominance; at most {MAX_DIMENSIONS} are searched"
    )


def exact_front(problem: SearchProblem) -> ParetoFront:
    """Return the exact front of a problem: one network of each non-dominated vector of accuracy and costs.

    Sums are compared on a grid (`choose_grid`). The dimensions of dominance are the accuracy, every cost, each part of a launch floor,
    and the cost of each constraint. Each setting of the global axes is searched. An accuracy with second-order terms is searched by
    branch and bound, with one cost that is a sum.

    Args:
        problem: What is searched for.

    Returns:
        The front, ordered by the first cost. Its `multiplicity` counts the networks of equal accuracy and costs. The count is complete
        where the costs are sums and no other cost is constrained. Otherwise it covers at least the networks that agree in every
        dimension. With second-order terms nothing is counted and each multiplicity is 1.

    Raises:
        ConfigError: No exact search is possible; the message has the reason (`TooManySumsError` where memory ends).
        InsufficientDataError: No network satisfies the constraints.
    """
    reason = exact_search_obstacle(problem)
    if reason is not None:
        raise ConfigError(f"no exact search is possible: {reason}", hint="search with --method auto")
    scores = problem.predictor.scores(problem.qualities)
    if scores is None:
        return _second_order_front(problem)
    losses = tuple(-values for values in scores)  # minimized; infinite for blocks whose training diverged
    usable = [
        np.flatnonzero(np.isfinite(loss) & is_trained(quality))
        for loss, quality in zip(losses, problem.qualities, strict=True)
    ]
    if any(len(pick) == 0 for pick in usable):
        raise infeasibility_error(problem, np.empty((0, len(problem.space.columns)), np.int64))
    accuracy = _Dimension(
        tuple(loss[pick] for loss, pick in zip(losses, usable, strict=True)), 0.0, choose_grid("", [losses], [0.0])
    )
    objectives = [_Objective.of(problem, cost) for cost in _all_costs(problem)]
    points = []
    for setting in problem.space.setting_combinations:
        dimensions = [accuracy, *(part for cost in objectives for part in cost.dimensions(setting, usable))]
        sums = non_dominated_sums(*_grid_vectors(dimensions))
        points.append(_network_points(setting, dimensions, objectives, usable, sums))
    return _merge_settings(problem, points)


def _second_order_obstacle(problem: SearchProblem) -> str | None:
    """Return why an accuracy that is no sum cannot be searched exactly."""
    if problem.predictor.quadratic(problem.qualities) is None:
        return "the accuracy is no sum over blocks, nor of products of two"
    terms = problem.costs[0].additive_terms((0,) * len(problem.space.global_axes))
    if _all_costs(problem) != [problem.costs[0]] or terms is None or len(_merge_terms(terms).terms) > 1:
        return "the accuracy has second-order terms, and that needs one cost that is a sum"
    return None


def _second_order_front(problem: SearchProblem) -> ParetoFront:
    """Return the exact front of an accuracy with second-order terms and one cost."""
    quadratic, objective = problem.predictor.quadratic(problem.qualities), _Objective.of(problem, problem.costs[0])
    assert quadratic is not None  # noqa: S101  `exact_search_obstacle` made sure of it
    blocks, points = [np.arange(size) for size in problem.space.stage_sizes], []
    for setting in problem.space.setting_combinations:
        (dimension,) = objective.dimensions(setting, blocks)
        costs = tuple(round_to_grid(values, dimension.grid) for values in dimension.term)
        bound = None if np.isinf(dimension.upper_bound) else int(dimension.grid_bound) - dimension.grid_constant
        try:
            front = second_order_front(quadratic, costs, bound)
        except InsufficientDataError:
            continue
        objectives = [-round_to_grid(front.accuracy, GRID_PERCENT), front.cost + dimension.grid_constant]
        points.append(
            (_add_setting(front.rows, setting), np.ones(len(front.rows), np.int64), np.column_stack(objectives))
        )
    merged = _merge_settings(problem, points)
    return replace(merged, multiplicity=np.ones(len(merged), np.int64))


@dataclass(frozen=True)
class _Dimension:
    """One dimension of dominance, on a grid.

    Attributes:
        term: What each block adds, [stage][block].
        constant: What every network adds.
        grid: The distance of two grid points.
        upper_bound: The most that the sum may be.
        slack: Whether the sum only has to stay within its bound.
    """

    term: tuple[np.ndarray, ...]
    constant: float
    grid: float
    upper_bound: float = np.inf
    slack: bool = False

    @property
    def grid_constant(self) -> int:
        """The constant in steps of the grid."""
        return int(round_to_grid(np.array(self.constant), self.grid))

    @property
    def grid_bound(self) -> float:
        """The upper bound in steps of the grid."""
        return floor_to_grid(self.upper_bound, self.grid)


@dataclass(frozen=True)
class _Objective:
    """A cost, its grid, its upper bound, and whether the search minimizes it (else it is constrained only)."""

    cost: CostModel
    grid: float
    upper_bound: float
    is_minimized: bool

    @classmethod
    def of(cls, problem: SearchProblem, cost: CostModel) -> _Objective:
        """Return a cost of a problem on one grid for all settings."""
        terms = [_cost_terms(cost, setting) for setting in problem.space.setting_combinations]
        grid = choose_grid(
            cost.unit,
            [term for parts in terms for term in parts.terms],
            [constant for parts in terms for constant in parts.constants],
        )
        bounds = (constraint.upper_bound for constraint in problem.constraints if constraint.cost is cost)
        return cls(cost, grid, min(bounds, default=np.inf), any(cost is other for other in problem.costs))

    def dimensions(self, setting: tuple[int, ...], usable: list[np.ndarray]) -> list[_Dimension]:
        """Return a dimension for each part of the cost at one setting of the global axes, of the usable blocks."""
        parts = _cost_terms(self.cost, setting)
        slack = not self.is_minimized and (parts.sharpness is None or np.isinf(parts.sharpness))
        return [
            _Dimension(
                tuple(values[pick] for values, pick in zip(term, usable, strict=True)),
                constant,
                self.grid,
                self.upper_bound,
                slack,
            )
            for term, constant in zip(parts.terms, parts.constants, strict=True)
        ]


def _grid_vectors(dimensions: Sequence[_Dimension]) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return the arguments of `non_dominated_sums`: each stage's vectors, int [blocks, D], the upper bounds, and which are slack."""
    stages = [
        np.stack([round_to_grid(part.term[stage], part.grid) for part in dimensions], axis=1)
        for stage in range(len(dimensions[0].term))
    ]
    bounds = np.array([part.grid_bound for part in dimensions]) - [part.grid_constant for part in dimensions]
    return stages, bounds, np.array([part.slack for part in dimensions])


def _network_points(
    setting: tuple[int, ...],
    dimensions: Sequence[_Dimension],
    objectives: Sequence[_Objective],
    usable: list[np.ndarray],
    sums: ParetoSums,
) -> Points:
    """Return the networks of non-dominated sums at one setting that satisfy the bounds of combined parts too."""
    rows = np.stack([pick[sums.rows[:, stage]] for stage, pick in enumerate(usable)], axis=1)
    rows, feasible = _add_setting(rows, setting), np.ones(len(sums.rows), bool)
    totals, columns, start = sums.points + [part.grid_constant for part in dimensions], [sums.points[:, 0]], 1
    for objective in objectives:
        terms = _cost_terms(objective.cost, setting)
        count, column = len(terms.terms), totals[:, start]
        if count > 1 and not dimensions[start].slack:
            # Each part is within the bound; the combined cost must be too. It is compared off the grid, since a rounded one may
            # pass its own bound.
            parts = totals[:, start : start + count].astype(float)
            column = np.rint(terms.combine(parts)).astype(np.int64)
            feasible &= objective.cost.mean(rows) <= objective.upper_bound * (1 + ROUNDING)
        columns += [column] * objective.is_minimized
        start += count
    return rows[feasible], sums.multiplicity[feasible], np.stack(columns, axis=1)[feasible]


def _merge_settings(problem: SearchProblem, points: Sequence[Points]) -> ParetoFront:
    """Return the front over all settings of the global axes, ordered by the first cost; raises where no network is feasible."""
    if not any(len(rows) for rows, _, _ in points):
        random = problem.space.random_rows(min(NEAREST_SAMPLES, problem.space.size), 0)
        raise infeasibility_error(problem, random)
    rows, counts, objectives = (np.concatenate(arrays) for arrays in zip(*points, strict=True))
    picks, multiplicity = unique_non_dominated(objectives, counts)
    order = np.lexsort(objectives[picks].T[[0, *range(objectives.shape[1] - 1, 0, -1)]])  # by the first cost
    front = evaluate_front(problem, rows[picks[order]], evaluations=0, multiplicity=multiplicity[order])
    return replace(front, gap=0.0)


def _add_setting(rows: Rows, setting: tuple[int, ...]) -> Rows:
    """Return rows of blocks, int [n, stages], with the setting of the global axes appended to each."""
    return np.hstack([rows, np.tile(np.array(setting, np.int64), (len(rows), 1))])


def _all_costs(problem: SearchProblem) -> list[CostModel]:
    """Return the costs, then those that are constrained only."""
    costs = (*problem.costs, *(constraint.cost for constraint in problem.constraints))
    return list({id(cost): cost for cost in costs}.values())


def _cost_terms(cost: CostModel, setting: tuple[int, ...]) -> CostTerms:
    terms = cost.additive_terms(setting)
    assert terms is not None  # noqa: S101  `exact_search_obstacle` made sure of it
    return _merge_terms(terms)


def _merge_terms(terms: CostTerms) -> CostTerms:
    """Return parts that combine to their sum as a single part."""
    if terms.sharpness is not None:
        return terms
    return CostTerms((sum_terms(terms.terms),), (sum(terms.constants),))
