"""The correction kept beside a table: the whole networks that it was fitted to and what was found; the fit is solved again from them."""

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
    """The keys of a correction's TOML; see `FittedCost`, `VarianceParams`, `IntervalCalibration` and `FitResult` for what they mean.

    table: names the rows that were corrected. networks: each a label a stage, joined by `/`; measured: in the table's unit.
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
    """Return what networks of a space cost by a table, corrected where a correction lies beside it; called `name`, else as its device."""
    found = load_corrected_cost(space, table) or TableCost.of(space, table)
    return replace(found, name=name or found.name)


def load_corrected_cost(space: Space, table: LatencyTable) -> FittedCost | None:
    """Return the corrected cost of a table, None where no correction lies beside it.

    Raises `FileFormatError`, `UnknownNameError` or `ConfigError` for a file that is torn, lacks a key or holds what no fit gives; `TableError` where the
    table's rows are no longer those that were corrected.
    """
    kept, path = load_correction(table), correction_path(table)
    if kept is None:
        return None
    basis = FeatureBasis.from_table(space, table)  # refuses a table that is not whole
    if kept.table != fingerprint(table):
        raise TableError(
            f"{path} must be of the rows that {table.path.name} has now",
            got="rows that were measured since",
            hint=f"donna-hw table correct {table.path} fits it again",
        )
    rows, measured = parse_networks(space, kept.networks, path), np.array(kept.measured)
    _validate_file(kept, basis, path)
    spreads = VarianceParams(
        np.array(kept.log_effects), np.array(kept.log_noise), kept.growth, np.array(kept.outlier_scale)
    )
    before = AdditiveWeights(np.array(kept.weights), kept.sharpness)
    names, calibration = (table.info.device, table.info.unit), IntervalCalibration(kept.level, kept.slope)
    cost = replace(
        FittedCost.from_weights(names, basis, rows, measured, before), variance_params=spreads, calibration=calibration
    )
    try:
        cost.mean(rows)  # solves the fit
    except DonnaError:
        raise
    except (ValueError, np.linalg.LinAlgError) as error:
        raise FileFormatError(
            f"{path} must hold a fit", got=str(error), hint="fit it again: donna-hw table correct"
        ) from None
    return cost


def load_correction(table: LatencyTable) -> CorrectionFile | None:
    """Return what the file beside a table says, None where there is none."""
    path = correction_path(table)
    return read_model(path, CorrectionFile) if path.exists() else None


def save_correction(space: Space, table: LatencyTable, fit: FitResult) -> Path:
    """Write a fit beside its table and return the file's path."""
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
    """Return where a table's correction lies."""
    return table.path.with_suffix(CORRECTION_SUFFIX)


def fingerprint(table: LatencyTable) -> str:
    """Return 16 hexadecimal digits that name a table's costs, row by row."""
    cells = table.frame[["part", "layers_hash", table.info.column]].to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(cells.encode()).hexdigest()[:16]


def parse_networks(space: Space, networks: list[str], path: Path) -> Rows:
    """Return networks named by a label a stage, joined by `/`, as rows int [n, stages]; raises `FileFormatError` and `UnknownNameError`."""
    try:
        rows = [space.row(space.architecture_from_name(name)) for name in networks]
    except ConfigError as error:
        raise FileFormatError(f"{path}: {error.message}", got=error.got) from None
    return np.array(rows, np.int64).reshape(len(rows), len(space.columns))


def _validate_file(kept: CorrectionFile, basis: FeatureBasis, path: Path) -> None:
    """Raise `FileFormatError` where lists that belong together differ in length, or a number is one that no fit gives."""
    parts = {"sum": 1, "floor": 2}.get(kept.kind)
    count = len(kept.networks)
    rules = {
        f"kind must be one of {', '.join(KINDS)}": parts is not None,
        "weights must be a list of the basis's numbers for each part": parts is not None
        and [len(each) for each in kept.weights] == [len(basis.names)] * parts,
        "weights must be zero or more, and some above": all(
            min(each) >= 0 < max(each) for each in kept.weights if each
        ),
        "a sharpness belongs to a floor": (kept.sharpness is not None) == (kept.kind == "floor"),
        "log_noise must have a number for each part": len(kept.log_noise) == parts,
        "networks, measured and outlying must be as many": count == len(kept.measured) == len(kept.outlier_scale)
        and count > 0,
        "measured and outlying must be above zero": all(value > 0 for value in (*kept.measured, *kept.outlier_scale)),
        "logs must lie within 20 of zero": all(abs(value) <= 20 for value in (*kept.log_effects, *kept.log_noise)),
        "growth, level and slope must lie within 3 of zero": max(abs(kept.growth), abs(kept.level), abs(kept.slope))
        <= 3,
    }
    for rule, holds in rules.items():
        if not holds:
            raise FileFormatError(f"{path}: {rule}", hint="fit it again: donna-hw table correct")
