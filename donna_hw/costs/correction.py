"""Correction: a table's sums brought to whole networks by a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.errors import BadSetting, BadTable, NothingToFit
from donna_hw.measurement.statistics import checked


@dataclass(frozen=True)
class Correction:
    """cost = offset + scale * table, fitted on whole networks.

    residual: standard deviation of the relative error, from the fit. mape_before, mape_loo: mean absolute relative error in %
    of the plain table, and of the corrected one on networks left out of the fit. networks: how many were fitted.
    """

    scale: float = 1.0
    offset: float = 0.0
    residual: float = 0.0
    networks: int = 0
    mape_before: float = 0.0
    mape_loo: float = 0.0


def fit_correction(predicted: np.ndarray, measured: np.ndarray) -> Correction:
    """Fit offset and scale on whole networks by least squares of the relative error.

    predicted: sums of the uncorrected table, float [n]; measured: float [n], the same unit. Needs four networks or more. Raises
    `BadTable` when the scale comes out zero or negative: the table then says nothing about whole networks.
    """
    count = len(measured)
    if count < 4:
        raise NothingToFit("a correction needs at least 4 whole networks", found=count, cure="measure more")
    if len(predicted) != count:
        raise BadSetting(f"a correction needs a prediction for each of {count} measured networks", found=len(predicted))
    checked(predicted, "predictions to correct")
    checked(measured, "whole networks to correct by")
    scale, offset = _least_squares(predicted, measured)
    if scale <= 0:
        raise BadTable(
            "whole networks must cost more where their table sums to more",
            found=f"a scale of {scale:.3g}",
            cure="measure more networks, or the table again",
        )
    errors = (offset + scale * predicted) / measured - 1
    left_out = []
    for i in range(count):
        others = np.arange(count) != i
        a, b = _least_squares(predicted[others], measured[others])
        left_out.append(abs((b + a * predicted[i]) / measured[i] - 1))
    return Correction(
        scale=scale,
        offset=offset,
        residual=float(np.sqrt((errors**2).sum() / (count - 2))),
        networks=count,
        mape_before=float(100 * np.abs(predicted / measured - 1).mean()),
        mape_loo=float(100 * np.mean(left_out)),
    )


def _least_squares(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return (scale, offset) that minimise the sum of ((offset + scale * x) / y - 1)^2."""
    scale, offset = np.linalg.lstsq(np.stack([x / y, 1 / y], axis=1), np.ones_like(y), rcond=None)[0]
    return float(scale), float(offset)
