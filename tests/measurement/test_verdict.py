"""Verdicts with their evidence, on samples whose trouble is declared."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from donna_hw.measurement.environment import Environment
from donna_hw.measurement.intervals import difference_interval, rounds_interval
from donna_hw.measurement.measurement import Measurement, Samples, Trial
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.telemetry import Telemetry
from donna_hw.measurement.verdict import VERDICTS, Verdict, evaluate_measurement

PLAIN = Protocol("plain", 1, 0, 4, "median")
HERE = Environment({"device_model": "fake"})


def measured(
    medians_s: np.ndarray, *, readings: list[Telemetry] | None = None, cpu_share: float | None = None
) -> Measurement:
    """One visit of four equal runs for each median."""
    visits = []
    for n, median in enumerate(medians_s):
        wall = np.full(4, median)
        samples = Samples(wall, None if cpu_share is None else cpu_share * wall)
        visits.append(Trial(n, samples, np.empty(0), telemetry=readings[n] if readings else Telemetry()))
    return Measurement(tuple(visits), PLAIN, HERE)


def clocks(*mhz: float | None) -> list[Telemetry]:
    return [Telemetry(clock_hz=None if value is None else value * 1e6) for value in mhz]


RISING = np.linspace(1.0, 1.1, 11)
WILD = np.array([1.0, 1.5] * 5)


def test_steady_rounds_are_trusted_and_say_how_narrow_they_are() -> None:
    medians = np.array([1.0, 1.02] * 4)
    half = rounds_interval(medians).half_width / 1.01
    assert evaluate_measurement(measured(medians)) == Verdict(
        "trusted", f"95 % interval within {100 * half:.2g} % over 8 rounds"
    )


def test_the_devices_own_reasons_for_throttling_are_counted() -> None:
    readings = (
        [Telemetry(throttle_reasons=("heat",))] * 3
        + [Telemetry(throttle_reasons=("power", "heat"))]
        + [Telemetry()] * 4
    )
    found = evaluate_measurement(measured(np.ones(8), readings=readings))
    assert found == Verdict("throttled", "of 8 trials the device reports heat in 4, power in 1")


def test_a_clock_below_three_quarters_of_its_highest_is_throttling() -> None:
    found = evaluate_measurement(measured(np.ones(4), readings=clocks(1980, 1980, 1484, 990)))
    assert found == Verdict("throttled", "in 2 of 4 trials the clock fell from 1980 to 990 MHz")


@pytest.mark.parametrize("readings", [clocks(2000, 1500, 2000), clocks(None, None, None), clocks(500, 500, 500)])
def test_a_clock_of_three_quarters_a_low_one_and_none_are_no_throttling(readings: list[Telemetry]) -> None:
    assert evaluate_measurement(measured(np.ones(3), readings=readings)).name == "trusted"


def test_a_clock_is_judged_among_the_visits_that_read_it() -> None:
    found = evaluate_measurement(measured(np.ones(4), readings=clocks(None, 1000, 500, None)))
    assert found == Verdict("throttled", "in 1 of 2 trials the clock fell from 1000 to 500 MHz")


def test_time_that_the_cpu_spent_elsewhere_is_told_as_a_share() -> None:
    found = evaluate_measurement(measured(np.ones(8), cpu_share=0.62))
    assert found == Verdict("preempted", "the CPU worked on it for only 62 % of the time that passed")
    assert evaluate_measurement(measured(np.ones(8), cpu_share=0.9)).name == "trusted"


@pytest.mark.parametrize(("medians", "word"), [(RISING, "rose"), (RISING[::-1], "fell")])
def test_a_trend_is_told_with_its_direction_and_size(medians: np.ndarray, word: str) -> None:
    share = 100 * 0.1 / 1.05  # a straight line's own slope over its median
    assert evaluate_measurement(measured(medians)) == Verdict("drifting", f"it {word} by {share:.2g} % over 11 rounds")


def test_a_trend_below_five_percent_is_none_however_sure() -> None:
    small = np.linspace(1.0, 1.05, 20)
    assert stats.kendalltau(np.arange(20), small).pvalue < 1e-9
    assert evaluate_measurement(measured(small)).name == "trusted"
    assert evaluate_measurement(measured(np.linspace(1.0, 1.053, 20))).name == "drifting"


def test_the_same_values_without_an_order_are_no_trend() -> None:
    mixed = RISING[[5, 0, 10, 3, 7, 1, 9, 4, 6, 2, 8]]
    assert stats.kendalltau(np.arange(11), mixed).pvalue > 0.01
    assert evaluate_measurement(measured(mixed)).name == "trusted"


def test_five_rounds_are_too_few_for_a_trend() -> None:
    assert evaluate_measurement(measured(np.linspace(1.0, 1.06, 5))).name == "trusted"


def test_a_single_visit_may_drift_over_its_runs() -> None:
    visit = Trial(0, Samples(np.linspace(1.0, 1.2, 20)), np.empty(0))
    found = evaluate_measurement(Measurement((visit,), PLAIN, HERE))
    assert found == Verdict("drifting", "it rose by 18 % over 20 runs")


def test_a_machine_that_drifts_with_its_sentinel_does_not_drift() -> None:
    visits = [Trial(n, Samples(np.full(4, median)), np.full(4, 2 * median)) for n, median in enumerate(RISING)]
    assert evaluate_measurement(Measurement(tuple(visits), PLAIN, HERE, 2.0)).name == "trusted"
    assert evaluate_measurement(Measurement(tuple(visits), PLAIN, HERE)).name == "drifting"


def test_an_interval_over_five_percent_is_noisy_and_says_how_wide() -> None:
    half = rounds_interval(WILD).half_width / 1.25
    assert half > 0.05
    assert evaluate_measurement(measured(WILD)) == Verdict(
        "noisy", f"95 % interval of {100 * half:.0f} % each way over 10 rounds"
    )


def test_the_first_reason_of_throttled_preempted_drifting_noisy_is_given() -> None:
    medians, slow = np.linspace(1.0, 4.0, 12), clocks(*[1000] * 11, 100)
    assert evaluate_measurement(measured(medians, readings=slow, cpu_share=0.5)).name == "throttled"
    assert evaluate_measurement(measured(medians, cpu_share=0.5)).name == "preempted"
    assert evaluate_measurement(measured(medians)).name == "drifting"
    assert evaluate_measurement(measured(medians[[3, 11, 0, 7, 5, 9, 1, 10, 4, 2, 8, 6]])).name == "noisy"
    assert evaluate_measurement(measured(np.ones(12))).name == "trusted"
    assert set(VERDICTS) == {"throttled", "preempted", "drifting", "noisy", "trusted"}


def test_a_chain_that_is_no_slower_with_the_block_is_noisy_in_words() -> None:
    visits = [Trial(n, Samples(np.full(4, 1.0)), np.empty(0), baseline_s=np.full(4, 1.0 + 0.1 * n)) for n in range(4)]
    found = evaluate_measurement(Measurement(tuple(visits), PLAIN, HERE))
    assert found == Verdict("noisy", "the chain with the block is not measurably slower than without it")


def test_the_interval_of_a_difference_is_students() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 3, 8, 40):
        values = rng.normal(0, 1e-4, count)
        low, high = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
        found = difference_interval(values)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)


def test_what_both_chains_have_in_common_is_not_in_the_interval() -> None:
    rng = np.random.default_rng(1)
    common, block = rng.uniform(1, 5, 10), rng.normal(0.1, 0.01, 10)
    visits = [
        Trial(n, Samples(np.full(4, c + b)), np.empty(0), baseline_s=np.full(2, c))
        for n, (c, b) in enumerate(zip(common, block, strict=True))
    ]
    found = Measurement(tuple(visits), PLAIN, HERE)
    expected = difference_interval(block)
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.median_s == pytest.approx(np.median(block), rel=1e-9)
    assert found.in_context
