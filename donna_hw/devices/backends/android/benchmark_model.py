"""Google's benchmark_model, which the user supplies: a tool that runs a .tflite file a number of times and prints a summary.

Its output is text for people, so every number is parsed by its name, and a missing one is an error, never a zero. It prints the mean
of its runs, their standard deviation, the smallest and the largest, in microseconds, and no single times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from donna_hw.devices.backends.base import Runner
from donna_hw.errors import MeasurementError, UnavailableError
from donna_hw.measurement.measurement import RunSummary, Samples

MAX_RUN_S = 600.0  # --max_secs: when it gives up, with fewer runs, which is an error here
LAST_LINES = 5
ROUNDING_S = 5e-7  # times are printed in whole microseconds: no standard deviation below half of one is known
DELEGATES = ("cpu", "xnnpack", "gpu", "nnapi", "hexagon")
_NUMBER = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"


@dataclass(frozen=True)
class OperatorTime:
    """The time of one operator of a model: its kind, the name of its node, and the mean of its runs in seconds."""

    kind: str
    name: str
    mean_s: float


def build_flags(*, delegate: str, threads: int, fp16: bool, warmup: int, runs: int) -> list[str]:
    """Return the tool's command-line flags; they disable its minimum of one second, which would run more than `runs` times.

    Args:
        delegate: One of `DELEGATES`.
        threads: Threads of the CPU.
        fp16: Whether a GPU may compute in float16.
        warmup: Runs that are not timed.
        runs: Runs that are timed.
    """
    flags = [
        f"--num_threads={threads}",
        f"--warmup_runs={warmup}",
        "--warmup_min_secs=0",
        f"--num_runs={runs}",
        "--min_secs=0",
        f"--max_secs={MAX_RUN_S:g}",
        f"--use_xnnpack={'true' if delegate == 'xnnpack' else 'false'}",
    ]
    if delegate == "gpu":
        flags += ["--use_gpu=true", f"--gpu_precision_loss_allowed={'true' if fp16 else 'false'}"]
    if delegate in ("nnapi", "hexagon"):
        flags.append(f"--use_{delegate}=true")
    return flags


class BenchmarkRunner(Runner):
    """A model on the phone, for which the tool is started at each request.

    Args:
        call: Runs the tool with flags and returns what it prints.
        delegate: One of `DELEGATES`.
        flags: Returns the tool's flags for a number of runs.
        cpu_fallback: Whether the CPU may run a part of the model.
    """

    def __init__(
        self,
        call: Callable[[Sequence[str]], str],
        *,
        delegate: str,
        flags: Callable[[int], list[str]],
        cpu_fallback: bool,
    ) -> None:
        self._call, self._delegate, self._flags, self._cpu_fallback = call, delegate, flags, cpu_fallback

    def samples(self, count: int) -> Samples:
        """Run the model `count` times in one process, and return the tool's summary of them."""
        text = self._call(self._flags(count))
        validate_delegation(text, self._delegate, self._cpu_fallback)
        summary = parse_summary(text, count)
        return Samples(np.array([summary.mean_s]), summary=summary)

    def operators(self, count: int) -> list[OperatorTime]:
        """Run the model `count` times with the tool's profiler, and return the mean time of each operator in the order they run."""
        return parse_operators(self._call([*self._flags(count), "--enable_op_profiling=true"]))


def parse_summary(text: str, runs: int) -> RunSummary:
    """Return the summary of the tool's timed runs; raises `MeasurementError` with its last lines where it is missing or not of `runs`."""
    _, _, timed = text.rpartition("Running benchmark for at least")  # the first such line is of the warm-up
    line = re.search(r"^.*\bcount=(\d+) (.*)$", timed, re.MULTILINE)
    mean = re.search(rf"Inference \(avg\): {_NUMBER}", timed)
    if line is None or mean is None:
        raise _parse_error("no times in the output of benchmark_model", text)
    values = {name: float(value) * 1e-6 for name, value in re.findall(rf"(\w+)={_NUMBER}", line[2])}
    count, mean_s = int(line[1]), float(mean[1]) * 1e-6
    if count != runs:
        raise _parse_error(f"benchmark_model ran {count} times instead of {runs}", text)
    if count == 1:
        return RunSummary(1, mean_s, 0.0, mean_s, mean_s)
    if not {"min", "max", "std", "avg"} <= values.keys() or abs(values["avg"] - mean_s) > 1e-3 * mean_s:
        raise _parse_error("no consistent min, max, avg and std in the output of benchmark_model", text)
    return RunSummary(count, mean_s, max(values["std"], ROUNDING_S), values["min"], values["max"])


def validate_delegation(text: str, delegate: str, cpu_fallback: bool) -> None:
    """Raise `UnavailableError` unless the tool reports that the delegate runs the whole model, or with `cpu_fallback` a part of it."""
    if delegate == "cpu":
        return
    if "will be completely executed by the delegate" in text:
        return
    if cpu_fallback and "will be partially executed by the delegate" in text:
        return
    lines = [line.strip() for line in text.splitlines() if "delegate" in line.lower() or "not supported" in line]
    raise UnavailableError(
        f"the delegate {delegate} does not run the whole block",
        got="; ".join(lines[-LAST_LINES:]) or "no report of it",
        hint="set another delegate, or options.cpu_fallback = true to let the CPU run the rest",
    )


def parse_operators(text: str) -> list[OperatorTime]:
    """Return each operator's time from the tool's table `Run Order`; raises `MeasurementError` where there is none."""
    _, _, timed = text.rpartition("Operator-wise Profiling Info for Regular Benchmark Runs")
    rows: list[OperatorTime] = []
    columns: list[str] = []
    for line in timed.splitlines():
        cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
        if cells and cells[0].lower() == "[node type]":
            if columns:  # the next table: the same operators by their times
                break
            columns = [cell.lower() for cell in cells]
        elif columns and len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            name = row.get("[name]", "").partition(":")[0].strip("[]")
            rows.append(OperatorTime(row["[node type]"], name, float(row["[avg ms]"]) * 1e-3))
    if not rows:
        raise _parse_error("no times of operators in the output of benchmark_model", text)
    return rows


def _parse_error(message: str, text: str) -> MeasurementError:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return MeasurementError(message, got=" / ".join(lines[-LAST_LINES:]) or "nothing printed")
