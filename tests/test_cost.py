"""Costs of whole networks: sums by brute force, corrections whose answers are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import QUICK, FakeBackend, fake_device, fake_machine, tiny_space
from hypothesis import given
from hypothesis import strategies as st

from donna_hw.costs.correction import Correction, fit_correction
from donna_hw.costs.table_cost import TableCost
from donna_hw.errors import BadSetting, BadTable, NothingToFit
from donna_hw.profiling.profile import profile_space
from donna_hw.spaces import Axis
from donna_hw.workers.local import here

SIZES = (3, 4, 2)


def random_cost(seed: int, correction: Correction | None = None) -> TableCost:
    rng = np.random.default_rng(seed)
    blocks = tuple(rng.uniform(1e-4, 1e-2, size) for size in SIZES)
    errors = tuple(rng.uniform(1e-6, 1e-4, size) for size in SIZES)
    return TableCost("fake", "s", blocks, errors, 0.003, 2e-5, correction or Correction())


def every_row() -> np.ndarray:
    return np.stack([axis.ravel() for axis in np.meshgrid(*(np.arange(size) for size in SIZES), indexing="ij")], axis=1)


CORRECTIONS = st.builds(Correction, st.floats(0.1, 3), st.floats(-1e-3, 1e-2), st.floats(0, 0.2))


@given(seed=st.integers(0, 1000), correction=CORRECTIONS)
def test_the_mean_is_the_brute_force_sum(seed: int, correction: Correction) -> None:
    cost = random_cost(seed, correction)
    rows = every_row()
    sums = [
        correction.offset + correction.scale * (cost.fixed + sum(cost.blocks[s][m] for s, m in enumerate(row)))
        for row in rows
    ]
    assert cost.mean(rows) == pytest.approx(sums, rel=1e-12)


@given(seed=st.integers(0, 1000), correction=CORRECTIONS)
def test_the_parts_add_up_to_the_mean(seed: int, correction: Correction) -> None:
    cost = random_cost(seed, correction)
    parts = cost.parts()
    assert parts.sharpness is None
    rows = every_row()
    assert cost.mean(rows) == pytest.approx(parts.joined(parts.sums(rows)), rel=1e-12)


@given(seed=st.integers(0, 1000), correction=CORRECTIONS)
def test_the_std_adds_all_errors_in_quadrature(seed: int, correction: Correction) -> None:
    cost = random_cost(seed, correction)
    for row in every_row():
        variance = cost.fixed_error**2 + sum(cost.errors[s][m] ** 2 for s, m in enumerate(row))
        mean = float(cost.mean(row[None])[0])
        expected = np.sqrt(correction.scale**2 * variance + (correction.residual * mean) ** 2)
        assert cost.std(row[None])[0] == pytest.approx(expected, rel=1e-12)


@given(seed=st.integers(0, 1000), correction=CORRECTIONS)
def test_the_std_of_a_difference_cancels_what_is_shared(seed: int, correction: Correction) -> None:
    cost = random_cost(seed, correction)
    rows = every_row()
    a, b = rows, np.random.default_rng(seed).permutation(rows)
    found = cost.std_of_difference(a, b)
    assert (found == cost.std_of_difference(b, a)).all()
    assert (cost.std_of_difference(a, a) == 0).all()
    bound = np.sqrt(cost.std(a) ** 2 + cost.std(b) ** 2)
    assert (found <= bound * (1 + 1e-12)).all()
    one = rows[[0]]
    other = one + np.array([[1, 0, 0]])
    table = cost.errors[0][0] ** 2 + cost.errors[0][1] ** 2
    residual = correction.residual**2 * (cost.mean(one) ** 2 + cost.mean(other) ** 2) / len(SIZES)
    expected = np.sqrt(correction.scale**2 * table + residual)
    assert cost.std_of_difference(one, other) == pytest.approx(expected, rel=1e-12)


def test_a_cost_is_made_from_a_table_that_covers_the_space(tmp_path: Path) -> None:
    space = tiny_space()
    table = profile_space(space, fake_device(FakeBackend(fake_machine(space))), tmp_path, QUICK, workers=here)
    cost = TableCost.of(space, table)
    assert (cost.name, cost.unit) == ("fake", "s")
    values = {(r["part"], r["kernel"], r["activation"]): r["median_s"] for r in table.frame.to_dict("records")}
    for row in space.random_rows(space.size, np.random.default_rng(0)):
        keys = [(s.name, *map(str, s.choice(int(m)).values())) for s, m in zip(space.stages, row, strict=True)]
        total = values["stem", "", ""] + values["head", "", ""] + sum(values[key] for key in keys)
        assert cost.mean(row[None])[0] == pytest.approx(total, rel=1e-12)
    wide = replace(space, global_axes=(Axis("resolution", (4, 8)),))
    with pytest.raises(BadSetting, match="cannot vary them; found 'resolution'"):
        TableCost.of(wide, table)
    with pytest.raises(BadTable, match="missing"):
        TableCost.of(tiny_space((1, 3, 5)), table)


@given(
    st.floats(0.2, 3),
    st.floats(0, 0.01),
    st.lists(st.floats(1e-3, 1e-1), min_size=4, max_size=30, unique_by=lambda x: round(x, 4)),
)
def test_exact_data_give_back_scale_and_offset(scale: float, offset: float, sums: list[float]) -> None:
    predicted = np.array(sums)
    fit = fit_correction(predicted, offset + scale * predicted)
    assert (fit.scale, fit.offset) == (pytest.approx(scale, rel=1e-6), pytest.approx(offset, rel=1e-6, abs=1e-8))
    assert fit.networks == len(sums)
    assert fit.residual == pytest.approx(0, abs=1e-7)
    assert fit.mape_loo == pytest.approx(0, abs=1e-5)
    before = 100 * np.mean([abs(p / (offset + scale * p) - 1) for p in sums])
    assert fit.mape_before == pytest.approx(before, rel=1e-9, abs=1e-9)


@given(st.integers(0, 500), st.integers(4, 12))
def test_the_fit_is_the_weighted_regression_of_numpy_and_leaves_each_one_out(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    predicted = np.linspace(0.01, 0.05, count)
    measured = (0.002 + 1.3 * predicted) * np.exp(0.05 * rng.standard_normal(count))

    def line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.polyfit(x, y, 1, w=1 / y)  # weights 1/y turn absolute errors into relative ones

    fit = fit_correction(predicted, measured)
    scale, offset = line(predicted, measured)
    assert (fit.scale, fit.offset) == (pytest.approx(scale, rel=1e-8), pytest.approx(offset, rel=1e-6, abs=1e-10))
    errors = np.polyval([scale, offset], predicted) / measured - 1
    assert fit.residual == pytest.approx(np.sqrt((errors**2).sum() / (count - 2)), rel=1e-8)
    left_out = [
        abs(np.polyval(line(np.delete(predicted, i), np.delete(measured, i)), predicted[i]) / measured[i] - 1)
        for i in range(count)
    ]
    assert fit.mape_loo == pytest.approx(100 * np.mean(left_out), rel=1e-7)


def test_a_corrected_cost_hits_the_networks_that_it_was_fitted_on() -> None:
    plain = random_cost(0)
    rows = every_row()[::3]
    measured = 0.004 + 1.5 * plain.mean(rows)
    fitted = replace(plain, correction=fit_correction(plain.mean(rows), measured))
    assert fitted.mean(rows) == pytest.approx(measured, rel=1e-9)
    every = every_row()
    assert fitted.mean(every) == pytest.approx(0.004 + 1.5 * plain.mean(every), rel=1e-9)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_than_four_networks_fit_nothing(count: int) -> None:
    values = np.linspace(1, 2, count)
    with pytest.raises(NothingToFit, match=f"at least 4 whole networks; found {count}"):
        fit_correction(values, values)


def test_a_table_that_runs_against_its_networks_is_refused() -> None:
    predicted = np.linspace(1, 2, 6)
    with pytest.raises(BadTable, match="a scale of -"):
        fit_correction(predicted, 5 - predicted)
