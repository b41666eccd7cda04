"""AccuracyPredictor: what a search asks of a predictor, and what all of them share (paper, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from donna_hw._core.toml_files import write_toml
from donna_hw.errors import ConfigError
from donna_hw.predictors.quadratic import Quadratic

EPSILON = 1e-6  # the least quality; the logarithm of a perfect block is none
ALPHAS = tuple(float(alpha) for alpha in np.logspace(-4, 3, 15))
Array = np.ndarray


class AccuracyPredictor(Protocol):
    """Block qualities float [n, stages] (lower is better) -> (top-1 in per cent float [n], standard deviation float [n]).

    Predictors of several metrics read [n, stages, metrics], and [stage][block, metric] where others read [stage][block].
    """

    def __call__(self, qualities: Array) -> tuple[Array, Array]:
        """Return the expected accuracy and its standard deviation; more is better."""

    def extrapolates(self, qualities: Array) -> Array:
        """Return bool [n]: whether any block's quality lies outside what the predictor was fitted to."""

    def scores(self, qualities: Sequence[Array]) -> tuple[Array, ...] | None:
        """Return what each block [stage][block] adds to a number that the accuracy strictly grows with; None where there is none.

        Blocks of infinite NSR add minus infinity.
        """

    def quadratic(self, qualities: Sequence[Array]) -> Quadratic | None:
        """Return the accuracy of blocks of these NSR [stage][block] with its second-order terms; None where it is no such sum.

        Blocks of infinite NSR add minus infinity.
        """


class FittedPredictor(AccuracyPredictor, Protocol):
    """A predictor that was fitted to finetuned networks and can be kept."""

    @property
    def kind(self) -> str:
        """Its name in `fit.KINDS`."""

    @property
    def noise(self) -> float:
        """Root mean square error on networks left out of the fit, in per cent."""

    def predict_leave_one_out(self, qualities: Array, top1_percent: Array) -> Array:
        """Return each network's prediction, float [n], by a predictor of the same settings that was fitted to all the others."""

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the predictor and facts about it (what it was fitted to) as TOML; `kept.load_predictor` reads it."""


def save_fields(predictor: FittedPredictor, names: Sequence[str], path: Path, facts: Mapping[str, Any]) -> None:
    """Write these fields of a predictor, and facts about it, as TOML."""
    values = {name: getattr(predictor, name) for name in names}
    own = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}
    write_toml(path, {"predictor": own, **facts})


def log_quality(qualities: Array) -> Array:
    """Return -log(max(quality, 1e-6)): more is better."""
    return np.asarray(-np.log(np.maximum(qualities, EPSILON)))


def flatten_metrics(qualities: Array) -> Array:
    """Return qualities float [n, stages] as they are, and several metrics [n, stages, metrics] as [n, stages * metrics]."""
    return qualities.reshape(len(qualities), int(np.prod(qualities.shape[1:])))


def out_of_range(qualities: Array, low: Array, high: Array) -> Array:
    """Return bool [n]: whether a stage's quality lies outside the range of the fit, float [stages] each."""
    return np.asarray(((qualities < low) | (qualities > high)).any(axis=1))


def additive_scores(qualities: Sequence[Array], slopes: Array) -> tuple[Array, ...]:
    """Return slope * -log quality of each block [stage][block], minus infinity for blocks of infinite quality."""
    return tuple(
        np.where(np.isfinite(values), slope * log_quality(np.where(np.isfinite(values), values, 1.0)), -np.inf)
        for slope, values in zip(slopes, qualities, strict=True)
    )


def validate_qualities(qualities: Array) -> Array:
    """Return the qualities as they are; raises `ConfigError` on one that is none."""
    if not (np.isfinite(qualities).all() and (qualities >= 0).all()):
        raise ConfigError(
            "every block quality must be a finite NSR of zero or more",
            got="a diverged block",
            hint="leave networks with diverged blocks out (BlockLibrary.qualities marks them with infinity)",
        )
    return qualities
