"""The link between accuracies and sums: its ceiling, its bend, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from donna_hw.errors import ConfigError
from donna_hw.predictors.saturating import SaturationLink, fit_link


def test_the_ceiling_is_the_teachers_unless_a_network_is_close_to_it() -> None:
    top1 = np.array([80.0, 82.0, 84.0])
    gap = 1.0  # quartiles of 81 and 83
    assert fit_link(top1, 90.0) == SaturationLink(90.0, gap)
    assert fit_link(top1, 84.5) == SaturationLink(84 + gap, gap)
    assert fit_link(top1) == SaturationLink(84 + gap, gap)
    assert fit_link(np.array([20.0, 80, 82, 82, 83, 84]), 90.0).gap_percent < 1.5  # a poor corner widens no gap
    assert fit_link(np.full(5, 70.0)) == SaturationLink(70.1, 0.1)
    assert fit_link(np.array([99.9, 100.0]), 99.0) == SaturationLink(100.0, 0.1)


@given(st.floats(1, 100), st.floats(0.5, 0.999))
def test_the_way_back_undoes_the_link_above_half_of_the_ceiling(ceiling: float, share: float) -> None:
    link, top1 = SaturationLink(ceiling, 1e-9), np.array([ceiling * share])
    accuracy, slope = link.inverse(link.transform(top1))
    assert accuracy[0] == pytest.approx(top1[0], rel=1e-9)
    assert slope[0] == pytest.approx(ceiling - top1[0], rel=1e-6)  # d accuracy / d link = exp(-link)


@given(st.floats(1, 100), st.floats(-50, 50), st.floats(0, 5))
def test_the_way_back_grows_stays_above_zero_and_below_the_ceiling(ceiling: float, at: float, step: float) -> None:
    low, high = SaturationLink(ceiling, 0.1).inverse(np.array([at, at + step]))[0]
    assert 0 < low <= high <= ceiling


@pytest.mark.parametrize(("top1", "ceiling"), [([101.0], 90.0), ([-1.0], 90.0), ([50.0], 101.0)])
def test_values_that_are_not_percentages_are_refused(top1: list[float], ceiling: float) -> None:
    with pytest.raises(ConfigError, match=r"must be in 0\.\.100 %; got"):
        fit_link(np.array(top1), ceiling)
