"""What benchmark_model prints is read by its words, or refused with its last lines: no number is ever made up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from phone_output import BENCHMARK, OPERATORS

from donna_hw.devices.backends.android.benchmark_model import (
    ROUNDING_S,
    BenchmarkRunner,
    build_flags,
    parse_operators,
    parse_summary,
    validate_delegation,
)
from donna_hw.errors import MeasurementError, UnavailableError


def test_the_summary_of_the_timed_runs_is_read_in_seconds() -> None:
    summary = parse_summary(BENCHMARK, 30)
    assert summary.runs == 30
    assert summary.mean_s == pytest.approx(0.115246)
    assert (summary.min_s, summary.max_s) == pytest.approx((0.111842, 0.119614))
    assert summary.std_s == pytest.approx(0.001329)


def test_the_summary_of_the_warm_up_is_never_taken_for_the_timed_runs() -> None:
    warm = BENCHMARK.replace("count=0", "count=30 first=9 curr=9 min=9 max=9 avg=9 std=0")
    assert parse_summary(warm, 30) == parse_summary(BENCHMARK, 30)
    cut = warm[: warm.index("INFO: count=30 first=119614")]
    with pytest.raises(MeasurementError, match="no times in the output"):
        parse_summary(cut, 30)


def test_times_in_scientific_notation_are_read() -> None:
    slow = BENCHMARK.replace("avg=115246", "avg=1.14039e+07").replace(
        "Inference (avg): 115246", "Inference (avg): 1.14039e+07"
    )
    slow = slow.replace("max=119614", "max=11500000").replace("min=111842", "min=11100000")
    assert parse_summary(slow, 30).mean_s == pytest.approx(11.4039)


def test_a_spread_below_the_tools_rounding_is_not_believed() -> None:
    assert parse_summary(BENCHMARK.replace("std=1329", "std=0"), 30).std_s == ROUNDING_S


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing printed"),
        ("Segmentation fault", "Segmentation fault"),
        ("ERROR: Failed to load model /x.tflite\nERROR: Benchmarking failed.", "Benchmarking failed"),
        (BENCHMARK.replace("count=30", "count=29"), "ran 29 times instead of 30"),
        (BENCHMARK.replace("Inference (avg): 115246", "Inference (avg): nan"), "no times in the output"),
        (BENCHMARK.replace("avg=115246", "avg=99"), "min, max, avg and std"),
        (BENCHMARK.replace(" std=1329", ""), "min, max, avg and std"),
        (BENCHMARK.replace("115246", "0"), "above 0 s"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_message(text: str, message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        parse_summary(text, 30)


def test_a_delegate_must_run_the_whole_model_unless_help_is_allowed() -> None:
    partly = BENCHMARK.replace(
        "completely executed by the delegate", "partially executed by the delegate w/ 2 delegate kernels"
    )
    validate_delegation(BENCHMARK, "gpu", cpu_fallback=False)
    validate_delegation("", "cpu", cpu_fallback=False)
    validate_delegation(partly, "gpu", cpu_fallback=True)
    for text in (partly, "", BENCHMARK.replace("will be completely executed", "will not be executed")):
        with pytest.raises(UnavailableError, match="does not run the whole block"):
            validate_delegation(text, "gpu", cpu_fallback=False)


def test_a_request_is_one_call_of_so_many_runs_and_gives_their_mean_alone() -> None:
    calls: list[Sequence[str]] = []

    def call(arguments: Sequence[str]) -> str:
        calls.append(arguments)
        return BENCHMARK

    runner = BenchmarkRunner(call, delegate="gpu", flags=lambda runs: [f"--num_runs={runs}"], cpu_fallback=False)
    samples = runner.samples(30)
    assert calls == [["--num_runs=30"]]
    assert samples.summary == parse_summary(BENCHMARK, 30)
    assert samples.wall_s.tolist() == [samples.summary.mean_s]


def test_the_flags_hold_the_tool_to_the_number_of_runs() -> None:
    found = build_flags(delegate="gpu", threads=1, fp16=False, warmup=0, runs=30)
    assert {"--num_runs=30", "--min_secs=0", "--warmup_runs=0", "--warmup_min_secs=0"} <= set(found)
    assert {"--use_gpu=true", "--gpu_precision_loss_allowed=false", "--use_xnnpack=false"} <= set(found)
    assert "--use_nnapi=true" in build_flags(delegate="nnapi", threads=1, fp16=True, warmup=0, runs=1)
    assert "--use_hexagon=true" in build_flags(delegate="hexagon", threads=1, fp16=True, warmup=0, runs=1)
    assert "--use_xnnpack=true" in build_flags(delegate="xnnpack", threads=2, fp16=True, warmup=0, runs=1)


def test_operators_are_read_once_in_the_order_they_run() -> None:
    found = parse_operators(BENCHMARK + OPERATORS)
    assert [(one.kind, one.name) for one in found] == [("CONV_2D", "expand"), ("DEPTHWISE_CONV_2D", "depthwise")]
    assert [one.mean_s for one in found] == pytest.approx([16e-6, 4e-6])
    with pytest.raises(MeasurementError, match="no times of operators"):
        parse_operators(BENCHMARK)
