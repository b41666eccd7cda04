"""AccuracyPredictor: the interface of predictors that a search uses, and what all predictors share (paper, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from donna_hw._core.toml_files import write_toml
from donna_hw.errors import ConfigError
from donna_hw.predictors.quadratic import Quadratic

EPSILON = 1e-6  # the least quality, since the logarithm of a perfect block is not finite
ALPHAS = tuple(float(alpha) for alpha in np.logspace(-4, 3, 15))
Array = np.ndarray


class AccuracyPredictor(Protocol):
    """From block qualities float [n, stages] (lower is better) to (top-1 float [n], standard deviation float [n]), in per cent.

    Predictors of several metrics read [n, stages, metrics], and [stage][block, metric] where others read [stage][block].
    """

    def __call__(self, qualities: Array) -> tuple[Array, Array]:
        """Return the expected accuracy and its standard deviation; more is better."""

    def extrapolates(self, qualities: Array) -> Array:
        """Return bool [n]: whether any block's quality lies outside the range that the predictor was fitted to."""

    def scores(self, qualities: Sequence[Array]) -> tuple[Array, ...] | None:
        """Return the score of each block, float [stage][block], whose sum the accuracy strictly increases with.

        None for a predictor without such a sum. Blocks of infinite NSR have a score of minus infinity.
        """

    def quadratic(self, qualities: Sequence[Array]) -> Quadratic | None:
        """Return the accuracy of blocks with these NSR [stage][block] as a sum of first- and second-order terms.

        None for a predictor that is not such a sum. Blocks of infinite NSR contribute minus infinity.
        """


class FittedPredictor(AccuracyPredictor, Protocol):
    """A predictor that was fitted to finetuned networks and can be saved."""

    @property
    def kind(self) -> str:
        """Its name in `factory.KINDS`."""

    @property
    def noise(self) -> float:
        """Root-mean-square error on networks left out of the fit, in per cent."""

    def predict_leave_one_out(self, qualities: Array, top1_percent: Array) -> Array:
        """Return each network's prediction, float [n], by a predictor with the same settings that is fitted to all other networks."""

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the predictor and facts about it (what it was fitted to) as TOML, which `load_predictor` reads."""


def save_fields(predictor: FittedPredictor, names: Sequence[str], path: Path, facts: Mapping[str, Any]) -> None:
    """Write these fields of a predictor, and facts about it, as TOML."""
    values = {name: getattr(predictor, name) for name in names}
    content = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}
    write_toml(path, {"predictor": content, **facts})


def log_quality(qualities: Array) -> Array:
    """Return -log(max(quality, 1e-6)); higher is better."""
    return np.asarray(-np.log(np.maximum(qualities, EPSILON)))


def flatten_metrics(qualities: Array) -> Array:
    """Return qualities float [n, stages] unchanged, and several metrics [n, stages, metrics] as [n, stages * metrics]."""
    return qualities.reshape(len(qualities), int(np.prod(qualities.shape[1:])))


def out_of_range(qualities: Array, low: Array, high: Array) -> Array:
    """Return bool [n]: whether a stage's quality lies outside the range of the fit, `low` to `high`, float [stages] each."""
    return np.asarray(((qualities < low) | (qualities > high)).any(axis=1))


def additive_scores(qualities: Sequence[Array], slopes: Array) -> tuple[Array, ...]:
    """Return slope * -log(quality) of each block [stage][block], minus infinity for blocks of infinite quality."""
    return tuple(
        np.where(np.isfinite(values), slope * log_quality(np.where(np.isfinite(values), values, 1.0)), -np.inf)
        for slope, values in zip(slopes, qualities, strict=True)
    )


def validate_qualities(qualities: Array) -> Array:
    """Return the qualities unchanged; raises `ConfigError` unless all are finite and zero or more."""
    if not (np.isfinite(qualities).all() and (qualities >= 0).all()):
        raise ConfigError(
            "every block quality must be finite and zero or more, but some are not",
            hint="leave out networks with diverged blocks, whose qualities are infinite",
        )
    return qualities
