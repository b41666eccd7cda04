"""Dominance in one to five dimensions against a comparison of every point with every other."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from donna_hw.errors import ConfigError
from donna_hw.search.pareto import MAX_EXACT_INT, non_dominated_mask, unique_non_dominated, unique_non_dominated_mask

shapes = st.tuples(st.integers(0, 25), st.integers(1, 5))
few = arrays(np.int64, shapes, elements=st.integers(-2, 2))


def compared(points: np.ndarray) -> list[bool]:
    return [not any((a <= b).all() and (a < b).any() for a in points) for b in points]


@settings(max_examples=200, deadline=None)
@given(few, st.booleans())
def test_the_undominated_are_those_that_no_other_beats_and_equal_ones_all_stay(points: np.ndarray, whole: bool) -> None:
    assert non_dominated_mask(points if whole else points / 8).tolist() == compared(points)


@settings(max_examples=200, deadline=None)
@given(few)
def test_merged_has_each_undominated_vector_once_the_first_of_its_equals_and_all_counts(points: np.ndarray) -> None:
    counts = np.arange(1, len(points) + 1)
    numbers, sums = unique_non_dominated(points, counts)
    expected: Counter[tuple[int, ...]] = Counter()
    for point, stays, count in zip(points.tolist(), compared(points), counts.tolist(), strict=True):
        expected[tuple(point)] += count * stays
    found = [tuple(points[number].tolist()) for number in numbers]
    assert dict(zip(found, sums.tolist(), strict=True)) == {point: n for point, n in expected.items() if n}
    assert found == sorted(found)
    for number, point in zip(numbers, found, strict=True):
        assert not any(tuple(other) == point for other in points[:number].tolist())
    assert unique_non_dominated_mask(points).nonzero()[0].tolist() == sorted(numbers.tolist())


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_whole_numbers_that_differ_by_one_are_told_apart_up_to_the_largest(columns: int) -> None:
    top = np.full((2, columns), MAX_EXACT_INT - 2)
    top[1, -1] += 1
    assert non_dominated_mask(top).tolist() == [True, False]


@pytest.mark.parametrize("sign", [-1, 1])
def test_whole_numbers_that_floats_cannot_tell_apart_are_refused(sign: int) -> None:
    with pytest.raises(ConfigError, match=r"below 2\^53"):
        non_dominated_mask(np.array([[sign * MAX_EXACT_INT, 0, 0], [0, 1, 1]]))


def test_no_number_and_no_column_are_refused() -> None:
    with pytest.raises(ConfigError):
        non_dominated_mask(np.array([[np.nan, 1.0]]))
    with pytest.raises(ConfigError):
        non_dominated_mask(np.empty((3, 0)))
