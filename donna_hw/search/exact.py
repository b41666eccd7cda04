"""The exact front: all networks that no other beats, found by sums over stages; nothing is sampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.costs.model import CostModel, CostParts, joined
from donna_hw.errors import BadSetting
from donna_hw.search.aim import Aim, described
from donna_hw.search.dominance import non_dominated
from donna_hw.search.front import ParetoFront
from donna_hw.search.infeasible import infeasible
from donna_hw.search.sums import NO_LIMIT, undominated_sums
from donna_hw.spaces.space import Rows

GRIDS = {
    "s": 1e-12,
    "J": 1e-15,
    "MAC": 1.0,
    "parameter": 1.0,
}  # what sums are whole multiples of, so that ties are exact
SCORE = 1e-9  # of the predictor's score, per cent where that is the accuracy
DIMENSIONS = 4


@dataclass(frozen=True)
class _Part:
    """One dimension of dominance: a term [stage][block] and a constant on a grid, and the highest that the sum may be, infinite for any."""

    term: tuple[np.ndarray, ...]
    constant: float
    grid: float
    highest: float = np.inf

    def on_grid(self, stage: int | None = None) -> np.ndarray:
        """Return a stage's blocks, or the constant without one, as whole multiples of the grid."""
        values = np.array(self.constant) if stage is None else self.term[stage]
        return np.rint(np.where(np.isfinite(values), values, 0.0) / self.grid).astype(np.int64)

    @property
    def limit(self) -> int:
        """The highest that the sum of the blocks may be on the grid."""
        limit = _highest(self.highest, self.grid)
        return limit if limit == NO_LIMIT else limit - int(self.on_grid())


def why_not_exact(aim: Aim) -> str | None:
    """Return why no exact search of an aim is possible, None where one is."""
    if aim.predictor.scores(aim.qualities) is None:
        return "the accuracy is no sum over blocks"
    first = (0,) * len(aim.space.global_axes)
    count = 1
    for cost in {id(cost): cost for cost in (*aim.costs, *(limit.cost for limit in aim.limits))}.values():
        parts = cost.parts(first)
        if parts is None:
            return f"{cost.name} is no sum over blocks"
        count += 1 if parts.sharpness is None else len(parts.terms)
    return None if count <= DIMENSIONS else f"{count} dimensions of dominance; {DIMENSIONS} are looked at"


def exact_front(aim: Aim) -> ParetoFront:
    """Return the exact front of an aim: one network of each undominated vector of accuracy and costs, and the number of its equals.

    Sums are compared on a grid: whole picoseconds, femtojoules, MACs and parameters, 1e-9 of the score. Dimensions of dominance are the
    accuracy, every cost, each part of a launch floor, and each limit's cost; equals are networks that agree in all of them. Each setting of
    the global axes is searched. Raises `BadSetting` with the reason where it is not possible, `NothingToFit` where no network is within the
    limits.
    """
    reason = why_not_exact(aim)
    if reason is not None:
        raise BadSetting("an exact search needs sums over blocks", found=reason, cure="search with --method auto")
    each = [_at(aim, setting) for setting in aim.space.settings]
    rows, equals, points = (np.concatenate([found[k] for found in each]) for k in range(3))
    if not len(rows):
        raise infeasible(aim, aim.space.random_rows(1, 0))
    kept = np.flatnonzero(non_dominated(points))
    order = kept[np.lexsort(points[kept].T[[0, *range(points.shape[1] - 1, 0, -1)]])]  # by the first cost
    return described(aim, rows[order], evaluations=0, equals=equals[order])


def _at(aim: Aim, setting: tuple[int, ...]) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Return the undominated networks at one setting of the global axes, their equals, and their points int [n, 1 + costs]."""
    scores = aim.predictor.scores(aim.qualities)
    assert scores is not None  # noqa: S101  `why_not_exact` asked
    usable = [np.flatnonzero(np.isfinite(values)) for values in scores]
    if any(len(pick) == 0 for pick in usable):
        nothing = np.empty((0, len(aim.space.columns)), np.int64)
        return nothing, nothing[:, 0], nothing[:, : 1 + len(aim.costs)]
    limits = {id(limit.cost): limit.highest for limit in aim.limits}
    costs: dict[int, CostModel] = {id(cost): cost for cost in (*aim.costs, *(limit.cost for limit in aim.limits))}
    parts = {key: _parts_of(cost, setting, limits.get(key, np.inf)) for key, cost in costs.items()}
    every = [_Part(tuple(-values for values in scores), 0.0, SCORE), *(part for own in parts.values() for part in own)]
    stages = [np.stack([part.on_grid(i)[pick] for part in every], axis=1) for i, pick in enumerate(usable)]
    sums = undominated_sums(stages, np.array([part.limit for part in every]))
    rows = np.stack([pick[sums.rows[:, i]] for i, pick in enumerate(usable)], axis=1)
    rows = np.hstack([rows, np.tile(np.array(setting, np.int64), (len(rows), 1))])
    columns, start = {}, 1
    for key, own in parts.items():
        whole = sums.points[:, start : start + len(own)] + [part.on_grid() for part in own]
        sharpness = costs[key].parts(setting).sharpness  # type: ignore[union-attr]
        columns[key] = (
            whole[:, 0] if len(own) == 1 else np.rint(joined(whole.astype(float), sharpness)).astype(np.int64)
        )
        start += len(own)
    keep = np.ones(len(rows), bool)
    for limit in aim.limits:  # each part of a floor is within the limit: so must be their maximum, which is on no grid
        if len(parts[id(limit.cost)]) > 1:
            keep &= limit.cost.mean(rows) <= limit.highest * (1 + 1e-9)
    points = np.column_stack([sums.points[:, 0], *(columns[id(cost)] for cost in aim.costs)])
    return rows[keep], sums.equals[keep], points[keep]


def _parts_of(cost: CostModel, setting: tuple[int, ...], highest: float) -> list[_Part]:
    """Return a cost's dimensions: one of a sum, one for each part of a maximum."""
    parts = cost.parts(setting)
    assert parts is not None  # noqa: S101  `why_not_exact` asked
    grid = GRIDS[cost.unit]
    if parts.sharpness is None:
        return [_Part(_summed(parts), sum(parts.constants), grid, highest)]
    return [_Part(term, constant, grid, highest) for term, constant in zip(parts.terms, parts.constants, strict=True)]


def _summed(parts: CostParts) -> tuple[np.ndarray, ...]:
    return tuple(np.sum(stage, axis=0) for stage in zip(*parts.terms, strict=True))


def _highest(value: float, grid: float) -> int:
    """Return a limit on a grid; what is within a millionth of a grid point above it is that point, written as a float."""
    return NO_LIMIT if np.isinf(value) else int(np.floor(value / grid + 1e-6))
