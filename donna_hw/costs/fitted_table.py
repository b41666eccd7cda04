"""A latency table from whole networks alone: the fitted cost of each block, with its standard error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.fit import FitResult, fit_cost
from donna_hw.costs.hierarchical import FittedCost
from donna_hw.costs.random_effects import iter_term_costs
from donna_hw.errors import ConfigError
from donna_hw.graph.graph import layers_hash
from donna_hw.measurement.environment import Scalar
from donna_hw.spaces.space import Space
from donna_hw.tables.coverage import FIXED, fixed_hash
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.network_measurements import MeasuredNetworks
from donna_hw.tables.table_info import LaunchFloor, TableInfo, std_column, table_path

COLUMNS = {"sum": ("fitted_s",), "floor": ("launch_s", "work_s")}  # the last is the cost


def build_table(space: Space, fit: FitResult, identity: Mapping[str, Scalar], root: Path, variant: str) -> LatencyTable:
    """Return the table of a fit, of origin `fitted`; it is not written yet.

    All fixed parts are one row, `fixed`, since whole networks cannot separate them. The errors of rows are correlated: two rows that no
    network separates may each be far off.

    Args:
        space: The space of the networks.
        fit: The fitted cost.
        identity: What the networks were measured on, with the device and the source.
        root: The folder of tables.
        variant: The variant in the table's file name.

    Returns:
        The table.
    """
    names = [axis.name for axis in space.global_axes]
    axes = list(dict.fromkeys(axis.name for stage in space.stages for axis in stage.axes))
    frames = []
    for number, setting in enumerate(space.setting_combinations):
        values = [str(axis.values[index]) for axis, index in zip(space.global_axes, setting, strict=True)]
        frame = pd.DataFrame(_iter_row_keys(space.at_index(setting), axes))
        for name, value in zip(names, values, strict=True):
            frame.insert(len(frame.columns) - 1, name, value)
        for part, column in enumerate(COLUMNS[fit.kind]):
            mean, std = compute_term_costs(fit.cost, part, number)
            frame[column], frame[std_column(column)] = mean, std
        frames.append(frame)
    cost, columns = fit.cost, COLUMNS[fit.kind]
    sharpness = cost.prior.sharpness
    info = TableInfo(
        device=cost.name,
        space=space.name,
        quantity="latency",
        unit=cost.unit,
        origin="fitted",
        column=columns[-1],
        identity={**identity, "space_hash": space.hash},
        conditions={
            "networks": len(cost.measured),
            "model": fit.kind,
            "mape_held_out_percent": round(fit.mape_percent, 3),
            "coverage_of_90_percent": round(fit.coverage, 3),
        },
        donna_hw=version("donna-hw"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        residual_std=float(f"{cost.relative_noise:.6g}"),
        floor=None if sharpness is None else LaunchFloor(column=columns[0], sharpness=sharpness),
    )
    return LatencyTable(info, pd.concat(frames, ignore_index=True), table_path(root, cost.name, space.name, variant))


def write_fitted_table(table: LatencyTable) -> None:
    """Write a fitted table; it may overwrite a fitted one, never one that was measured, computed or simulated."""
    origin = LatencyTable.read(table.path).info.origin if table.path.exists() else "fitted"
    if origin != "fitted":
        raise ConfigError(
            f"{table.path} cannot be overwritten by a fitted table: its rows are {origin}",
            hint="choose another folder with --tables, or rename the file of the networks",
        )
    table.write()


def compute_term_costs(cost: FittedCost, part: int, setting: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the costs of the fixed parts and of every block in one part at one setting, and their standard errors, float [1 + blocks]."""
    weights, effects = cost.prior.weights[part], cost.effects[part]
    mean = np.concatenate(list(iter_term_costs(cost.basis, weights, effects, setting)))
    sizes = [sum(len(values) for values in groups.values()) for groups in cost.effects]
    covariance = cost.effect_covariance()[sum(sizes[:part]) :, sum(sizes[:part]) :][: sizes[part], : sizes[part]]
    zeros = {name: np.zeros_like(values) for name, values in effects.items()}
    base = np.concatenate(list(iter_term_costs(cost.basis, weights, zeros, setting)))
    slopes = []
    for name, values in effects.items():  # the cost is linear in every effect
        for unit in np.eye(len(values)):
            with_effect = iter_term_costs(cost.basis, weights, {**zeros, name: unit}, setting)
            slopes.append(np.concatenate(list(with_effect)) - base)
    by_effect = np.array(slopes)
    variance = np.einsum("ib,ij,jb->b", by_effect, covariance, by_effect, optimize=True)
    return mean, np.sqrt(np.maximum(variance, 0.0)) * np.exp(cost.calibration.level)


def _iter_row_keys(space: Space, axes: list[str]) -> Iterator[dict[str, str]]:
    """Yield the part, the axis values and the hash of the layers, of the fixed parts together and of every block."""
    yield {"part": FIXED[0], **dict.fromkeys(axes, ""), "layers_hash": fixed_hash(space)}
    for stage in space.stages:
        for number in range(stage.size):
            choice = {name: str(value) for name, value in stage.choice(number).items()}
            cells = {name: choice.get(name, "") for name in axes}
            yield {"part": stage.name, **cells, "layers_hash": layers_hash(space.block_graph(stage, number))}


def fit_table(
    networks: MeasuredNetworks, *, kind: str, from_layers: bool, root: Path, variant: str
) -> tuple[LatencyTable, FitResult]:
    """Return the table of measured networks, not written yet, and its fit.

    Args:
        networks: The networks and their latencies.
        kind: `sum`, `floor` or `auto`; see `fit_cost`.
        from_layers: Whether the prior is the work of each block's layers, or none.
        root: The folder of tables.
        variant: The variant in the table's file name.
    """
    basis = FeatureBasis.from_layers(networks.space) if from_layers else FeatureBasis.uniform(networks.space)
    fit = fit_cost(networks.device, basis, networks.rows, networks.seconds, kind=kind)
    return build_table(networks.space, fit, networks.metadata, root, variant), fit
