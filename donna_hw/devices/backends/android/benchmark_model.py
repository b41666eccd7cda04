"""Google's benchmark_model, which the user supplies: a tool that starts, runs a .tflite file so many times, and tells a summary.

Its output is text for people, so every number is looked for by name, and what is not found is an error, never a zero. It tells the mean
of its runs, their standard deviation, the smallest and the largest, in microseconds, and no single time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from donna_hw.devices.backends.base import Runner
from donna_hw.errors import MeasurementError, UnavailableError
from donna_hw.measurement.measurement import RunSummary, Samples

MAX_RUN_S = 600.0  # --max_secs: when it gives up, with fewer runs, which is refused
LAST_LINES = 5
ROUNDING_S = 5e-7  # times are told in whole microseconds: no spread below half of one is known
DELEGATES = ("cpu", "xnnpack", "gpu", "nnapi", "hexagon")
_NUMBER = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)"


@dataclass(frozen=True)
class OperatorTime:
    """How long one operator of a model takes: its kind, its place's name, and the mean of its runs in seconds."""

    kind: str
    name: str
    mean_s: float


def build_flags(*, delegate: str, threads: int, fp16: bool, warmup: int, runs: int) -> list[str]:
    """Return the tool's flags; without its own minimum of one second, which would go on beyond `runs`."""
    found = [
        f"--num_threads={threads}",
        f"--warmup_runs={warmup}",
        "--warmup_min_secs=0",
        f"--num_runs={runs}",
        "--min_secs=0",
        f"--max_secs={MAX_RUN_S:g}",
        f"--use_xnnpack={'true' if delegate == 'xnnpack' else 'false'}",
    ]
    if delegate == "gpu":
        found += ["--use_gpu=true", f"--gpu_precision_loss_allowed={'true' if fp16 else 'false'}"]
    if delegate in ("nnapi", "hexagon"):
        found.append(f"--use_{delegate}=true")
    return found


class BenchmarkRunner(Runner):
    """A model on the phone that the tool is started on for each request. call: runs the tool with flags and returns what it printed."""

    def __init__(
        self,
        call: Callable[[Sequence[str]], str],
        *,
        delegate: str,
        flags: Callable[[int], list[str]],
        cpu_fallback: bool,
    ) -> None:
        self._call, self._delegate, self._flags, self._helped = call, delegate, flags, cpu_fallback

    def samples(self, count: int) -> Samples:
        """Run the model `count` times in one process, and return what the tool tells of them: a summary."""
        text = self._call(self._flags(count))
        validate_delegation(text, self._delegate, self._helped)
        summary = parse_summary(text, count)
        return Samples(np.array([summary.mean_s]), summary=summary)

    def operators(self, count: int) -> list[OperatorTime]:
        """Run the model `count` times with the tool's own profiler, and return the mean of each operator in the order they run."""
        return parse_operators(self._call([*self._flags(count), "--enable_op_profiling=true"]))


def parse_summary(text: str, runs: int) -> RunSummary:
    """Return the summary of the tool's timed runs; raises `MeasurementError` with its last lines when it is not there or not of `runs`."""
    _, _, timed = text.rpartition("Running benchmark for at least")  # the first such line is of the warm-up
    line = re.search(r"^.*\bcount=(\d+) (.*)$", timed, re.MULTILINE)
    mean = re.search(rf"Inference \(avg\): {_NUMBER}", timed)
    if line is None or mean is None:
        raise _parse_error("benchmark_model must tell how long it took", text)
    told = {name: float(value) * 1e-6 for name, value in re.findall(rf"(\w+)={_NUMBER}", line[2])}
    count, mean_s = int(line[1]), float(mean[1]) * 1e-6
    if count != runs:
        raise _parse_error(f"benchmark_model must run {runs} times, not {count}", text)
    if count == 1:
        return RunSummary(1, mean_s, 0.0, mean_s, mean_s)
    if not {"min", "max", "std", "avg"} <= told.keys() or abs(told["avg"] - mean_s) > 1e-3 * mean_s:
        raise _parse_error("benchmark_model must tell min, max, avg and std of its runs", text)
    return RunSummary(count, mean_s, max(told["std"], ROUNDING_S), told["min"], told["max"])


def validate_delegation(text: str, delegate: str, cpu_fallback: bool) -> None:
    """Raise `UnavailableError` unless the tool says that the delegate runs the whole model; cpu_fallback: the CPU may run a part of it."""
    if delegate == "cpu":
        return
    if "will be completely executed by the delegate" in text:
        return
    if cpu_fallback and "will be partially executed by the delegate" in text:
        return
    said = [line.strip() for line in text.splitlines() if "delegate" in line.lower() or "not supported" in line]
    raise UnavailableError(
        f"the delegate {delegate} must run the whole block",
        got="; ".join(said[-LAST_LINES:]) or "no word of it",
        hint="another delegate, or options.cpu_fallback = true to measure it with the CPU's help",
    )


def parse_operators(text: str) -> list[OperatorTime]:
    """Return each operator's time from the tool's table `Run Order`; raises `MeasurementError` when there is none."""
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
            found = dict(zip(columns, cells, strict=True))
            name = found.get("[name]", "").partition(":")[0].strip("[]")
            rows.append(OperatorTime(found["[node type]"], name, float(found["[avg ms]"]) * 1e-3))
    if not rows:
        raise _parse_error("benchmark_model must tell the times of its operators", text)
    return rows


def _parse_error(rule: str, text: str) -> MeasurementError:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return MeasurementError(rule, got=" / ".join(lines[-LAST_LINES:]) or "nothing printed")
