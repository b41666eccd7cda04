"""Verdicts: whether a latency can be trusted, and why, in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import stats

from donna_hw.measurement.measurement import Measurement

VERDICTS = ("trusted", "noisy", "drifting", "throttled", "preempted")
NOISY_HALF_WIDTH = 0.05
PREEMPTED_CPU_SHARE = 0.9
DRIFT_SHARE = 0.05  # a smaller trend is ignored, however significant
DRIFT_P = 0.01
SLOW_CLOCK_SHARE = 0.75  # as nvbench's default


@dataclass(frozen=True)
class Verdict:
    """One of `VERDICTS`, and the evidence for it."""

    name: str
    evidence: str


def evaluate_measurement(measurement: Measurement) -> Verdict:
    """Return the verdict on a measurement.

    Returns:
        The first that applies. `throttled`: the device reports it, or its clock fell below three quarters of its highest.
        `preempted`: the CPU ran something else for over a tenth of the time. `drifting`: the latency has a trend over the rounds
        (Kendall's tau, p < 1 %) of over 5 % between both ends. `noisy`: the 95 % interval is wider than 5 % of the latency on
        either side. `trusted`: none of these.
    """
    for check in (_throttled, _preempted, _drifting, _noisy):
        verdict = check(measurement)
        if verdict is not None:
            return verdict
    return Verdict(
        "trusted", f"95 % interval within {_percent(measurement.relative_half_width)} over {_extent(measurement)}"
    )


def _throttled(measurement: Measurement) -> Verdict | None:
    states = [trial.telemetry for trial in measurement.trials]
    reasons = Counter(reason for state in states for reason in state.throttle_reasons)
    if reasons:
        counts = ", ".join(f"{reason} in {count}" for reason, count in reasons.most_common())
        return Verdict("throttled", f"of {len(states)} trials the device reports {counts}")
    clocks = np.array([state.clock_hz for state in states if state.clock_hz is not None])
    slow = clocks < SLOW_CLOCK_SHARE * clocks.max() if clocks.size else np.array([])
    if slow.any():
        change = f"fell from {clocks.max() / 1e6:.0f} to {clocks.min() / 1e6:.0f} MHz"
        return Verdict("throttled", f"in {slow.sum()} of {clocks.size} trials the clock {change}")
    return None


def _preempted(measurement: Measurement) -> Verdict | None:
    cpu = [trial.samples.cpu_s for trial in measurement.trials if trial.samples.cpu_s is not None]
    if not cpu:
        return None
    share = float(np.median(np.concatenate(cpu)) / np.median(measurement.raw_s))
    if share >= PREEMPTED_CPU_SHARE:
        return None
    return Verdict("preempted", f"the CPU worked on it for only {_percent(share)} of the time that passed")


def _drifting(measurement: Measurement) -> Verdict | None:
    """Test the trend over rounds, or over the samples of a single trial."""
    series = measurement.round_medians_s if len(measurement.round_medians_s) > 1 else measurement.drift_corrected_s
    if series.size < 6 or np.ptp(series) == 0 or measurement.median_s <= 0:
        return None
    order = np.arange(series.size)
    if stats.kendalltau(order, series).pvalue >= DRIFT_P:
        return None
    change = float(stats.theilslopes(series, order).slope) * (series.size - 1) / measurement.median_s
    if abs(change) <= DRIFT_SHARE:
        return None
    return Verdict(
        "drifting", f"it {'rose' if change > 0 else 'fell'} by {_percent(abs(change))} over {_extent(measurement)}"
    )


def _noisy(measurement: Measurement) -> Verdict | None:
    if measurement.relative_half_width <= NOISY_HALF_WIDTH:
        return None
    if measurement.median_s <= 0:
        return Verdict("noisy", "the chain with the block is not measurably slower than without it")
    return Verdict(
        "noisy", f"95 % interval of {_percent(measurement.relative_half_width)} each way over {_extent(measurement)}"
    )


def _extent(measurement: Measurement) -> str:
    n_used, n_discarded = len(measurement.round_medians_s), measurement.n_discarded_rounds
    if len(measurement.trials) == 1:
        return f"{measurement.runs} runs" + (", of which only a summary is known" if measurement.summaries else "")
    return f"{n_used} rounds" + (f" ({n_discarded} discarded: the machine ran at another speed)" if n_discarded else "")


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
