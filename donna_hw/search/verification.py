"""Verifying a front on its device: whole networks are measured next to the table, and its correction is fitted again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from donna_hw._core.csv_files import write_csv
from donna_hw.costs.base import CostModel
from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.fit import FitResult, fit_cost
from donna_hw.costs.measured import MeasuredCost, logger
from donna_hw.costs.serialization import save_correction
from donna_hw.devices.device import Device
from donna_hw.measurement.protocol import Protocol
from donna_hw.profiling.table_setup import table_protocol
from donna_hw.profiling.workers.base import WorkerFactory
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.search.problem import SearchProblem
from donna_hw.search.verification_loop import (
    Search,
    VerificationConfig,
    VerificationResult,
    refit_problem,
    verify_until_stable,
)
from donna_hw.spaces.space import Rows
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import ensure_writable_table


def verify_on_device(
    problem: SearchProblem,
    search: Search,
    table: LatencyTable,
    config: VerificationConfig,
    *,
    folder: Path | None = None,
    protocol: Protocol | None = None,
    workers: WorkerFactory = create_subprocess_workers,
    log: Callable[[str], None] = logger.info,
) -> VerificationResult:
    """Search until the front is stable (`verify_until_stable`), and save the correction and the rounds next to the table.

    Networks that earlier searches measured next to the table are fitted from the start, so that an interrupted search resumes.

    Args:
        problem: What is searched for.
        search: Returns the front of a problem.
        table: The table of the problem's first cost; a shipped one is copied to `folder` first.
        config: How many networks and rounds to measure.
        folder: Where a shipped table is copied to.
        protocol: How to measure; by default the table's own protocol.
        workers: Starts the processes that measure.
        log: Receives lines of progress.

    Returns:
        The last front, and what each round measured.

    Raises:
        TableError: This machine is not the one that the table was measured on.
    """
    table = ensure_writable_table(table, folder)
    device = Device.load(table.info.device)
    protocol = protocol or table_protocol(table, device)
    measure = MeasuredCost(
        problem.space, device, table, protocol, config.networks_per_round * config.max_rounds, workers=workers, log=log
    )
    name, basis, fits = problem.costs[0].name, FeatureBasis.from_table(problem.space, table), list[FitResult]()

    def refit(rows: Rows, measured: np.ndarray) -> CostModel:
        fits.append(fit_cost(name, basis, rows, measured, unit=problem.costs[0].unit))
        return fits[-1].cost

    known = measure.load_measured()
    refitted, _ = refit_problem(problem, refit, *known)
    result = verify_until_stable(refitted, search, measure, refit, config, known=known)
    if fits:
        save_correction(problem.space, table, fits[-1])
    write_csv(verification_path(table), result.to_frame())
    return result


def verification_path(table: LatencyTable) -> Path:
    """Return the file with the rounds of a table's last verified search."""
    return table.path.with_suffix(".verification.csv")
