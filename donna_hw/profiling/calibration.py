"""Calibration: what the samples of a whole table show of its machine, apart from what each shows of its block."""

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
    """The scale that all measurements of a table share.

    Attributes:
        sentinel_reference_s: Time of the sentinel on the undisturbed machine, in seconds; None without a sentinel.
        min_relative_std: See `Measurement`.
    """

    sentinel_reference_s: float | None = None
    min_relative_std: float = 0.0


def build_measurements(
    records: Mapping[str, BlockRecord], protocol: Protocol, environment: Environment, calibration: TableCalibration
) -> dict[str, Measurement]:
    """Return the measurement of every block that could be run."""
    return {
        key: Measurement(
            tuple(record.trials),
            protocol,
            environment,
            calibration.sentinel_reference_s,
            min_relative_std=calibration.min_relative_std,
        )
        for key, record in records.items()
        if record.trials and not record.failure
    }


def calibrate_table(
    records: Mapping[str, BlockRecord], protocol: Protocol, environment: Environment
) -> TableCalibration:
    """Return the calibration of a table from everything that was measured for it.

    The sentinel's reference is the lowest decile of its slices' medians: a machine that shares its cores is slowed down from outside
    and never sped up, so that its undisturbed speed is the one that can be met again. The spread is the median over the blocks.
    """
    slices = [
        trial.sentinel_medians_s for record in records.values() for trial in record.trials if trial.sentinel_s.size
    ]
    reference = float(np.quantile(np.concatenate(slices), UNDISTURBED_QUANTILE)) if slices else None
    measured = build_measurements(records, protocol, environment, TableCalibration(reference)).values()
    stds = [block.relative_std for block in measured if len(block.round_medians_s) >= MIN_ROUNDS]
    finite = [std for std in stds if np.isfinite(std)]
    return TableCalibration(reference, float(np.median(finite)) if finite else 0.0)
