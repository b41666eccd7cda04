"""Correcting a table by whole networks that are chosen to tell most, until as many are measured, or the error is as low, as asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.fit import MIN_NETWORKS, FitResult, fit_cost
from donna_hw.costs.fitted_table import build_table, write_fitted_table
from donna_hw.costs.hierarchical import FittedCost
from donna_hw.costs.optimal_design import select_informative
from donna_hw.costs.serialization import save_correction
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, TableError
from donna_hw.profiling.network_profiling import measure_networks
from donna_hw.profiling.table_setup import table_protocol
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Rows, Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import ensure_writable_table
from donna_hw.tables.network_measurements import NETWORKS_SUFFIX, MeasuredNetworks

INITIAL_BATCH, BATCH = 10, 10  # networks measured before the first fit, and between two
MIN_CANDIDATES = 500
MeasureFn = Callable[[Rows], np.ndarray]


@dataclass(frozen=True)
class CorrectionConfig:
    """How many networks to measure at most, and the error in per cent on networks left out that is low enough (0: measure them all).

    kind: see `fit_cost`. seed: of the networks among which the choice is.
    """

    max_networks: int = 30
    target_error_percent: float = 0.0
    kind: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_networks < MIN_NETWORKS:
            raise ConfigError(f"a correction needs at least {MIN_NETWORKS} whole networks", got=self.max_networks)


def sample_candidates(space: Space, plan: CorrectionConfig) -> Rows:
    """Return the networks to choose from, int [n, stages + global axes]: 500 or more, drawn uniformly by the plan's seed."""
    if space.size < plan.max_networks:
        raise ConfigError(f"{space.name} must have as many networks as are to be measured", got=space.size)
    return space.random_rows(min(max(MIN_CANDIDATES, 4 * plan.max_networks), space.size), plan.seed)


def fit_correction(
    names: tuple[str, str], basis: FeatureBasis, candidates: Rows, measure: MeasureFn, plan: CorrectionConfig
) -> FitResult:
    """Return a cost corrected by whole networks, which `measure` times.

    names: of the cost and of its unit. The networks are chosen among the candidates in batches: each is the one after which the costs of
    all candidates would be known best.
    """
    left = np.ones(len(candidates), bool)
    rows, measured, fit = candidates[:0], np.empty(0), None
    while fit is None or (len(rows) < plan.max_networks and fit.mape_percent > plan.target_error_percent):
        count = min(INITIAL_BATCH if fit is None else BATCH, plan.max_networks - len(rows))
        numbers = np.flatnonzero(left)
        cost = fit.cost if fit is not None else FittedCost.from_prior(names, basis, candidates)
        picks = numbers[:count] if cost is None else numbers[select_informative(cost, candidates[numbers], count)]
        left[picks] = False
        measured = np.concatenate([measured, measure(candidates[picks])])
        rows = np.concatenate([rows, candidates[picks]])
        fit = fit_cost(names[0], basis, rows, measured, kind=plan.kind, unit=names[1])
    return fit


def measure_and_correct(table: LatencyTable, plan: CorrectionConfig, root: Path) -> tuple[FitResult, Path]:
    """Correct a table by whole networks measured beside it on its device; returns the fit and the correction's file.

    A shipped table is copied to `root` first.
    """
    table = ensure_writable_table(table, root)
    space, device = load_space(table.info.space), Device.load(table.info.device)
    protocol = table_protocol(table, device)

    def measure(rows: Rows) -> np.ndarray:
        return measure_networks(space, device, table, [space.architecture(row) for row in rows], protocol)

    names = (table.info.device, table.info.unit)
    fit = fit_correction(names, FeatureBasis.from_table(space, table), sample_candidates(space, plan), measure, plan)
    return fit, save_correction(space, table, fit)


def correct_from_networks(
    table: LatencyTable, networks: Path, plan: CorrectionConfig, root: Path
) -> tuple[FitResult, Path]:
    """Correct a table by networks measured before, those that tell most first; returns the fit and the file written.

    Of the table's own device and in its unit they give its correction. Of another device, or where the table counts or simulates, they
    give a table of their device below `root`: of origin `fitted`, in seconds, a row for each block.
    """
    space, known = load_space(table.info.space), MeasuredNetworks.read(networks)
    if known.space.hash != space.hash:
        raise TableError(f"{networks} must be of the space {space.name}", got=known.space.name)
    seconds = dict(zip(map(tuple, known.rows.tolist()), known.seconds, strict=True))
    if len(seconds) < len(known.seconds):
        raise TableError(f"{networks} must have each network once", got=f"{len(known.seconds) - len(seconds)} again")

    def measure(rows: Rows) -> np.ndarray:
        return np.array([seconds[tuple(row)] for row in rows.tolist()])

    plan = replace(plan, max_networks=min(plan.max_networks, len(seconds)))
    fit = fit_correction((known.device, "s"), FeatureBasis.from_table(space, table), known.rows, measure, plan)
    if (known.device, "s", "measured") == (table.info.device, table.info.unit, table.info.origin):
        return fit, save_correction(space, ensure_writable_table(table, root), fit)
    ground = f"{table.info.device}/{table.info.space}/{table.path.stem}, {table.info.origin}"
    variant = networks.name.removesuffix(NETWORKS_SUFFIX)
    made = build_table(space, fit, {**known.metadata, "ground": ground}, root, variant)
    write_fitted_table(made)
    return fit, made.path
