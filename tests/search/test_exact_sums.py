"""Undominated sums against every combination: ties, limits, slack, chunks, negative numbers."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from donna_hw.errors import ConfigError
from donna_hw.search import exact_sums as sums
from donna_hw.search.exact_sums import TooManySumsError, non_dominated_sums


@st.composite
def some_stages(draw: st.DrawFn) -> list[np.ndarray]:
    width = draw(st.integers(1, 4))
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    return [draw(arrays(np.int64, (size, width), elements=st.integers(-4, 4))) for size in sizes]


def every_sum(stages: list[np.ndarray]) -> list[tuple[int, ...]]:
    return [tuple(np.sum(choice, axis=0).tolist()) for choice in product(*stages)]


def best(points: list[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    count = Counter(points)
    return {
        p: n
        for p, n in count.items()
        if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in count)
    }


@settings(max_examples=150, deadline=None)
@given(some_stages(), st.sampled_from([1, 7, 1000]))
def test_sums_rows_and_counts_are_those_of_every_combination(stages: list[np.ndarray], chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "CHUNK", chunk)
        found = non_dominated_sums(stages)
    points = [tuple(point) for point in found.points.tolist()]
    assert dict(zip(points, found.multiplicity.tolist(), strict=True)) == best(every_sum(stages))
    assert points == sorted(points)
    for row, point in zip(found.rows, points, strict=True):
        assert tuple(sum(stage[m] for stage, m in zip(stages, row, strict=True))) == point


@settings(max_examples=150, deadline=None)
@given(some_stages(), st.data())
def test_limits_leave_the_best_of_what_is_within_them(stages: list[np.ndarray], data: st.DataObject) -> None:
    width = stages[0].shape[1]
    limit = st.one_of(st.just(np.inf), st.floats(-12, 12))
    highest = np.array(data.draw(st.lists(limit, min_size=width, max_size=width)))
    found = non_dominated_sums(stages, highest)
    within = [point for point in every_sum(stages) if (np.array(point) <= highest).all()]
    assert dict(zip(map(tuple, found.points.tolist()), found.multiplicity.tolist(), strict=True)) == best(within)


@settings(max_examples=150, deadline=None)
@given(some_stages(), st.floats(-12, 12))
def test_a_slack_number_only_needs_to_be_within(stages: list[np.ndarray], limit: float) -> None:
    wide = [np.column_stack([stage, stage[::-1, 0]]) for stage in stages]
    width = stages[0].shape[1]
    found = non_dominated_sums(wide, np.r_[np.full(width, np.inf), limit], np.arange(width + 1) == width)
    truth = best([point[:-1] for point in every_sum(wide) if point[-1] <= limit])
    points = [tuple(point) for point in found.points[:, :-1].tolist()]
    assert set(points) == truth.keys()
    assert all(1 <= n <= truth[point] for point, n in zip(points, found.multiplicity.tolist(), strict=True))
    assert (found.points[:, -1] == 0).all()
    assert all(sum(int(stage[m, -1]) for stage, m in zip(wide, row, strict=True)) <= limit for row in found.rows)


def test_a_limit_that_all_are_within_costs_no_dimension_and_no_count() -> None:
    rng = np.random.default_rng(0)
    stages = [rng.integers(0, 9, (40, 3)) for _ in range(4)]
    plain = non_dominated_sums([stage[:, :2] for stage in stages])
    slack = non_dominated_sums(stages, np.array([np.inf, np.inf, 4 * 9]), np.array([False, False, True]))
    assert plain.points.tolist() == slack.points[:, :2].tolist()
    assert plain.multiplicity.tolist() == slack.multiplicity.tolist()


def test_equals_of_more_combinations_than_64_bits_count_are_floats() -> None:
    found = non_dominated_sums([np.zeros((2**10, 2), np.int64)] * 7)
    assert found.multiplicity.tolist() == [2.0**70]


def test_more_sums_than_may_be_kept_are_refused_and_so_are_sums_beyond_two_to_the_53(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sums, "MAX_PARTIAL_SUMS", 10)
    line = np.arange(8)
    with pytest.raises(TooManySumsError, match="too many partial sums for an exact front: the limit is 10"):
        non_dominated_sums([np.stack([line, -line], axis=1) * 9**i for i in range(3)])
    with pytest.raises(ConfigError, match=r"below 2\^53"):
        non_dominated_sums([np.array([[0, 0], [2**52, 1]])] * 2)


def test_a_stage_without_blocks_has_no_sum() -> None:
    found = non_dominated_sums([np.zeros((3, 2), np.int64), np.zeros((0, 2), np.int64)])
    assert found.points.shape == (0, 2)
    assert found.rows.shape == (0, 2)
