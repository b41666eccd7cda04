"""Costs of whole networks from a table alone: sums by brute force, and a launch floor of two columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import QUICK, FakeBackend, fake_device, fake_machine, tiny_space
from hypothesis import given
from hypothesis import strategies as st

from donna_hw.costs.base import CostTerms
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import TableError
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.spaces import Axis

SIZES = (3, 4, 2)


def random_cost(seed: int, sharpness: float | None = None, residual: float = 0.0) -> TableCost:
    rng, parts = np.random.default_rng(seed), 1 if sharpness is None else 2
    blocks = tuple(tuple(rng.uniform(1e-4, 1e-2, size) for size in SIZES) for _ in range(parts))
    errors = tuple(tuple(rng.uniform(1e-6, 1e-4, size) for size in SIZES) for _ in range(parts))
    each = CostTerms(blocks, (0.003,) * parts, sharpness)
    return TableCost("fake", "s", (each,), (errors,), np.full((1, parts), 2e-5), residual_std=residual)


def every_row() -> np.ndarray:
    return np.stack([axis.ravel() for axis in np.meshgrid(*(np.arange(size) for size in SIZES), indexing="ij")], axis=1)


@given(seed=st.integers(0, 1000))
def test_the_mean_is_the_brute_force_sum(seed: int) -> None:
    cost = random_cost(seed)
    sums = [0.003 + sum(cost.terms_by_setting[0].terms[0][s][m] for s, m in enumerate(row)) for row in every_row()]
    assert cost.mean(every_row()) == pytest.approx(sums, rel=1e-12)
    parts = cost.additive_terms()
    assert parts.combine(parts.sums(every_row())) == pytest.approx(sums, rel=1e-12)


@given(seed=st.integers(0, 1000), sharpness=st.floats(2, 30))
def test_a_floor_is_the_smooth_maximum_of_both_sums(seed: int, sharpness: float) -> None:
    cost = random_cost(seed, sharpness)
    both = [
        [0.003 + sum(term[s][m] for s, m in enumerate(row)) for term in cost.terms_by_setting[0].terms]
        for row in every_row()
    ]
    expected = [(a**sharpness + b**sharpness) ** (1 / sharpness) for a, b in both]
    assert cost.mean(every_row()) == pytest.approx(expected, rel=1e-9)
    assert (cost.mean(every_row()) >= np.max(both, axis=1)).all()


@given(seed=st.integers(0, 1000), residual=st.floats(0, 0.1))
def test_the_std_adds_all_errors_in_quadrature(seed: int, residual: float) -> None:
    cost = random_cost(seed, residual=residual)
    for row in every_row():
        variance = 2e-5**2 + sum(cost.errors[0][0][s][m] ** 2 for s, m in enumerate(row))
        expected = np.sqrt(variance + (residual * cost.mean(row[None])[0]) ** 2)
        assert cost.std(row[None])[0] == pytest.approx(expected, rel=1e-12)


@given(seed=st.integers(0, 1000), floor=st.booleans())
def test_the_std_of_a_difference_cancels_what_is_shared(seed: int, floor: bool) -> None:
    cost = random_cost(seed, 8.0 if floor else None, 0.05)
    rows = every_row()
    a, b = rows, np.random.default_rng(seed).permutation(rows)
    found = cost.std_of_difference(a, b)
    assert found == pytest.approx(cost.std_of_difference(b, a), rel=1e-12)
    assert (cost.std_of_difference(a, a) == 0).all()
    assert (found <= np.sqrt(cost.std(a) ** 2 + cost.std(b) ** 2) * (1 + 1e-12)).all()


def test_a_cost_is_made_from_a_table_that_covers_the_space(tmp_path: Path) -> None:
    space = tiny_space()
    table = profile_space(
        space, fake_device(FakeBackend(fake_machine(space))), tmp_path, QUICK, workers=create_in_process_workers
    )
    cost = TableCost.of(space, table)
    assert (cost.name, cost.unit) == ("fake", "s")
    values = {(r["part"], r["kernel"], r["activation"]): r["median_s"] for r in table.frame.to_dict("records")}
    for row in space.random_rows(space.size, np.random.default_rng(0)):
        keys = [(s.name, *map(str, s.choice(int(m)).values())) for s, m in zip(space.stages, row, strict=True)]
        total = values["stem", "", ""] + values["head", "", ""] + sum(values[key] for key in keys)
        assert cost.mean(row[None])[0] == pytest.approx(total, rel=1e-12)
    wide = replace(space, global_axes=(Axis("resolution", (4, 8)),))
    with pytest.raises(TableError, match="no column resolution, only part, kernel"):
        TableCost.of(wide, table)
    with pytest.raises(TableError, match="missing"):
        TableCost.of(tiny_space((1, 3, 5)), table)
