"""The non-dominated sums over stages of vectors of integers, found without looking at every combination.

A partial sum that another one dominates stays dominated whatever is added to both, so it can be dropped. Stages are added one after
another. After each stage only the non-dominated partial sums are retained, each with the number of combinations that make it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from donna_hw.errors import ConfigError
from donna_hw.search.pareto import MAX_EXACT_INT, unique_non_dominated

GRIDS = {"s": 1e-12, "J": 1e-15, "MAC": 1.0, "parameter": 1.0}
SIGNIFICANT_DIGITS = 12  # of a sum whose unit has no grid
MAX_DIGITS = 15  # always exact: 10^15 is below 2^53
CHUNK = 1_000_000  # sums computed at a time
MAX_PARTIAL_SUMS = 3_000_000  # non-dominated partial sums at a stage: about a gigabyte in four dimensions


def choose_grid(unit: str, terms: Sequence[Sequence[np.ndarray]], constants: Sequence[float]) -> float:
    """Return the grid on which sums of terms and constants are compared.

    The grid is a picosecond, a femtojoule, one MAC or one parameter. Other units, and MACs or parameters that a correction has scaled to
    fractions, use twelve digits of the largest sum. The grid is coarser where a sum would pass 10^15.

    Args:
        unit: Unit of the terms, such as `s`.
        terms: Terms [term][stage], each an array over the stage's blocks. Values that are not finite are ignored.
        constants: The constants that are added to the sums.

    Returns:
        The distance of two grid points, in `unit`.
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
    """Return finite values as the nearest integer multiples of a grid."""
    return np.rint(values / grid).astype(np.int64)


def floor_to_grid(value: float, grid: float) -> float:
    """Return the highest multiple of the grid below an upper bound; a bound a millionth below a grid point counts as that point."""
    return float(np.floor(value / grid + 1e-6))


class TooManySumsError(ConfigError):
    """More non-dominated sums than fit in memory: the front cannot be found exactly."""


@dataclass(frozen=True)
class ParetoSums:
    """The non-dominated sums.

    Attributes:
        points: The sums, int [n, D].
        rows: One combination of blocks for each sum, int [n, stages].
        multiplicity: How many combinations make the same sum, int [n]. Float where all combinations are too many to count in 64 bits.
    """

    points: np.ndarray
    rows: np.ndarray
    multiplicity: np.ndarray


@dataclass(frozen=True)
class _Step:
    """Partial sums [n, D]: for each the number of the previous sum and of the block it consists of, and how many combinations make it."""

    points: np.ndarray
    previous: np.ndarray
    block: np.ndarray
    multiplicity: np.ndarray

    def take(self, indices: np.ndarray) -> _Step:
        return _Step(*(getattr(self, field.name)[indices] for field in fields(self)))


