"""The bound on the gap: never below what the best of all networks gains, and zero where the front is the best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_search import all_rows, tiny_aim, with_errors

from donna_hw.search.aim import front_of
from donna_hw.search.exact import exact_front
from donna_hw.search.gap import gap_percent
from donna_hw.search.methods import SearchSettings, search
from donna_hw.search.robust import Robust


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_bound_holds_for_every_network(seed: int) -> None:
    rng, plain = np.random.default_rng(seed), tiny_aim(seed)
    uncertain = with_errors(plain.costs[0], [rng.uniform(0, 1e-4, 4) for _ in range(3)])  # type: ignore[arg-type]
    aim = replace(plain, costs=[Robust(uncertain, 0.9)])
    front = search(aim, SearchSettings("auto", 24, 8, seed))
    assert not front.exact
    assert front.gap is not None
    every = front_of(aim, all_rows(aim), 64)
    (cost,), (best,) = front.costs.values(), every.costs.values()
    for accuracy, value in zip(every.accuracy, best, strict=True):
        if (cost <= value).any():
            assert accuracy - front.accuracy[cost <= value].max() <= front.gap + 1e-9


def test_an_exact_front_has_no_gap() -> None:
    aim = tiny_aim(2, costs=2)
    front = exact_front(aim)
    assert gap_percent(front, front) == 0
    assert gap_percent(front_of(aim, all_rows(aim)[::9], 8), front) > 0
