"""Scale: what the samples of a whole table say of its machine, beside what each says of its block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from donna_hw.measurement.environment import Environment
from donna_hw.measurement.measurement import Measurement
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.sample_journal import BlockRecord

UNDISTURBED_QUANTILE = 0.1
MIN_ROUNDS = 3  # before the spread of a block means anything


@dataclass(frozen=True)
class TableCalibration:
    """sentinel_reference_s: how fast the sentinel is on the machine undisturbed; None without one. least_spread: see `Measurement`."""

    sentinel_reference_s: float | None = None
    min_relative_std: float = 0.0


def build_measurements(
    records: Mapping[str, BlockRecord], protocol: Protocol, environment: Environment, scale: TableCalibration
) -> dict[str, Measurement]:
    """Return the measurement of every block that could be run."""
    return {
        key: Measurement(
            tuple(record.trials),
            protocol,
            environment,
            scale.sentinel_reference_s,
            min_relative_std=scale.min_relative_std,
        )
        for key, record in records.items()
        if record.trials and not record.failure
    }


def calibrate_table(
    records: Mapping[str, BlockRecord], protocol: Protocol, environment: Environment
) -> TableCalibration:
    """Return the scale of a table from everything that was measured for it.

    The sentinel's reference is the tenth part of its slices' medians from below: a machine that shares its cores is slowed down from
    outside and never sped up, so that its undisturbed speed is the one that can be met again. The spread is the median over the blocks.
    """
    slices = [
        visit.sentinel_medians_s for record in records.values() for visit in record.trials if visit.sentinel_s.size
    ]
    reference = float(np.quantile(np.concatenate(slices), UNDISTURBED_QUANTILE)) if slices else None
    found = build_measurements(records, protocol, environment, TableCalibration(reference))
    spreads = [one.relative_std for one in found.values() if len(one.round_medians_s) >= MIN_ROUNDS]
    known = [spread for spread in spreads if np.isfinite(spread)]
    return TableCalibration(reference, float(np.median(known)) if known else 0.0)
