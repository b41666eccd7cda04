"""What a predictor should reach on networks that it was not fitted to, and whether it does."""

from __future__ import annotations

from collections.abc import Iterable

from donna_hw.experiments.predictor_study.comparison import OURS, PredictorComparison

GAIN, SURE_GAIN = 0.15, 0.05  # of equal-cost pairs over MACs: the value, and the lower end of its interval
STRATIFIED_TAU = 0.80


def format_targets(compared: Iterable[PredictorComparison]) -> list[str]:
    """Return a line for each aim: what is asked, what was found, met or missed."""
    lines = []
    for found in compared:
        if found.role == "test":
            over, gain = found.gain_over_best, found.pairs_gain_over_macs
            lines += [
                _line(
                    "Kendall tau above the best rival's, the whole 95 % interval",
                    f"{over.low:+.3f} at its lower end",
                    met=over.low > 0,
                ),
                _line(
                    f"equal-cost pairs {GAIN:.0%} above MACs, {SURE_GAIN:.0%} at the lower end",
                    f"{gain.value:+.1%}, {gain.low:+.1%}",
                    met=gain.value >= GAIN and gain.low >= SURE_GAIN,
                ),
            ]
        if found.role == "stratified":
            tau = found.scores[OURS].kendall_tau.value
            lines.append(
                _line(
                    f"Kendall tau {STRATIFIED_TAU:.2f} on the stratified set", f"{tau:.3f}", met=tau >= STRATIFIED_TAU
                )
            )
    return lines


def _line(aim: str, found: str, *, met: bool) -> str:
    return f"- {'met' if met else 'MISSED'}: {aim}; found {found}."
