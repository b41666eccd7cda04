"""Fronts against a comparison of every point with every other."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tiny_search import all_rows, found, tiny_problem

from donna_hw.search.pareto import unique_non_dominated_mask
from donna_hw.search.pareto_front import build_front


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@settings(max_examples=200, deadline=None)
@given(arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 4)))
def test_the_kept_are_those_no_other_dominates_and_of_equal_ones_the_first(points: np.ndarray) -> None:
    expected = [
        not any(dominates(other, point) for other in points) and not any((points[j] == point).all() for j in range(i))
        for i, point in enumerate(points)
    ]
    assert unique_non_dominated_mask(points.astype(float)).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(arrays(float, (30, 3), elements=st.floats(-1e6, 1e6)), st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_the_order(points: np.ndarray, random: np.random.Generator) -> None:
    order = list(range(len(points)))
    random.shuffle(order)
    kept, kept_shuffled = (
        points[unique_non_dominated_mask(points)],
        points[order][unique_non_dominated_mask(points[order])],
    )
    assert sorted(map(tuple, kept)) == sorted(map(tuple, kept_shuffled))


def test_no_points_have_an_empty_front() -> None:
    assert unique_non_dominated_mask(np.empty((0, 2))).tolist() == []


def test_a_front_is_ordered_by_the_first_cost_and_accuracy_rises_with_it() -> None:
    problem = tiny_problem()
    front = build_front(problem, all_rows(problem), evaluations=64)
    assert (np.diff(front.costs["chip"]) > 0).all()
    assert (np.diff(front.accuracy) > 0).all()


def test_the_frame_names_every_unit_and_reads_back_to_the_same_networks() -> None:
    problem = tiny_problem(costs=2)
    front = build_front(problem, all_rows(problem), evaluations=64)
    frame = front.to_frame()
    assert list(frame.columns) == [
        *("s0", "s1", "s2", "predicted_top1_percent", "predicted_std_percent", "extrapolated", "within_noise"),
        *("chip_s", "chip_std_s", "macs_mac", "macs_std_mac"),
    ]
    labels = frame[["s0", "s1", "s2"]].to_dict("records")
    assert found(np.array([problem.space.architecture_from_labels(record).blocks for record in labels])) == found(
        front.rows
    )
    np.testing.assert_allclose(frame["chip_s"], problem.costs[0].mean(front.rows), rtol=1e-5)
    np.testing.assert_allclose(frame["macs_std_mac"], problem.costs[1].std(front.rows), rtol=1e-2)
    np.testing.assert_allclose(frame["predicted_top1_percent"], front.accuracy, atol=1e-4)


def test_extrapolated_networks_are_marked() -> None:
    problem = tiny_problem(seed=1)
    front = build_front(problem, all_rows(problem), evaluations=64)
    worst = [max(problem.qualities[stage][m] for stage, m in enumerate(row)) for row in front.rows]
    assert front.extrapolated.tolist() == [value > 0.9 for value in worst]


@settings(max_examples=50, deadline=None)
@given(arrays(float, st.integers(1, 15), elements=st.floats(1e-6, 1e3)), st.data())
def test_a_spread_has_as_many_different_networks_as_wanted(levels: np.ndarray, data: st.DataObject) -> None:
    problem = tiny_problem()
    front = build_front(problem, all_rows(problem), evaluations=64)
    count = data.draw(st.integers(1, len(levels)))
    picks = front.select_log_spaced(count, levels)
    assert len(set(picks.tolist())) == count
    assert set(picks.tolist()) <= set(range(len(levels)))


def test_a_spread_is_even_in_the_logarithm_and_leaves_the_ends_out() -> None:
    problem = tiny_problem()
    front = build_front(problem, all_rows(problem), evaluations=64)
    assert front.select_log_spaced(3, 10.0 ** np.arange(5)).tolist() == [1, 2, 3]
    assert front.select_log_spaced(1, np.array([1.0, 9.0, 10.0, 99.0, 100.0])).tolist() == [2]
