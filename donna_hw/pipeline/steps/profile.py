"""Costs of the blocks of a run: measured latencies, and counts of operations and parameters."""

from __future__ import annotations

from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.correction import CorrectionConfig, fit_correction, sample_candidates
from donna_hw.costs.serialization import save_correction
from donna_hw.devices.device import Device
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.sampling import latency_test_rows
from donna_hw.profiling.profiler import profile_space
from donna_hw.tables.latency_table import LatencyTable


def profile_blocks(run: Run) -> LatencyTable:
    """Measure the latency of every block, then of whole networks, and fit the correction of the sum to these.

    Args:
        run: An open run; what its tables already hold is not measured again.

    Returns:
        The table of the recipe's device, with its correction saved next to it.
    """
    table = profile_space(run.space, run.device, run.tables, run.protocol, workers=run.measurement_workers)
    config = CorrectionConfig(run.recipe.latency.calibration_networks, seed=run.recipe.seed)
    names, basis = (table.info.device, table.info.unit), FeatureBasis.from_table(run.space, table)
    candidates = sample_candidates(run.space, config)
    correction = fit_correction(names, basis, candidates, lambda rows: run.measure(table, rows), config)
    save_correction(run.space, table, correction)
    if run.recipe.latency.test_networks:
        run.measure(table, latency_test_rows(run))
    return table


def count_blocks(run: Run) -> list[LatencyTable]:
    """Count operations and parameters of every block; return a table for each of the recipe's counters."""
    return [profile_space(run.space, Device.load(name), run.tables) for name in run.recipe.counters]
