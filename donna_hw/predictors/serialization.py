"""Reading of saved predictors: the TOML files that `save` wrote; nothing is unpickled."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from donna_hw._core.toml_files import read_toml
from donna_hw.errors import DonnaError, FileFormatError
from donna_hw.predictors import linear, saturating
from donna_hw.predictors import multi_metric as joint
from donna_hw.predictors.base import FittedPredictor
from donna_hw.predictors.linear import LinearPredictor
from donna_hw.predictors.multi_metric import JointPredictor
from donna_hw.predictors.saturating import SaturatingPredictor
from donna_hw.predictors.sklearn_models import MODELS, SAVED_FIELDS, fit_sklearn
from donna_hw.training.block_metrics import METRICS, parse_metrics

REFIT_TOLERANCE_PERCENT = 1e-3  # another version of scikit-learn or another machine may round otherwise


def load_predictor(path: Path) -> FittedPredictor:
    """Read a saved predictor.

    Args:
        path: The TOML file that the predictor's `save` wrote.

    Raises:
        FileFormatError: When the file does not hold a predictor, or one of scikit-learn's predicts differently when it is fitted again.
    """
    content = read_toml(path)
    try:
        values: dict[str, Any] = {name: _parse_value(value) for name, value in content["predictor"].items()}
        kind = values["kind"]
        if kind in MODELS:
            return _refit(values, path)
        if kind == saturating.KIND:
            return SaturatingPredictor(**_require_keys(values, [field.name for field in fields(SaturatingPredictor)]))
        if kind == joint.KIND:
            return JointPredictor(**_require_keys(values, [field.name for field in fields(JointPredictor)]))
        if kind in linear.KINDS:
            return LinearPredictor(**_require_keys(values, [field.name for field in fields(LinearPredictor)]))
        raise ValueError(f"unknown kind {kind!r}")
    except DonnaError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _file_error(path, str(error)) from None


def read_metric(path: Path) -> str:
    """Return the metric, or several joined by `+`, that a saved predictor was fitted to; `nsr` when the file does not state it."""
    fitted = read_toml(path).get("fitted_to", {})
    metric = fitted.get("quality", "nsr") if isinstance(fitted, dict) else None
    try:
        parse_metrics(str(metric))
    except DonnaError:
        raise FileFormatError(
            f"{path}: fitted_to.quality must be a metric, or several joined by +", got=str(metric), choices=METRICS
        ) from None
    return str(metric)


def read_roles(path: Path) -> tuple[str, ...]:
    """Return the roles of the networks that a saved predictor was fitted to; `library` when the file does not state them."""
    fitted = read_toml(path).get("fitted_to", {})
    roles = fitted.get("roles", {"library": 0}) if isinstance(fitted, dict) else None
    if not isinstance(roles, dict):
        raise FileFormatError(
            f"{path}: fitted_to.roles must be a table from role to number of networks",
            got=str(roles),
            hint="run donna-hw fit RECIPE to write it again",
        )
    return tuple(roles)


def _refit(values: dict[str, Any], path: Path) -> FittedPredictor:
    saved = _require_keys(values, SAVED_FIELDS)
    if saved["qualities"].ndim != 2 or saved["top1_percent"].shape != saved["fitted_percent"].shape:
        raise ValueError("the shapes of its training set do not match")
    try:
        predictor = fit_sklearn(saved["kind"], saved["qualities"], saved["top1_percent"], saved["noise"])
    except DonnaError as error:
        raise ValueError(str(error)) from None
    change = float(np.abs(predictor.fitted_percent - saved["fitted_percent"]).max())
    if not change <= REFIT_TOLERANCE_PERCENT:
        raise FileFormatError(
            f"{path}: {saved['kind']}, fitted again, predicts accuracies that differ by up to {change:.2g} % from the saved ones",
            hint="if the version of scikit-learn has changed, run donna-hw fit RECIPE to write it again",
        )
    return predictor


def _require_keys(values: dict[str, Any], names: list[str] | tuple[str, ...]) -> dict[str, Any]:
    if set(values) != set(names):
        raise ValueError(f"missing or unknown keys: {', '.join(sorted(set(values) ^ set(names)))}")
    return values


def _parse_value(value: object) -> object:
    if isinstance(value, str):
        return value
    array = np.array(value, float)
    if not np.isfinite(array).all():
        raise ValueError("a number that is not finite")
    return array if array.ndim else float(array)


def _file_error(path: Path, reason: str) -> FileFormatError:
    return FileFormatError(f"{path}: not a predictor ({reason})", hint="run donna-hw fit RECIPE to write it again")
