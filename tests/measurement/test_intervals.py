"""Intervals against their definitions, and samples that are no times."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from donna_hw.errors import MeasurementError
from donna_hw.measurement.intervals import difference_interval, median_interval, rounds_interval, validate_samples


def coverage(count: int, k: int) -> Fraction:
    """Probability that the k-th smallest and k-th largest of `count` samples (k from 1) enclose the median, exactly."""
    outside = sum(comb(count, i) for i in range(k))
    return 1 - Fraction(2 * outside, 2**count)


@pytest.mark.parametrize("count", range(1, 201))
def test_the_median_interval_is_the_tightest_pair_that_covers_95_percent(count: int) -> None:
    samples = np.random.default_rng(count).permutation(np.arange(1.0, count + 1))
    interval = median_interval(samples)
    k = int(interval.low)  # the samples are 1..n, so a sample is its own rank
    assert interval.high == count + 1 - k
    if count < 6:
        assert k == 1
        assert coverage(count, 1) < Fraction(95, 100)
    else:
        assert coverage(count, k) >= Fraction(95, 100) > coverage(count, k + 1)


@given(st.lists(st.floats(1e-7, 10), min_size=2, max_size=20), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_rounds_interval_is_scipys_t_interval_of_the_logarithms(medians: list[float], level: float) -> None:
    logs = np.log(medians)
    if np.ptp(logs) < 1e-9:
        logs = logs + np.linspace(0, 1, logs.size)  # scipy's interval of equal values is not a number
    low, high = stats.t.interval(level, logs.size - 1, logs.mean(), stats.sem(logs))
    interval = rounds_interval(np.exp(logs), level=level)
    assert (interval.low, interval.high) == pytest.approx((np.exp(low), np.exp(high)), rel=1e-9)
    assert interval.level == level


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=20), st.floats(0, 1))
def test_a_least_spread_widens_what_looks_calmer_and_nothing_else(rounds: list[float], least: float) -> None:
    own = float(np.log(rounds).std(ddof=1))
    plain, guarded = rounds_interval(np.array(rounds)), rounds_interval(np.array(rounds), least)
    if own >= least:
        assert guarded == plain
    elif own > 1e-6:  # below it rounding is all the spread there is
        widths = [np.log(one.high / one.low) for one in (plain, guarded)]
        assert widths[1] / widths[0] == pytest.approx(least / own, rel=1e-6)
    difference = difference_interval(np.array(rounds), least)
    spread = max(float(np.std(rounds, ddof=1)), least)
    half = stats.t.ppf(0.975, len(rounds) - 1) * spread / np.sqrt(len(rounds))
    assert difference.half_width == pytest.approx(half, rel=1e-9, abs=1e-12)


def test_equal_rounds_have_an_interval_of_no_width() -> None:
    interval = rounds_interval(np.full(5, 0.003))
    assert interval.low == pytest.approx(0.003, rel=1e-12)
    assert interval.high == pytest.approx(0.003, rel=1e-12)


@pytest.mark.parametrize("bad", [np.nan, 0.0, -0.0, -1e-9, np.inf, -np.inf])
def test_a_sample_that_is_no_time_is_refused(bad: float) -> None:
    with pytest.raises(MeasurementError, match=r"block 7: .*above 0 s; got .* among 3 samples"):
        validate_samples(np.array([0.1, bad, 0.2]), "block 7")


def test_no_samples_are_refused() -> None:
    with pytest.raises(MeasurementError, match="no samples"):
        validate_samples(np.array([]), "block 7")


def test_good_samples_pass_unchanged() -> None:
    assert (validate_samples(np.array([1e-9, 2.0]), "x") == [1e-9, 2.0]).all()
