"""The sustained loop on a fake device with a clock of its own: exact ratios, journals, attempts; and on a real runtime."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hot_machine import MS, HotMachine, run

from donna_hw._core.files import hold_lock
from donna_hw._core.toml_files import read_toml
from donna_hw.cli.stress import stress as command
from donna_hw.devices.backends.torch_cpu import TorchCpuBackend
from donna_hw.errors import ConfigError, DonnaError, FileFormatError, LockedError, MeasurementError, TableError
from donna_hw.measurement.measurement import Samples
from donna_hw.measurement.telemetry import Telemetry
from donna_hw.profiling.stress import choose_window, run_stress_test
from donna_hw.profiling.stress_journal import BURST_COLUMNS, MAX_SAMPLES_PER_BURST, read_attempts, result_path
from donna_hw.reporting.text.stress import format_minutes
from donna_hw.spaces import load_space


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sustained-x.samples.csv"


def test_a_constant_cost_has_a_ratio_of_exactly_one(path: Path) -> None:
    found = run(HotMachine(lambda at_s: 2 * MS), path)
    assert (found.ratio, found.ratio_interval.low, found.ratio_interval.high) == (1.0, 1.0, 1.0)
    assert found.verdict == "holds its speed"
    assert found.first.median_s == found.last.median_s == 2e-3
    assert found.images_per_s == pytest.approx(2 / 2e-3, rel=1e-9)
    assert found.busy_share == pytest.approx(1, abs=1e-9)  # the fake clock stands still while a burst is journaled
    assert len(found.split_by_minute()) == 10


@pytest.mark.parametrize(("before", "after"), [(2 * MS, 3 * MS), (4 * MS, 5 * MS), (5 * MS, 4 * MS)])
def test_a_step_between_the_windows_is_the_ratio_exactly(path: Path, before: int, after: int) -> None:
    found = run(HotMachine(lambda at_s: before if at_s < 30 else after), path)
    assert found.ratio == pytest.approx(after / before, rel=1e-12)
    change = 100 * abs(after / before - 1)
    word = "slows down" if after > before else "speeds up"
    assert found.verdict == f"{word} by {change:.3g} % (95 % interval {change:.3g} to {change:.3g} %)"


def test_a_staircase_through_the_windows_is_the_ratio_of_geometric_means_exactly(path: Path) -> None:
    def cost(at_s: float) -> int:
        return MS * (10 + int(at_s / 6 * 10))  # one step a span: ten spans of 0.6 s in a window of 6 s

    found = run(HotMachine(cost), path)
    first, last = np.arange(10, 20), np.arange(100, 110)
    np.testing.assert_allclose(found.first.span_medians_s, first * 1e-3, rtol=1e-12)
    np.testing.assert_allclose(found.last.span_medians_s, last * 1e-3, rtol=1e-12)
    assert found.ratio == pytest.approx(np.exp(np.log(last).mean() - np.log(first).mean()), rel=1e-12)
    assert found.ratio_interval.low < found.ratio < found.ratio_interval.high


def test_a_linear_slow_down_is_the_ratio_of_the_windows_middles(path: Path) -> None:
    found = run(HotMachine(lambda at_s: round(MS * (1 + at_s / 60))), path)
    # a window's bursts are 0.25 s apart, so that their middle is within 0.25 s of its middle: 0.4 % of 60 s
    assert found.last.median_s / found.first.median_s == pytest.approx((1 + 57 / 60) / (1 + 3 / 60), rel=4e-3)


def test_readings_are_told_in_the_verdict(path: Path) -> None:
    def readings(at_s: float) -> Telemetry:
        hot = at_s > 400  # in the seventh minute
        return Telemetry(1.4e9 if hot else 1.9e9, 83.0 if hot else 45.0, 30.0, ("thermal slowdown",) if hot else ())

    found = run(HotMachine(lambda at_s: 1000 * MS if at_s < 400 else 1100 * MS, readings), path, 600, window_s=60)
    assert found.verdict == (
        "slows down by 10 % (95 % interval 10 to 10 %), clock fell from 1.9 to 1.4 GHz, "
        "temperature rose from 45 to 83 C, thermal slowdown reported at minute 7"
    )
    lines = format_minutes(found).splitlines()
    assert lines[0].split()[-6:] == ["images/s", "GHz", "C", "W", "throttled", "by"]
    assert lines[2].split()[-4:] == ["1.9", "45", "30", "-"]
    assert "thermal slowdown" in lines[-1]
    assert len(lines) == 2 + 10


def test_noise_is_told_as_noise_and_not_as_a_steady_speed(path: Path) -> None:
    rng = np.random.default_rng(0)
    found = run(HotMachine(lambda at_s: int(MS * rng.lognormal(0, 1))), path, 6, window_s=2)
    assert found.verdict.startswith("too noisy to detect a change of speed: ")
    assert found.ratio_interval.low < 1 < found.ratio_interval.high


def test_a_preempted_loop_says_so(path: Path) -> None:
    found = run(HotMachine(lambda at_s: 2 * MS), path)
    halved = tuple(
        replace(b, samples=Samples(b.samples.wall_s, b.samples.wall_s / 2)) if b.elapsed_s > 30 else b
        for b in found.bursts
    )
    assert replace(found, bursts=halved).verdict == (
        "holds its speed, the CPU ran something else for 50 % of the last window"
    )


def test_a_throughput_that_falls_while_the_median_holds_is_told(path: Path) -> None:
    found = run(HotMachine(lambda at_s: 2 * MS), path)
    longer = tuple(replace(b, duration_s=1.25 * b.duration_s) if b.elapsed_s >= 54 else b for b in found.bursts)
    assert replace(found, bursts=longer).verdict == (
        "holds its speed, images per second changed by -20 %, which the median run does not show"
    )


@pytest.mark.parametrize("cost", [300, 20_000, 2 * MS, 400 * MS])
def test_bursts_settle_at_a_quarter_of_a_second_or_at_one_run(path: Path, cost: int) -> None:
    machine = HotMachine(lambda at_s: cost)
    found = run(machine, path, 20)
    settled = [burst.duration_s for burst in found.bursts[10:]]
    expected = max(cost / 1e9, min(0.25, 1e6 * cost / 1e9))
    assert settled == pytest.approx([expected] * len(settled), rel=0.01)
    for burst, runs in zip(found.bursts, machine.bursts[1:], strict=True):
        assert burst.runs == runs
        assert burst.samples.wall_s.size == min(runs, MAX_SAMPLES_PER_BURST)
    assert found.bursts[-1].end_s >= 20 > found.bursts[-2].end_s
    assert machine.open_runners == 0


def test_windows_shrink_to_a_third_of_a_loop_too_short_for_two(path: Path) -> None:
    assert [choose_window(seconds, 60) for seconds in (600, 120, 90)] == [60, 60, 30]
    found = run(HotMachine(lambda at_s: MS), path, 90, window_s=60)
    assert (found.first.end_s, found.last.start_s, found.window_s) == (30, 60, 30)
    assert len(found.split_by_minute()) == 10  # ten parts of nine seconds


def test_a_finished_journal_is_read_and_not_measured_again(path: Path) -> None:
    first = run(HotMachine(lambda at_s: 3 * MS), path)
    told = result_path(path).read_bytes()
    idle = HotMachine(lambda at_s: 1)
    again = run(idle, path)
    assert idle.bursts == []
    assert (again.ratio, again.verdict, len(again.bursts)) == (first.ratio, first.verdict, len(first.bursts))
    assert result_path(path).read_bytes() == told
    assert read_toml(result_path(path))["result"]["first"]["median_s"] == 3e-3


def test_an_unfinished_loop_is_kept_and_begun_anew(path: Path) -> None:
    broken = HotMachine(lambda at_s: MS, breaks_at_s=20)
    with pytest.raises(RuntimeError, match="breaks"):
        run(broken, path)
    assert broken.open_runners == 0
    kept = path.read_bytes()
    assert "result" not in read_toml(result_path(path))
    later = HotMachine(lambda at_s: 2 * MS, now_ns=round(1000e9))
    found = run(later, path)
    assert path.read_bytes().startswith(kept)
    attempts = read_attempts(path)
    assert len(attempts) == 2
    assert attempts[0][-1].end_s == pytest.approx(20, abs=0.25)
    assert found.first.median_s == 2e-3
    assert found.verdict == "holds its speed, started 980 s after an interrupted attempt: perhaps not cold"


def test_a_journal_of_another_environment_or_none_is_refused(path: Path) -> None:
    run(HotMachine(lambda at_s: MS), path, 10)
    with pytest.raises(TableError, match=r"is of runtime = 'fake 1'.*got 'fake 2'"):
        run(HotMachine(lambda at_s: MS), path, 10, "fake 2")
    result_path(path).unlink()
    with pytest.raises(TableError, match="no such file, but bursts that need it"):
        run(HotMachine(lambda at_s: MS), path, 10)


def test_two_loops_do_not_write_one_journal(path: Path) -> None:
    with hold_lock(path.with_suffix(".lock")), pytest.raises(LockedError):
        run(HotMachine(lambda at_s: MS), path, 10)


@pytest.mark.parametrize(
    ("seconds", "cost", "error"),
    [
        (0, MS, ConfigError),
        (-1, MS, ConfigError),
        (float("nan"), MS, ConfigError),
        (float("inf"), MS, ConfigError),
        (10, 3_000 * MS, ConfigError),
        (10, 0, MeasurementError),
    ],
)
def test_what_cannot_be_compared_is_refused(path: Path, seconds: float, cost: int, error: type[DonnaError]) -> None:
    with pytest.raises(error):
        run(HotMachine(lambda at_s: cost), path, seconds)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("attempt", "3"),
        ("attempt", "x"),
        ("elapsed_s", "-9"),
        ("elapsed_s", "inf"),
        ("burst_s", "0"),
        ("runs", "0"),
        ("wall_s", ""),
        ("wall_s", "nan"),
        ("wall_s", "0"),
        ("device_s", "1 2 3"),
        ("clock_hz", "fast"),
    ],
)
def test_a_corrupt_burst_is_named_by_its_line(path: Path, column: str, value: str) -> None:
    run(HotMachine(lambda at_s: MS), path, 10)
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[4].split(",")
    cells[BURST_COLUMNS.index(column)] = value
    lines[4] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="line 5"):
        run(HotMachine(lambda at_s: MS), path, 10)


def test_the_command_runs_on_a_real_runtime_and_again_from_its_journal(tmp_path: Path) -> None:
    arguments = ["small_8px", "--device", "onnxruntime_cpu", "--block", "stage1", "k3-e1-d1-relu"]
    arguments += ["--duration", "0.9s", "--tables", str(tmp_path)]
    first = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "block stage1 k3-e1-d1-relu on onnxruntime_cpu" in first.stdout
    (toml,) = (tmp_path / "onnxruntime_cpu" / "small_8px").glob("sustained-b1-float32-t1-*-0.9s.toml")
    facts = read_toml(toml)
    assert facts["result"]["verdict"] in first.stdout
    assert facts["result"]["images_per_s"] > 0
    assert read_attempts(toml.with_suffix(".samples.csv"))[0][-1].end_s >= 0.9
    again = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]


def test_a_stopped_command_warns_that_the_device_cools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_arguments: object, **_keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("donna_hw.profiling.stress.run_stress_test", stopped)
    done = CliRunner().invoke(command, ["small_8px", "--device", "onnxruntime_cpu", "--tables", str(tmp_path)])
    assert done.exit_code == 130
    assert "-600s.samples.csv, but a new start begins on a cold device" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--duration", "10"], "got '10'; expected s, m or h"),
        (["--block", "stage9", "x"], "'stage9'; expected stage1, stage2 or stage3 (did you mean 'stage3'?)"),
        (["--block", "stage1", "k4"], "'k4'; expected k3-e1-d1-relu, "),
        (["--network", "k3-e1-d1-relu"], "3 labels, joined by /"),
        (["--network", "a/b/c"], "'a'; expected k3-e1-d1-relu, "),
        (["--network", "a/b/c", "--block", "stage1", "x"], "drop one"),
        (["--device", "macs"], "needs a device that measures time"),
    ],
)
def test_what_cannot_be_stressed_is_one_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    base = ["small_8px", "--device", "onnxruntime_cpu", "--tables", str(tmp_path)]
    error = CliRunner().invoke(command, [*base, *arguments]).exception
    assert isinstance(error, DonnaError)
    assert says in str(error)
    assert json.dumps(str(error)).count("\\n") == 0


def test_8_bit_layers_are_not_sustained_by_a_backend_that_would_run_others(tmp_path: Path) -> None:
    space = load_space("small_8px@int8")
    with pytest.raises(ConfigError, match="cannot run layers of int8, only of float32"):
        run_stress_test(
            TorchCpuBackend(1, {}), space.network_graph(space.reference), 1.0, path=tmp_path / "x.samples.csv"
        )
    assert not list(tmp_path.iterdir())
