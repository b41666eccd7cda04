"""Predictors in files: a TOML that `save` wrote, read back; nothing is unpickled."""

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
    """Read a saved predictor; raises `FileFormatError`, also where one of scikit-learn's, fitted again, says something else than it did."""
    content = read_toml(path)
    try:
        own: dict[str, Any] = {name: _parse_value(value) for name, value in content["predictor"].items()}
        kind = own["kind"]
        if kind in MODELS:
            return _refit(own, path)
        if kind == saturating.KIND:
            return SaturatingPredictor(**_require_keys(own, [field.name for field in fields(SaturatingPredictor)]))
        if kind == joint.KIND:
            return JointPredictor(**_require_keys(own, [field.name for field in fields(JointPredictor)]))
        if kind in linear.KINDS:
            return LinearPredictor(**_require_keys(own, [field.name for field in fields(LinearPredictor)]))
        raise ValueError(f"of kind {kind!r}")
    except DonnaError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _file_error(path, str(error)) from None


def read_metric(path: Path) -> str:
    """Return which metric of blocks, or several joined by `+`, a saved predictor was fitted to; NSR where the file does not say."""
    fitted = read_toml(path).get("fitted_to", {})
    metric = fitted.get("quality", "nsr") if isinstance(fitted, dict) else None
    try:
        parse_metrics(str(metric))
    except DonnaError:
        rule = f"{path}: fitted_to.quality must be a known metric, or several joined by +"
        raise FileFormatError(rule, got=str(metric), choices=METRICS) from None
    return str(metric)


def read_roles(path: Path) -> tuple[str, ...]:
    """Return the roles of the networks that a saved predictor was fitted to; `library` where the file does not say."""
    fitted = read_toml(path).get("fitted_to", {})
    roles = fitted.get("roles", {"library": 0}) if isinstance(fitted, dict) else None
    if not isinstance(roles, dict):
        raise FileFormatError(
            f"{path}: fitted_to.roles must count networks", got=str(roles), hint="donna-hw fit RECIPE"
        )
    return tuple(roles)


def _refit(own: dict[str, Any], path: Path) -> FittedPredictor:
    kept = _require_keys(own, SAVED_FIELDS)
    if kept["qualities"].ndim != 2 or kept["top1_percent"].shape != kept["fitted_percent"].shape:
        raise ValueError("a training set of uneven shape")
    try:
        found = fit_sklearn(kept["kind"], kept["qualities"], kept["top1_percent"], kept["noise"])
    except DonnaError as error:
        raise ValueError(str(error)) from None
    change = float(np.abs(found.fitted_percent - kept["fitted_percent"]).max())
    if not change <= REFIT_TOLERANCE_PERCENT:
        raise FileFormatError(
            f"{path}: {kept['kind']}, fitted again, must predict as it did",
            got=f"a difference of {change:.2g} %",
            hint="another version of scikit-learn? donna-hw fit RECIPE writes it anew",
        )
    return found


def _require_keys(own: dict[str, Any], names: list[str] | tuple[str, ...]) -> dict[str, Any]:
    if set(own) != set(names):
        raise ValueError(f"other keys: {', '.join(sorted(set(own) ^ set(names)))}")
    return own


def _parse_value(value: object) -> object:
    if isinstance(value, str):
        return value
    found = np.array(value, float)
    if not np.isfinite(found).all():
        raise ValueError("a number that is not finite")
    return found if found.ndim else float(found)


def _file_error(path: Path, found: str) -> FileFormatError:
    return FileFormatError(f"{path} must hold a predictor", got=found, hint="donna-hw fit RECIPE writes it")
