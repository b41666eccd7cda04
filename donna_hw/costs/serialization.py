"""The correction saved next to a table: the whole networks and the fitted parameters, from which the fit is solved again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from donna_hw._core.toml_files import StrictModel, read_model, write_toml
from donna_hw.costs.additive_terms import AdditiveWeights
from donna_hw.costs.base import CostModel
from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.fit import KINDS, FitResult
from donna_hw.costs.hierarchical import FittedCost, IntervalCalibration
from donna_hw.costs.marginal_likelihood import VarianceParams
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import ConfigError, DonnaError, FileFormatError, TableError
from donna_hw.spaces.space import Rows, Space
from donna_hw.tables.latency_table import LatencyTable

CORRECTION_SUFFIX = ".correction.toml"


class CorrectionFile(StrictModel):
    """The keys of a correction's TOML; `FittedCost`, `VarianceParams`, `IntervalCalibration` and `FitResult` explain most of them.

    Attributes:
        table: Fingerprint of the rows that were corrected.
        networks: The networks, each with a label per stage, joined by `/`.
        measured: Their costs in the table's unit.
    """

    table: str
    kind: str
    weights: list[list[float]]
    sharpness: float | None = Field(default=None, gt=0)
    log_effects: list[float]
    log_noise: list[float]
    growth: float
    level: float
    slope: float
    mape_percent: float = Field(ge=0)
    prior_mape_percent: float | None = Field(default=None, ge=0)
    coverage: float = Field(ge=0, le=1)
    networks: list[str]
    measured: list[float]
    outlier_scale: list[float]


def load_cost(space: Space, table: LatencyTable, name: str = "") -> CostModel:
    """Return the cost of a space's networks by a table, corrected where the table has a correction.

    Args:
        space: The space of the networks.
        table: A table that covers the space.
        name: Name of the cost; by default that of the table's device.

    Returns:
        The cost.

    Raises:
        TableError: The table lacks rows of the space, or changed since it was corrected.
        FileFormatError: The correction is corrupt.
    """
    cost = load_corrected_cost(space, table) or TableCost.of(space, table)
    return replace(cost, name=name or cost.name)


def load_corrected_cost(space: Space, table: LatencyTable) -> FittedCost | None:
    """Return the corrected cost of a table; None where the table has no correction.

    Raises `FileFormatError`, `UnknownNameError` or `ConfigError` for a correction that is corrupt, lacks a key or has values of no fit, and
    `TableError` where the table's rows changed since.
    """
    correction, path = load_correction(table), correction_path(table)
    if correction is None:
        return None
    basis = FeatureBasis.from_table(space, table)  # rejects a table that lacks rows
    if correction.table != fingerprint(table):
        raise TableError(
            f"{path} belongs to other rows than {table.path.name} has now",
            hint=f"fit it again: donna-hw table calibrate {table.path}",
        )
    rows, measured = parse_networks(space, correction.networks, path), np.array(correction.measured)
    _validate_file(correction, basis, path)
    params = VarianceParams(
        np.array(correction.log_effects),
        np.array(correction.log_noise),
        correction.growth,
        np.array(correction.outlier_scale),
    )
    prior = AdditiveWeights(np.array(correction.weights), correction.sharpness)
    names, calibration = (table.info.device, table.info.unit), IntervalCalibration(correction.level, correction.slope)
    cost = replace(
        FittedCost.from_weights(names, basis, rows, measured, prior), variance_params=params, calibration=calibration
    )
    try:
        cost.mean(rows)  # solves the fit
    except DonnaError:
        raise
    except (ValueError, np.linalg.LinAlgError) as error:
        raise FileFormatError(
            f"{path}: the fit cannot be solved: {error}", hint="fit it again: donna-hw table calibrate"
        ) from None
    return cost


def load_correction(table: LatencyTable) -> CorrectionFile | None:
    """Return the content of a table's correction file; None where there is none."""
    path = correction_path(table)
    return read_model(path, CorrectionFile) if path.exists() else None


def save_correction(space: Space, table: LatencyTable, fit: FitResult) -> Path:
    """Save a fit next to its table and return the file's path."""
    cost = fit.cost
    content = CorrectionFile(
        table=fingerprint(table),
        kind=fit.kind,
        weights=cost.prior.weights.tolist(),
        sharpness=cost.prior.sharpness,
        log_effects=cost.variance_params.log_effects.tolist(),
        log_noise=cost.variance_params.log_noise.tolist(),
        growth=cost.variance_params.growth,
        level=cost.calibration.level,
        slope=cost.calibration.slope,
        mape_percent=fit.mape_percent,
        prior_mape_percent=None if np.isnan(fit.prior_mape_percent) else fit.prior_mape_percent,
        coverage=fit.coverage,
        networks=[space.network_name(space.architecture(row)) for row in cost.rows],
        measured=cost.measured.tolist(),
        outlier_scale=cost.variance_params.outlier_scale.tolist(),
    )
    path = correction_path(table)
    write_toml(path, content.model_dump(exclude_none=True))
    return path


def correction_path(table: LatencyTable) -> Path:
    """Return the path of a table's correction."""
    return table.path.with_suffix(CORRECTION_SUFFIX)


def fingerprint(table: LatencyTable) -> str:
    """Return 16 hexadecimal digits that identify a table's costs, row by row."""
    cells = table.frame[["part", "layers_hash", table.info.column]].to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(cells.encode()).hexdigest()[:16]


def parse_networks(space: Space, networks: list[str], path: Path) -> Rows:
    """Return networks named by a label per stage, joined by `/`, as rows int [n, stages].

    Raises `FileFormatError` for a wrong number of labels, and `UnknownNameError` for an unknown one.
    """
    try:
        rows = [space.row(space.architecture_from_name(name)) for name in networks]
    except ConfigError as error:
        raise FileFormatError(f"{path}: {error.message}", got=error.got) from None
    return np.array(rows, np.int64).reshape(len(rows), len(space.columns))


def _validate_file(correction: CorrectionFile, basis: FeatureBasis, path: Path) -> None:
    """Raise `FileFormatError` where lists differ in length, or a number is outside of the range of any fit."""
    parts = {"sum": 1, "floor": 2}.get(correction.kind)
    count = len(correction.networks)
    requirements = {
        f"kind must be one of {', '.join(KINDS)}": parts is not None,
        "weights must have a list of the basis's weights for each part": parts is not None
        and [len(part) for part in correction.weights] == [len(basis.names)] * parts,
        "weights must be zero or more, and not all zero": all(
            min(part) >= 0 < max(part) for part in correction.weights if part
        ),
        "a floor needs a sharpness, and a sum has none": (correction.sharpness is not None)
        == (correction.kind == "floor"),
        "log_noise must have a number for each part": len(correction.log_noise) == parts,
        "networks, measured and outlier_scale must have the same length": count
        == len(correction.measured)
        == len(correction.outlier_scale)
        and count > 0,
        "measured and outlier_scale must be above zero": all(
            value > 0 for value in (*correction.measured, *correction.outlier_scale)
        ),
        "log_effects and log_noise must lie within 20 of zero": all(
            abs(value) <= 20 for value in (*correction.log_effects, *correction.log_noise)
        ),
        "growth, level and slope must lie within 3 of zero": max(
            abs(correction.growth), abs(correction.level), abs(correction.slope)
        )
        <= 3,
    }
    for requirement, is_met in requirements.items():
        if not is_met:
            raise FileFormatError(f"{path}: {requirement}", hint="fit it again: donna-hw table calibrate")
