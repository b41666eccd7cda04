"""Random networks of a front benchmark are of equal latency by all measurements at its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from donna_hw.experiments.front_benchmark import benchmark as module
from donna_hw.pipeline.recipe_schema import FrontBenchmarkConfig


def example_benchmark(latencies: dict[int, float], asked: list[list[int]], **part: Any) -> Any:
    """A benchmark whose networks are numbers, each of a known latency; it records which were measured together."""

    def measure(rows: np.ndarray) -> np.ndarray:
        asked.append([int(row[0]) for row in rows])
        return np.array([latencies[int(row[0])] for row in rows])

    recipe = SimpleNamespace(front_benchmark=FrontBenchmarkConfig(**part), seed=0)
    return SimpleNamespace(run=SimpleNamespace(recipe=recipe), measure=measure, problem=None, cost=None)


def rows(*numbers: int) -> np.ndarray:
    return np.array([[number] for number in numbers])


def test_the_first_network_near_enough_is_taken_and_all_levels_are_measured_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Level 0 has 11 after 10; level 1 has 20 at once; level 2 has none among its two; level 3 has no candidate."""
    drawn = [rows(10, 11, 12), rows(20, 21), rows(30, 31), np.empty((0, 1), int)]
    monkeypatch.setattr(module, "sample_near_cost", lambda *_, **__: drawn)
    asked: list[list[int]] = []
    benchmark = example_benchmark({10: 1.1, 11: 1.01, 20: 1.99, 30: 4.0, 31: 2.0}, asked)
    found = module._random_peers(benchmark, rows(0), np.array([1.0, 2.0, 3.0, 4.0]))
    assert {level: int(row[0]) for level, row in found.items()} == {0: 11, 1: 20}
    assert asked == [[10, 20, 30], [11, 31]]


def test_no_more_networks_are_tried_than_the_recipe_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sample_near_cost", lambda *_, **__: [rows(1, 2, 3)])
    asked: list[list[int]] = []
    benchmark = example_benchmark({1: 9.0, 2: 9.0, 3: 1.0}, asked, tries=2)
    assert module._random_peers(benchmark, rows(0), np.array([1.0])) == {}
    assert asked == [[1], [2]]


def test_a_network_that_turned_out_slower_or_faster_is_left_out() -> None:
    benchmark = example_benchmark({1: 1.019, 2: 2.05, 3: 2.9}, [])
    found = module._filter_equal_latency(
        benchmark, {0: rows(1)[0], 2: rows(2)[0], 3: rows(3)[0]}, np.array([1.0, 7.0, 2.0, 3.0])
    )
    assert {level: int(row[0]) for level, row in found.items()} == {0: 1}
    assert module._filter_equal_latency(benchmark, {}, np.array([1.0])) == {}
