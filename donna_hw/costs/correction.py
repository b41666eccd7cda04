"""Correcting a table by the most informative whole networks, until enough are measured or the error is low enough."""

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

INITIAL_BATCH, BATCH = 10, 10  # networks measured before the first fit, and between two fits
MIN_CANDIDATES = 500
MeasureFn = Callable[[Rows], np.ndarray]


@dataclass(frozen=True)
class CorrectionConfig:
    """How to correct a table.

    Args:
        max_networks: Networks to measure at most, at least 4.
        target_error_percent: Mean error on held-out networks, in per cent, at which measuring stops; 0 measures all of them.
        kind: `sum`, `floor` or `auto`; see `fit_cost`.
        seed: Seed of the candidates among which the networks are selected.

    Raises:
        ConfigError: There are fewer than 4 networks.
    """

    max_networks: int = 30
    target_error_percent: float = 0.0
    kind: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_networks < MIN_NETWORKS:
            raise ConfigError(f"max_networks must be at least {MIN_NETWORKS}", got=self.max_networks)


def sample_candidates(space: Space, config: CorrectionConfig) -> Rows:
    """Return the networks to select from, int [n, stages + global axes]: 500 or more, drawn uniformly with the seed."""
    if space.size < config.max_networks:
        raise ConfigError(
            f"{space.name} has only {space.size} networks",
            hint=f"measure at most that many, instead of {config.max_networks}",
        )
    return space.random_rows(min(max(MIN_CANDIDATES, 4 * config.max_networks), space.size), config.seed)


def fit_correction(
    names: tuple[str, str], basis: FeatureBasis, candidates: Rows, measure: MeasureFn, config: CorrectionConfig
) -> FitResult:
    """Return a cost corrected by whole networks.

    The networks are selected among the candidates in batches. Each is the one after which the costs of all candidates would be known best.

    Args:
        names: Names of the cost and of its unit.
        basis: The prior of the cost.
        candidates: Networks to select from, int [n, stages + global axes].
        measure: Returns the costs of networks.
        config: When to stop, and which kind of cost to fit.

    Returns:
        The fit to all measured networks.
    """
    remaining = np.ones(len(candidates), bool)
    rows, measured, fit = candidates[:0], np.empty(0), None
    while fit is None or (len(rows) < config.max_networks and fit.mape_percent > config.target_error_percent):
        count = min(INITIAL_BATCH if fit is None else BATCH, config.max_networks - len(rows))
        indices = np.flatnonzero(remaining)
        cost = fit.cost if fit is not None else FittedCost.from_prior(names, basis, candidates)
        picks = indices[:count] if cost is None else indices[select_informative(cost, candidates[indices], count)]
        remaining[picks] = False
        measured = np.concatenate([measured, measure(candidates[picks])])
        rows = np.concatenate([rows, candidates[picks]])
        fit = fit_cost(names[0], basis, rows, measured, kind=config.kind, unit=names[1])
    return fit


def measure_and_correct(table: LatencyTable, config: CorrectionConfig, root: Path) -> tuple[FitResult, Path]:
    """Correct a table by whole networks that are measured on its device.

    Args:
        table: The table; a shipped one is copied to `root` first.
        config: How many networks to measure, and which kind of cost to fit.
        root: The folder of tables.

    Returns:
        The fit, and the file of the correction.
    """
    table = ensure_writable_table(table, root)
    space, device = load_space(table.info.space), Device.load(table.info.device)
    protocol = table_protocol(table, device)

    def measure(rows: Rows) -> np.ndarray:
        return measure_networks(space, device, table, [space.architecture(row) for row in rows], protocol)

    names = (table.info.device, table.info.unit)
    fit = fit_correction(
        names, FeatureBasis.from_table(space, table), sample_candidates(space, config), measure, config
    )
    return fit, save_correction(space, table, fit)


def correct_from_networks(
    table: LatencyTable, networks: Path, config: CorrectionConfig, root: Path
) -> tuple[FitResult, Path]:
    """Correct a table by networks measured before, the most informative ones first.

    Networks of the table's own device and unit give a correction of the table. Otherwise, or where the table is computed, they give a new
    table of their device: of origin `fitted`, in seconds, with a row for each block.

    Args:
        table: The table; a shipped one is copied to `root` first.
        networks: CSV of measured networks.
        config: How many networks to use, and which kind of cost to fit.
        root: The folder of tables.

    Returns:
        The fit, and the file that was written.

    Raises:
        TableError: The networks are of another space, or one is there twice.
    """
    space, known = load_space(table.info.space), MeasuredNetworks.read(networks)
    if known.space.hash != space.hash:
        raise TableError(f"{networks}: the networks are of another space than {space.name}", got=known.space.name)
    seconds = dict(zip(map(tuple, known.rows.tolist()), known.seconds, strict=True))
    if len(seconds) < len(known.seconds):
        raise TableError(f"{networks}: {len(known.seconds) - len(seconds)} networks are there more than once")

    def measure(rows: Rows) -> np.ndarray:
        return np.array([seconds[tuple(row)] for row in rows.tolist()])

    config = replace(config, max_networks=min(config.max_networks, len(seconds)))
    fit = fit_correction((known.device, "s"), FeatureBasis.from_table(space, table), known.rows, measure, config)
    if (known.device, "s", "measured") == (table.info.device, table.info.unit, table.info.origin):
        return fit, save_correction(space, ensure_writable_table(table, root), fit)
    prior = f"{table.info.device}/{table.info.space}/{table.path.stem}, {table.info.origin}"
    variant = networks.name.removesuffix(NETWORKS_SUFFIX)
    fitted = build_table(space, fit, {**known.metadata, "prior": prior}, root, variant)
    write_fitted_table(fitted)
    return fit, fitted.path
