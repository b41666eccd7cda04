"""A front that is verified on its device: networks are measured whole beside the table, and its correction is fitted anew."""

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
    aim: SearchProblem,
    search: Search,
    table: LatencyTable,
    plan: VerificationConfig,
    *,
    folder: Path | None = None,
    protocol: Protocol | None = None,
    workers: WorkerFactory = create_subprocess_workers,
    log: Callable[[str], None] = logger.info,
) -> VerificationResult:
    """Search until the front stands (`verify_until_stable`), and keep the correction and the rounds beside the table.

    table: of the aim's first cost; a shipped one is copied to `folder` first. Networks measured beside it by earlier searches are fitted to
    from the start, so that a search that was killed goes on. protocol: by default the table's own. Raises `BadTable` where this machine is
    not the one that the table was measured on.
    """
    table = ensure_writable_table(table, folder)
    device = Device.load(table.info.device)
    protocol = protocol or table_protocol(table, device)
    measure = MeasuredCost(
        aim.space, device, table, protocol, plan.networks_per_round * plan.max_rounds, workers=workers, log=log
    )
    name, basis, fits = aim.costs[0].name, FeatureBasis.from_table(aim.space, table), list[FitResult]()

    def refit(rows: Rows, measured: np.ndarray) -> CostModel:
        fits.append(fit_cost(name, basis, rows, measured, unit=aim.costs[0].unit))
        return fits[-1].cost

    known = measure.load_measured()
    begun, _ = refit_problem(aim, refit, *known)
    standing = verify_until_stable(begun, search, measure, refit, plan, known=known)
    if fits:
        save_correction(aim.space, table, fits[-1])
    write_csv(verification_path(table), standing.to_frame())
    return standing


def verification_path(table: LatencyTable) -> Path:
    """Return where the rounds of a table's last verified search are kept."""
    return table.path.with_suffix(".verification.csv")
