"""Sums: the non-dominated sums of one vector a stage, exactly, by merging stages and pruning after each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from donna_hw.errors import BadSetting
from donna_hw.search.dominance import kept

CHUNK = 1_000_000  # candidates held at once
MOST = 5_000_000  # partial sums kept; beyond it a search is not exact


@dataclass(frozen=True)
class Sums:
    """Non-dominated sums: vectors int [n, D]; rows int [n, stages], one choice that gives each; equals [n]: how many choices do."""

    vectors: np.ndarray
    rows: np.ndarray
    equals: np.ndarray

    def __len__(self) -> int:
        return len(self.vectors)

    def at(self, numbers: np.ndarray) -> Sums:
        """Return some of the sums."""
        return Sums(self.vectors[numbers], self.rows[numbers], self.equals[numbers])


def best_sums(stages: Sequence[np.ndarray], highest: np.ndarray | None = None) -> Sums:
    """Return every non-dominated sum of one vector a stage, all dimensions minimised, in the order of the first dimension.

    stages: int [blocks, D] each. highest: float [D], what a sum may be at most, infinite where it is free. A sum dominated by
    another of the same stages stays dominated whatever is added, so that merging and pruning lose none; one that no completion
    brings within `highest` is dropped at once. Raises `BadSetting` when more than 5,000,000 partial sums stand side by side.
    """
    width = stages[0].shape[1]
    limit = np.full(width, np.inf) if highest is None else np.asarray(highest, dtype=float)
    cheapest = np.array([stage.min(axis=0) if len(stage) else np.zeros(width) for stage in stages], dtype=float)
    # Counts are whole as long as all choices together can be counted in 64 bits.
    counts: type = np.int64 if np.sum(np.log2([max(len(stage), 1) for stage in stages])) < 63 else np.float64
    groups = []
    for number, stage in enumerate(stages):
        rows = np.zeros((len(stage), len(stages)), dtype=np.int32)
        rows[:, number] = np.arange(len(stage))
        spare = limit - (cheapest.sum(axis=0) - cheapest[number])
        groups.append(([number], _pruned(Sums(stage, rows, np.ones(len(stage), dtype=counts)), spare)))
    while len(groups) > 1:
        groups.sort(key=lambda group: len(group[1]))  # the two smallest first, so that few large products are made
        (first, a), (second, b), *others = groups
        members = first + second
        left = [number for number in range(len(stages)) if number not in members]
        groups = [(members, _product(a, b, limit - cheapest[left].sum(axis=0))), *others]
    found = groups[0][1]
    return found.at(np.lexsort(found.vectors.T[::-1]))


def _pruned(sums: Sums, spare: np.ndarray) -> Sums:
    sums = sums.at(np.flatnonzero((sums.vectors <= spare).all(axis=1)))
    numbers, equals = kept(sums.vectors, sums.equals)
    if len(numbers) > MOST:
        raise BadSetting(
            f"an exact front needs at most {MOST} partial sums", found=len(numbers), cure="search fewer costs, or with nsga2"
        )
    return Sums(sums.vectors[numbers], sums.rows[numbers], equals)


def _product(a: Sums, b: Sums, spare: np.ndarray) -> Sums:
    """Return the non-dominated sums of every pair."""
    found = Sums(a.vectors[:0], a.rows[:0], a.equals[:0])
    if len(b) < len(a):
        a, b = b, a
    step = max(1, CHUNK // max(len(b), 1))
    for start in range(0, len(a), step):
        part = a.at(np.arange(start, min(start + step, len(a))))
        vectors = (part.vectors[:, None] + b.vectors).reshape(-1, b.vectors.shape[1])
        numbers = np.flatnonzero((vectors <= spare).all(axis=1)) if np.isfinite(spare).any() else np.arange(len(vectors))
        equals = (part.equals[:, None] * b.equals).reshape(-1)
        best, merged = kept(vectors[numbers], equals[numbers])
        numbers = numbers[best]
        i, j = np.divmod(numbers, max(len(b), 1))
        fresh = Sums(vectors[numbers], part.rows[i] + b.rows[j], merged)  # a row is 0 where its stage is not summed yet
        found = _pruned(_joined(found, fresh), spare) if len(found) else fresh
    return found


def _joined(a: Sums, b: Sums) -> Sums:
    return Sums(
        np.concatenate([a.vectors, b.vectors]), np.concatenate([a.rows, b.rows]), np.concatenate([a.equals, b.equals])
    )
