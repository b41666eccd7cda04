"""Sums: the undominated sums over stages of vectors of whole numbers, without looking at every combination.

Of two partial sums, one that is nowhere better and somewhere worse stays so whatever is added to both: it can be left out. Stages are
added one after another, and after each only the undominated partial sums are kept, with how many combinations make each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from donna_hw.search.dominance import checked, merged

CHUNK = 2_000_000  # sums that are made at once
NO_LIMIT = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Sums:
    """Undominated sums int [n, D]; one combination of each, int [n, stages]; and how many make the same vector, int [n]."""

    points: np.ndarray
    rows: np.ndarray
    equals: np.ndarray


@dataclass(frozen=True)
class _Step:
    """Partial sums [n, D], which sum of the step before and which block each is made of, and how many combinations make it."""

    points: np.ndarray
    before: np.ndarray
    block: np.ndarray
    equals: np.ndarray


def undominated_sums(stages: Sequence[np.ndarray], limits: np.ndarray | None = None) -> Sums:
    """Return the undominated sums of one vector a stage, all numbers minimised.

    stages: int [blocks, D] each. limits: the highest that each number of a sum may be, int [D], `NO_LIMIT` for none; sums that pass one are
    left out. Where every completion of a partial sum stays within a limit that is no objective of its own, by how much does not matter: the
    caller takes such numbers out afterwards.
    """
    highest = np.full(stages[0].shape[1], NO_LIMIT) if limits is None else limits
    order = sorted(range(len(stages)), key=lambda i: len(stages[i]))
    pruned = [_pruned(stages[i]) for i in order]
    least = np.stack([step.points.min(axis=0) if len(step.points) else highest * 0 for step in pruned])
    rest = np.vstack(
        [np.cumsum(least[::-1], axis=0)[::-1][1:], np.zeros_like(least[:1])]
    )  # of the stages that come after
    steps = [_within(pruned[0], highest, rest[0])]
    for step, later in zip(pruned[1:], rest[1:], strict=True):
        steps.append(_added(steps[-1], step, highest, later))
    return Sums(checked(steps[-1].points), _traced(steps, pruned, order), steps[-1].equals)


def _pruned(points: np.ndarray) -> _Step:
    """Return the undominated blocks of one stage."""
    picks, equals = merged(points, np.ones(len(points), np.int64))
    return _Step(points[picks], picks, picks, equals)


def _added(sums: _Step, stage: _Step, highest: np.ndarray, later: np.ndarray) -> _Step:
    """Return the undominated sums of partial sums and a stage's blocks that can stay within the limits; in chunks, to bound memory."""
    width = max(1, CHUNK // max(1, len(stage.points)))
    kept: list[_Step] = []
    for start in range(0, len(sums.points), width):
        part = slice(start, start + width)
        points = (sums.points[part, None] + stage.points[None]).reshape(-1, sums.points.shape[1])
        equals = np.outer(sums.equals[part], stage.equals).ravel()
        before = np.repeat(np.arange(len(sums.points))[part], len(stage.points))
        block = np.tile(np.arange(len(stage.points)), len(sums.points[part]))
        kept.append(_best(_within(_Step(points, before, block, equals), highest, later)))
    joined = (
        _Step(
            *(
                np.concatenate([getattr(step, name) for step in kept])
                for name in ("points", "before", "block", "equals")
            )
        )
        if kept
        else sums
    )
    return joined if len(kept) < 2 else _best(joined)


def _best(step: _Step) -> _Step:
    picks, equals = merged(step.points, step.equals)
    return _Step(step.points[picks], step.before[picks], step.block[picks], equals)


def _within(step: _Step, highest: np.ndarray, later: np.ndarray) -> _Step:
    """Return the partial sums whose cheapest completion is within the limits."""
    kept = (step.points <= highest - later).all(axis=1)
    return step if kept.all() else _Step(step.points[kept], step.before[kept], step.block[kept], step.equals[kept])


def _traced(steps: list[_Step], pruned: list[_Step], order: list[int]) -> np.ndarray:
    """Return one combination for each of the last sums, int [n, stages], by walking back."""
    rows = np.zeros((len(steps[-1].points), len(order)), np.int64)
    place = np.arange(len(rows))
    for number in range(len(steps) - 1, 0, -1):
        rows[:, order[number]] = pruned[number].block[steps[number].block[place]]
        place = steps[number].before[place]
    rows[:, order[0]] = steps[0].block[place]
    return rows