def non_dominated_sums(
    stages: Sequence[np.ndarray], upper_bounds: np.ndarray | None = None, slack: np.ndarray | None = None
) -> ParetoSums:
    """Return the non-dominated sums of one vector per stage, all dimensions minimized, sorted.

    Args:
        stages: The vectors of each stage's blocks, int [blocks, D] each.
        upper_bounds: The most that each dimension of a sum may be, float [D], infinite for no bound. A partial sum that no completion
            brings within the bounds is dropped.
        slack: Bool [D], dimensions that only have to stay within their bound. They do not count in dominance and are returned as 0.

    Returns:
        The sums, sorted, with one combination of blocks for each.

    Raises:
        TooManySumsError: More than 3,000,000 partial sums are non-dominated.
        ConfigError: A sum reaches 2^53.
    """
    width = stages[0].shape[1]
    if any(len(stage) == 0 for stage in stages):
        return ParetoSums(np.empty((0, width), np.int64), np.empty((0, len(stages)), np.int64), np.empty(0, np.int64))
    # Shifted so that the cheapest completion adds nothing: the rest of an upper bound is then the same at every stage.
    lowest = np.stack([stage.min(axis=0) for stage in stages])
    shifted = [stage - low for stage, low in zip(stages, lowest, strict=True)]
    most = np.stack([stage.max(axis=0) for stage in shifted])
    if (
        max(float(most.sum(axis=0, dtype=float).max()), float(abs(lowest.sum(axis=0, dtype=float)).max()))
        >= MAX_EXACT_INT
    ):
        raise ConfigError(
            "sums are too large to be exact: they must stay below 2^53 grid steps",
            got=int(most.max()),
            hint="use larger units",
        )
    spare = most.sum(axis=0)
    if upper_bounds is not None:
        spare = np.clip(np.floor(upper_bounds) - lowest.sum(axis=0), -1, spare).astype(np.int64)
    free = np.zeros(width, bool) if slack is None else np.asarray(slack, bool)
    order = sorted(range(len(stages)), key=lambda i: len(stages[i]))
    counts = np.dtype(np.int64 if sum(np.log2(len(stage)) for stage in stages) < 63 else np.float64)
    # Where no completion can pass the bound any more, it makes no difference how far below it a sum lies.
    enough = np.where(free, spare - most.sum(axis=0) + most, 0)
    blocks = [_non_dominated_blocks(np.maximum(shifted[i], enough[i]), counts) for i in order]
    steps = [_Step(np.zeros((1, width), np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, counts))]
    rest = spare - most.sum(axis=0)
    for i, stage in zip(order, blocks, strict=True):
        rest = rest + most[i]
        steps.append(_add_stage(steps[-1], stage, spare, np.where(free, rest, 0)))
    points = np.where(free, 0, steps[-1].points + lowest.sum(axis=0))
    return ParetoSums(points, _trace_back(steps[1:], blocks, order), steps[-1].multiplicity)


def _non_dominated_blocks(points: np.ndarray, counts: np.dtype) -> _Step:
    """Return a stage's non-dominated blocks, each with the number of blocks that equal it."""
    picks, multiplicity = unique_non_dominated(points, np.ones(len(points), counts))
    return _Step(points[picks], picks, picks, multiplicity)


def _add_stage(sums: _Step, stage: _Step, spare: np.ndarray, enough: np.ndarray) -> _Step:
    """Return the non-dominated sums of partial sums and a stage's blocks that stay within `spare`; in chunks, to bound memory."""
    width = max(1, CHUNK // len(stage.points))
    total: _Step | None = None
    for start in range(0, len(sums.points), width):
        part = sums.take(np.arange(start, min(start + width, len(sums.points))))
        points = np.maximum(part.points[:, None] + stage.points, enough).reshape(-1, len(spare))
        pairs = np.flatnonzero((points <= spare).all(axis=1))
        first, second = np.divmod(pairs, len(stage.points))
        step = _Step(points[pairs], start + first, second, part.multiplicity[first] * stage.multiplicity[second])
        picks, multiplicity = unique_non_dominated(step.points, step.multiplicity)
        step = replace(step.take(picks), multiplicity=multiplicity)
        if total is not None:
            step = _concatenate(total, step)
            picks, multiplicity = unique_non_dominated(step.points, step.multiplicity)
            step = replace(step.take(picks), multiplicity=multiplicity)
        total = step
        if len(total.points) > MAX_PARTIAL_SUMS:
            raise TooManySumsError(
                f"too many partial sums for an exact front: the limit is {MAX_PARTIAL_SUMS}",
                got=len(total.points),
                hint="search fewer costs",
            )
    return sums if total is None else total


def _concatenate(a: _Step, b: _Step) -> _Step:
    return _Step(*(np.concatenate([getattr(step, field.name) for step in (a, b)]) for field in fields(_Step)))


def _trace_back(steps: list[_Step], blocks: list[_Step], order: list[int]) -> np.ndarray:
    """Return one combination of blocks for each of the last sums, int [n, stages], by walking back."""
    rows = np.zeros((len(steps[-1].points), len(order)), np.int64)
    index = np.arange(len(rows))
    for step, stage, number in zip(reversed(steps), reversed(blocks), reversed(order), strict=True):
        rows[:, number] = stage.block[step.block[index]]
        index = step.previous[index]
    return rows
