"""Stopping: after how many rounds a block has been measured often enough, and which rule decides it.

As in nvbench: short kernels never reach a fixed precision, so measuring also ends when the spread itself no longer changes.
"""

from __future__ import annotations

import math

import numpy as np

from donna_hw.measurement.measurement import Measurement

STABLE_STD_CHANGE = 0.1  # the spread over all rounds and over the first three quarters of them differ by no more


def stopping_rule(measurement: Measurement) -> str | None:
    """Return the rule that ends a block's measurement, None where another round is needed.

    Returns:
        `fixed`: the protocol's rounds are done. `precise`: the interval is narrow enough. `stable`: the spread of the rounds no
        longer changes, and at this spread the remaining rounds would not make the interval narrow enough. `limit`: rounds or time
        are used up.
    """
    protocol, n_trials, n_used = measurement.protocol, len(measurement.trials), len(measurement.round_medians_s)
    if protocol.precision is None:
        return "fixed" if n_trials >= protocol.rounds else None
    if n_used < protocol.min_rounds and n_trials < protocol.rounds:
        return None
    if measurement.relative_half_width <= protocol.precision:
        return "precise"
    if n_trials >= protocol.rounds or float(measurement.raw_s.sum()) >= protocol.limit_s:
        return "limit"
    if n_used >= 2 * protocol.min_rounds and _is_stable(measurement):
        return "stable"
    return None


def _is_stable(measurement: Measurement) -> bool:
    medians, protocol = measurement.round_medians_s, measurement.protocol
    now, before = medians.std(ddof=1), medians[: math.ceil(0.75 * medians.size)].std(ddof=1)
    if now == 0 or abs(before / now - 1) > STABLE_STD_CHANGE:
        return False
    best = measurement.relative_half_width * np.sqrt(medians.size / protocol.rounds)
    return bool(best > (protocol.precision or 0))
