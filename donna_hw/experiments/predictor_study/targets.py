"""The targets of a predictor on networks that it was not fitted to, and whether it reaches them."""

from __future__ import annotations

from collections.abc import Iterable

from donna_hw.experiments.predictor_study.comparison import OURS, PredictorComparison

GAIN, SURE_GAIN = 0.15, 0.05  # of equal-cost pairs over MACs: the value, and the lower end of its interval
STRATIFIED_TAU = 0.80


def format_targets(comparisons: Iterable[PredictorComparison]) -> list[str]:
    """Return a line for each target: what it is, what was measured, met or missed."""
    lines = []
    for comparison in comparisons:
        if comparison.role == "test":
            tau_gain, pairs_gain = comparison.gain_over_best, comparison.pairs_gain_over_macs
            lines += [
                _format_target(
                    "Kendall tau above the best baseline's, the whole 95 % interval",
                    f"{tau_gain.low:+.3f} at its lower end",
                    met=tau_gain.low > 0,
                ),
                _format_target(
                    f"equal-cost pairs {GAIN:.0%} above MACs, {SURE_GAIN:.0%} at the lower end",
                    f"{pairs_gain.value:+.1%}, {pairs_gain.low:+.1%}",
                    met=pairs_gain.value >= GAIN and pairs_gain.low >= SURE_GAIN,
                ),
            ]
        if comparison.role == "stratified":
            tau = comparison.scores[OURS].kendall_tau.value
            target = f"Kendall tau {STRATIFIED_TAU:.2f} on the stratified set"
            lines.append(_format_target(target, f"{tau:.3f}", met=tau >= STRATIFIED_TAU))
    return lines


def _format_target(target: str, measured: str, *, met: bool) -> str:
    return f"- {'met' if met else 'MISSED'}: {target}; measured {measured}."
