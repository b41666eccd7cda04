"""Stopping: when a block has been visited often enough, and which rule says so.

nvbench's practice: a fixed bar on the spread is never met by short kernels, so that measuring also ends when the spread itself no
longer changes.
"""

from __future__ import annotations

import math

import numpy as np

from donna_hw.measurement.measurement import Measurement

STABLE_STD_CHANGE = 0.1  # the spread over all rounds and over the first three quarters of them differ by no more


def stopping_rule(measurement: Measurement) -> str | None:
    """Return the rule that ends a block's measurement, None to go on.

    fixed: the protocol's rounds are done. precise: the interval is narrow enough. settled: the spread of the rounds no longer changes, and
    at this spread the rounds that are left would not make the interval narrow enough. limit: rounds or time are used up.
    """
    protocol, count, used = measurement.protocol, len(measurement.trials), len(measurement.round_medians_s)
    if protocol.precision is None:
        return "fixed" if count >= protocol.rounds else None
    if used < protocol.min_rounds and count < protocol.rounds:
        return None
    if measurement.relative_half_width <= protocol.precision:
        return "precise"
    if count >= protocol.rounds or float(measurement.raw_s.sum()) >= protocol.limit_s:
        return "limit"
    if used >= 2 * protocol.min_rounds and _is_stable(measurement):
        return "stable"
    return None


def _is_stable(measurement: Measurement) -> bool:
    medians, protocol = measurement.round_medians_s, measurement.protocol
    now, before = medians.std(ddof=1), medians[: math.ceil(0.75 * medians.size)].std(ddof=1)
    if now == 0 or abs(before / now - 1) > STABLE_STD_CHANGE:
        return False
    best = measurement.relative_half_width * np.sqrt(medians.size / protocol.rounds)
    return bool(best > (protocol.precision or 0))
