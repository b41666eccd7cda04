"""A measurement's statistics on samples whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from donna_hw.errors import MeasurementError
from donna_hw.measurement.environment import Environment
from donna_hw.measurement.intervals import mean_interval, median_interval, rounds_interval
from donna_hw.measurement.measurement import Measurement, RunSummary, Samples, Trial
from donna_hw.measurement.protocol import Protocol
from donna_hw.measurement.verdict import evaluate_measurement

HERE = Environment({"device_model": "fake", "runtime": "fake", "dtype": "float32"})
PLAIN = Protocol("plain", 1, 0, 3, "median")


def visit(round_: int, times: list[float], sentinel: list[float] | None = None, **clocks: np.ndarray) -> Trial:
    return Trial(round_, Samples(np.array(times), **clocks), np.array(sentinel or []))


def two_state_machine() -> Measurement:
    """A block of 3, 4, 5 s and a sentinel of 1 s; in seven of ten rounds the machine runs four times as slowly."""
    paces = [4, 4, 1, 4, 4, 1, 4, 4, 1, 4]
    visits = [visit(n, [3.0 * pace, 4.0 * pace, 5.0 * pace], [1.0 * pace] * 4) for n, pace in enumerate(paces)]
    return Measurement(tuple(visits), PLAIN, HERE, sentinel_reference_s=1.0)


def test_the_sentinel_takes_the_machines_state_out_exactly() -> None:
    measurement = two_state_machine()
    assert measurement.median_s == 4.0
    assert measurement.mean_s == 4.0
    assert measurement.min_s == 3.0
    assert sorted(measurement.drift_corrected_s) == [3.0] * 10 + [4.0] * 10 + [5.0] * 10
    assert measurement.interval.low == pytest.approx(4.0, rel=1e-12)
    assert measurement.interval.high == pytest.approx(4.0, rel=1e-12)


def test_the_raw_median_shows_the_machines_state() -> None:
    measurement = two_state_machine()
    assert measurement.raw_median_s == 12.0
    assert replace(measurement, sentinel_reference_s=None).median_s == 12.0


def test_the_sentinels_reference_sets_the_scale() -> None:
    assert replace(two_state_machine(), sentinel_reference_s=2.0).median_s == 8.0


def test_one_interrupted_sentinel_run_changes_nothing() -> None:
    clean = visit(0, [3.0, 4.0, 5.0], [1.0, 1.0, 1.0, 1.0])
    disturbed = visit(0, [3.0, 4.0, 5.0], [1.0, 90.0, 1.0, 1.0])
    found = [Measurement((v,), PLAIN, HERE, 1.0).median_s for v in (clean, disturbed)]
    assert found == [4.0, 4.0]


@pytest.mark.parametrize(("statistic", "value"), [("median", 2.0), ("mean", 4.0), ("min", 1.0)])
def test_the_value_is_the_protocols_statistic(statistic: str, value: float) -> None:
    protocol = replace(PLAIN, statistic=statistic)
    assert Measurement((visit(0, [1.0, 9.0, 2.0]),), protocol, HERE).value_s == value


def test_the_devices_own_clock_is_preferred() -> None:
    measurement = Measurement((visit(0, [5.0, 5.0], device_s=np.array([2.0, 2.0])),), PLAIN, HERE)
    assert measurement.median_s == 2.0


def test_the_interval_is_over_rounds_where_there_are_several() -> None:
    one = visit(0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    other = visit(1, [2.0, 4.0, 6.0, 8.0, 10.0, 12.0])
    assert Measurement((one,), PLAIN, HERE).interval == median_interval(one.samples.wall_s)
    assert Measurement((one, other), PLAIN, HERE).interval == rounds_interval(np.array([3.5, 7.0]))


@pytest.mark.parametrize(
    ("wall", "cpu", "verdict"),
    [
        ([1.0] * 8, None, "trusted"),
        ([1.0] * 8, [1.0] * 8, "trusted"),
        ([1.0] * 8, [0.91] * 8, "trusted"),
        ([1.0] * 8, [0.89] * 8, "preempted"),
        ([1.0, 1.2] * 8, None, "noisy"),
        ([1.0, 1.08] * 8, None, "trusted"),
        ([1.0, 1.2] * 8, [0.5] * 16, "preempted"),
    ],
)
def test_verdicts(wall: list[float], cpu: list[float] | None, verdict: str) -> None:
    clocks = {} if cpu is None else {"cpu_s": np.array(cpu)}
    assert evaluate_measurement(Measurement((visit(0, wall, **clocks),), PLAIN, HERE)).name == verdict


def test_rounds_that_disagree_are_noisy() -> None:
    visits = (visit(0, [1.0, 1.0]), visit(1, [1.5, 1.5]), visit(2, [1.0, 1.0]))
    assert evaluate_measurement(Measurement(visits, PLAIN, HERE)).name == "noisy"


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf])
def test_samples_that_are_no_times_are_refused(bad: float) -> None:
    with pytest.raises(MeasurementError):
        Measurement((visit(0, [1.0, bad]),), PLAIN, HERE)
    with pytest.raises(MeasurementError):
        Measurement((visit(0, [1.0], device_s=np.array([bad])),), PLAIN, HERE)
    with pytest.raises(MeasurementError):
        Measurement((visit(0, [1.0], [1.0, bad]),), PLAIN, HERE, 1.0)
    with pytest.raises(MeasurementError):
        Measurement((visit(0, [1.0], [1.0]),), PLAIN, HERE, sentinel_reference_s=bad)


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(MeasurementError, match="no samples"):
        Measurement((), PLAIN, HERE)
    with pytest.raises(MeasurementError, match="no samples"):
        Measurement((visit(0, []),), PLAIN, HERE)


def test_every_visit_needs_its_own_sentinel() -> None:
    with pytest.raises(MeasurementError, match="sentinel"):
        Measurement((visit(0, [1.0], [1.0]), visit(1, [1.0], [])), PLAIN, HERE, 1.0)


def summarised(*summaries: RunSummary) -> Measurement:
    protocol = replace(PLAIN, statistic="mean", rounds=len(summaries))
    visits = [
        Trial(n, Samples(np.array([told.mean_s]), summary=told), np.array([])) for n, told in enumerate(summaries)
    ]
    return Measurement(tuple(visits), protocol, HERE)


def test_a_summary_stands_by_its_mean_and_its_interval_is_students() -> None:
    found = summarised(RunSummary(30, 2.0, 0.3, 1.5, 3.0))
    assert found.value_s == 2.0
    assert found.runs == 30
    half = (
        2.045229642132703 * 0.3 / np.sqrt(30)
    )  # Student's t of 29 degrees of freedom at 97.5 %, as in any table of it
    assert found.interval.high - 2.0 == pytest.approx(half, rel=1e-9)
    assert 2.0 - found.interval.low == pytest.approx(half, rel=1e-9)
    assert evaluate_measurement(found).name == "noisy"
    assert "30 runs, of which only a summary is known" in evaluate_measurement(found).evidence
    assert evaluate_measurement(summarised(RunSummary(30, 2.0, 0.03, 1.9, 2.1))).name == "trusted"


def test_of_one_run_nothing_is_known_of_the_spread() -> None:
    assert mean_interval(2.0, 0.0, 1).high == np.inf


def test_several_summaries_are_judged_by_their_rounds() -> None:
    told = [RunSummary(10, mean, 0.1, mean - 0.2, mean + 0.2) for mean in (2.0, 2.1, 2.2)]
    assert summarised(*told).interval == rounds_interval(np.array([2.0, 2.1, 2.2]))


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 1.0, 0.1, 0.9, 1.1),
        (3, 0.0, 0.1, 0.9, 1.1),
        (3, 1.0, -0.1, 0.9, 1.1),
        (3, 2.0, 0.1, 0.9, 1.1),
        (3, 1.0, np.nan, 0.9, 1.1),
    ],
)
def test_a_summary_that_cannot_be_is_refused(numbers: tuple[int, float, float, float, float]) -> None:
    with pytest.raises(MeasurementError):
        RunSummary(*numbers)


def test_samples_with_a_summary_hold_the_mean_alone() -> None:
    with pytest.raises(MeasurementError, match="its mean alone"):
        Samples(np.array([1.0, 1.0]), summary=RunSummary(2, 1.0, 0.0, 1.0, 1.0))
