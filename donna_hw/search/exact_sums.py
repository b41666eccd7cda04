"""Sums: the undominated sums over stages of vectors of whole numbers, without looking at every combination.

Of two partial sums, one that is nowhere better and somewhere worse stays so whatever is added to both: it can be left out. Stages are
added one after another, and after each only the undominated partial sums are kept, with how many combinations make each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from donna_hw.errors import ConfigError
from donna_hw.search.pareto import MAX_EXACT_INT, unique_non_dominated

GRIDS = {"s": 1e-12, "J": 1e-15, "MAC": 1.0, "parameter": 1.0}
SIGNIFICANT_DIGITS = 12  # digits of a sum whose unit has no grid
MAX_DIGITS = 15  # digits that are exact in any case: 10^15 is below 2^53


def choose_grid(unit: str, terms: Sequence[Sequence[np.ndarray]], constants: Sequence[float]) -> float:
    """Return the grid of sums of terms [stage][block] and constants, in `unit`; values that are not finite do not count.

    Picoseconds, femtojoules, MACs or parameters; twelve digits of the largest sum for others, and where MACs or parameters are not whole
    (a correction has scaled them). Coarser only where a sum would pass 10^15.
    """
    finite = [[values[np.isfinite(values)] for values in term] for term in terms]
    reach = max(sum(float(abs(values).max(initial=0.0)) for values in term) for term in finite) + max(
        map(abs, constants)
    )
    digits = int(np.ceil(np.log10(reach))) if reach > 0 else 0
    fine = 10.0 ** (digits - SIGNIFICANT_DIGITS)
    grid = GRIDS.get(unit, fine)
    if grid == 1.0 and not all((values == np.rint(values)).all() for term in finite for values in term):
        grid = min(grid, fine)
    return max(grid, 10.0 ** (digits - MAX_DIGITS))


def round_to_grid(values: np.ndarray, grid: float) -> np.ndarray:
    """Return finite values as the nearest whole multiples of a grid, int."""
    return np.rint(values / grid).astype(np.int64)


def floor_to_grid(value: float, grid: float) -> float:
    """Return the highest multiple that a limit allows; what is within a millionth above it is that point, written as a float."""
    return float(np.floor(value / grid + 1e-6))


CHUNK = 1_000_000  # sums that are made at once
MAX_PARTIAL_SUMS = 3_000_000  # undominated partial sums at a stage: about a gigabyte in four dimensions


class TooManySumsError(ConfigError):
    """More undominated sums than fit in memory: the front cannot be found exactly."""


@dataclass(frozen=True)
class ParetoSums:
    """Undominated sums int [n, D]; one combination of each, int [n, stages]; and how many make the same vector, [n].

    equals: int, or float where all combinations together are too many to count in 64 bits.
    """

    points: np.ndarray
    rows: np.ndarray
    multiplicity: np.ndarray


@dataclass(frozen=True)
class _Step:
    """Partial sums [n, D], which sum of the step before and which block each is made of, and how many combinations make it."""

    points: np.ndarray
    previous: np.ndarray
    block: np.ndarray
    multiplicity: np.ndarray

    def take(self, numbers: np.ndarray) -> _Step:
        return _Step(*(getattr(self, field.name)[numbers] for field in fields(self)))


def non_dominated_sums(
    stages: Sequence[np.ndarray], upper_bounds: np.ndarray | None = None, slack: np.ndarray | None = None
) -> ParetoSums:
    """Return the undominated sums of one vector a stage, all numbers minimised, sorted.

    stages: int [blocks, D] each. highest: what each number of a sum may be at most, float [D], infinite for any; a partial sum that no
    completion brings within it is left out. slack: bool [D], numbers that need only be within, by however much; they are returned as 0.
    Raises `TooManySumsError` beyond 3,000,000 undominated partial sums, `ConfigError` where a sum reaches 2^53.
    """
    width = stages[0].shape[1]
    if any(len(stage) == 0 for stage in stages):
        return ParetoSums(np.empty((0, width), np.int64), np.empty((0, len(stages)), np.int64), np.empty(0, np.int64))
    # Shifted, so that the cheapest completion adds nothing: what is left of a limit is the same at every stage.
    lowest = np.stack([stage.min(axis=0) for stage in stages])
    shifted = [stage - low for stage, low in zip(stages, lowest, strict=True)]
    most = np.stack([stage.max(axis=0) for stage in shifted])
    if (
        max(float(most.sum(axis=0, dtype=float).max()), float(abs(lowest.sum(axis=0, dtype=float)).max()))
        >= MAX_EXACT_INT
    ):
        raise ConfigError(
            "sums must stay below 2^53 of their grid to be exact", got=int(most.max()), hint="use larger units"
        )
    spare = most.sum(axis=0)
    if upper_bounds is not None:
        spare = np.clip(np.floor(upper_bounds) - lowest.sum(axis=0), -1, spare).astype(np.int64)
    free = np.zeros(width, bool) if slack is None else np.asarray(slack, bool)
    order = sorted(range(len(stages)), key=lambda i: len(stages[i]))
    counts = np.dtype(np.int64 if sum(np.log2(len(stage)) for stage in stages) < 63 else np.float64)
    # Where no completion passes the limit any more, how far below it a sum lies makes no difference.
    enough = np.where(free, spare - most.sum(axis=0) + most, 0)
    own = [_prune(_blocks(np.maximum(shifted[i], enough[i]), counts)) for i in order]
    steps = [_Step(np.zeros((1, width), np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, counts))]
    left = spare - most.sum(axis=0)
    for i, step in zip(order, own, strict=True):
        left = left + most[i]
        steps.append(_add_stage(steps[-1], step, spare, np.where(free, left, 0)))
    points = np.where(free, 0, steps[-1].points + lowest.sum(axis=0))
    return ParetoSums(points, _trace_back(steps[1:], own, order), steps[-1].multiplicity)


def _blocks(points: np.ndarray, counts: np.dtype) -> _Step:
    numbers = np.arange(len(points))
    return _Step(points, numbers, numbers, np.ones(len(points), counts))


def _add_stage(sums: _Step, stage: _Step, spare: np.ndarray, enough: np.ndarray) -> _Step:
    """Return the undominated sums of partial sums and a stage's blocks that stay within `spare`; in chunks, to bound memory."""
    width = max(1, CHUNK // len(stage.points))
    found: _Step | None = None
    for start in range(0, len(sums.points), width):
        part = sums.take(np.arange(start, min(start + width, len(sums.points))))
        points = np.maximum(part.points[:, None] + stage.points, enough).reshape(-1, len(spare))
        pairs = np.flatnonzero((points <= spare).all(axis=1))
        first, second = np.divmod(pairs, len(stage.points))
        fresh = _prune(
            _Step(points[pairs], start + first, second, part.multiplicity[first] * stage.multiplicity[second])
        )
        found = fresh if found is None else _prune(_concatenate(found, fresh))
        if len(found.points) > MAX_PARTIAL_SUMS:
            raise TooManySumsError(
                f"an exact front needs at most {MAX_PARTIAL_SUMS} partial sums",
                got=len(found.points),
                hint="search fewer costs",
            )
    return sums if found is None else found


def _concatenate(a: _Step, b: _Step) -> _Step:
    return _Step(*(np.concatenate([getattr(step, field.name) for step in (a, b)]) for field in fields(_Step)))


def _prune(step: _Step) -> _Step:
    picks, equals = unique_non_dominated(step.points, step.multiplicity)
    return replace(step.take(picks), multiplicity=equals)


def _trace_back(steps: list[_Step], own: list[_Step], order: list[int]) -> np.ndarray:
    """Return one combination for each of the last sums, int [n, stages], by walking back."""
    rows = np.zeros((len(steps[-1].points), len(order)), np.int64)
    place = np.arange(len(rows))
    for step, stage, number in zip(reversed(steps), reversed(own), reversed(order), strict=True):
        rows[:, number] = stage.block[step.block[place]]
        place = step.previous[place]
    return rows
