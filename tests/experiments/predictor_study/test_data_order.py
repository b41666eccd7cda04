"""Which networks of a library chance chose, and which were chosen by what they tell."""

from __future__ import annotations

import numpy as np

from donna_hw.experiments.predictor_study.data import NetworkGroup, _sort_library


def test_all_but_the_first_networks_count_as_further_though_the_recipe_asks_for_fewer_now() -> None:
    """Networks 7 and 8 were chosen, in this order, and 9 by a recipe that asked for more; 1 and 2 are the first."""
    numbers = np.array([9, 2, 8, 1, 7])
    group = NetworkGroup(numbers[:, None], numbers[:, None] * 10.0, numbers * 1.0)
    found, further = _sort_library(group, np.array([[1], [2]]), np.array([[7], [8]]))
    assert further == 3
    assert found.rows[:, 0].tolist() == [2, 1, 7, 8, 9]
    assert found.top1_percent.tolist() == [20, 10, 70, 80, 90]
    assert found.stitched_percent.tolist() == [2, 1, 7, 8, 9]
    assert _sort_library(group, numbers[:, None], np.empty((0, 1), int))[1] == 0
