"""Correcting a table by networks chosen one batch after another."""

from __future__ import annotations

import numpy as np
import pytest
from cost_examples import made_basis, noisy, sum_of
from fakes import tiny_space

from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.correction import CorrectionConfig, fit_correction, sample_candidates
from donna_hw.errors import ConfigError
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage

NAMES = ("made", "s")


def no_cell(**_: object) -> None:
    raise AssertionError("numbers only")


def made_space(stages: int = 5) -> Space:
    axes = (Axis("kernel", (3, 5, 7)), Axis("style", ("plain", "rich")))
    return Space("made", "for tests", (3, 8, 8), (), tuple(Stage(f"s{i}", axes, no_cell) for i in range(stages)), ())  # type: ignore[arg-type]


CANDIDATES = sample_candidates(made_space(), CorrectionConfig(30))


class Device:
    """Counts what it is asked to measure; it runs half as fast again as the table says."""

    def __init__(self, basis: FeatureBasis, relative: float) -> None:
        self.basis, self.relative, self.asked = basis, relative, []  # type: ignore[var-annotated]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        self.asked += [tuple(row) for row in rows.tolist()]
        return noisy(1.5e3 * sum_of(self.basis, rows), self.relative, len(self.asked))


def test_as_many_as_asked_are_measured_each_once() -> None:
    device = Device(made_basis(errors=True), 0.01)
    fit = fit_correction(NAMES, device.basis, CANDIDATES, device, CorrectionConfig(25))
    assert len(device.asked) == len(set(device.asked)) == 25 == len(fit.cost.measured)
    assert fit.mape_percent < 3 < fit.prior_mape_percent
    again = fit_correction(NAMES, device.basis, CANDIDATES, Device(device.basis, 0.01), CorrectionConfig(25))
    assert (again.cost.rows == fit.cost.rows).all()


def test_it_stops_where_the_error_is_low_enough() -> None:
    device = Device(made_basis(errors=True), 0.002)
    fit = fit_correction(NAMES, device.basis, CANDIDATES, device, CorrectionConfig(60, target_error_percent=3))
    assert len(device.asked) < 60
    assert fit.mape_percent <= 3


def test_a_basis_that_expects_nothing_begins_with_networks_drawn() -> None:
    device = Device(made_basis(), 0.01)
    fit = fit_correction(NAMES, device.basis, CANDIDATES, device, CorrectionConfig(20))
    assert len(device.asked) == 20
    assert np.isnan(fit.prior_mape_percent)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_networks must be at least 4; got 3"):
        CorrectionConfig(3)
    with pytest.raises(ConfigError, match="has only 16 networks; measure at most that many, instead of 17"):
        sample_candidates(tiny_space(), CorrectionConfig(17))


def test_candidates_are_drawn_by_the_seed_and_are_all_of_a_small_space() -> None:
    assert len(np.unique(sample_candidates(tiny_space(), CorrectionConfig(10)), axis=0)) == 16
    assert len(CANDIDATES) == 500
    assert (sample_candidates(made_space(), CorrectionConfig(30)) == CANDIDATES).all()
    assert (sample_candidates(made_space(), CorrectionConfig(30, seed=1)) != CANDIDATES).any()
