"""AccuracyPredictor: the accuracy of a finetuned network from the qualities of its blocks (paper, section 3 and A.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.optimize import nnls

from donna_hw.errors import BadFile, BadSetting, NothingToFit, UnknownName
from donna_hw.files import read_toml, write_toml
from donna_hw.quadratic import Quadratic

EPSILON = 1e-6
ALPHAS = tuple(float(alpha) for alpha in np.logspace(-4, 3, 15))
SMALLEST_LIBRARY = 5
Array = np.ndarray


class AccuracyPredictor(Protocol):
    """Block qualities float [n, stages] (NSR, lower is better) -> (top-1 in per cent float [n], standard deviation float [n])."""

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


@dataclass(frozen=True)
class LinearPredictor:
    """A linear model on features of the qualities; `kind` says which (`KINDS`).

    monotone (default, ours): the features are -log(max(NSR, 1e-6)), their weights are never negative: a better block never lowers the
    prediction. ridge2 (the paper's Ridge [A.4.4] with second-order terms): standardised NSR, their squares and products.
    ridge2_monotone (ours): t = log(highest NSR of the fit / NSR), zero above it, their squares and products; no weight is negative.
    covariance: (X^T X + alpha I)^-1 of the centred features; noise: the residuals' standard deviation in per cent. low, high: the range of
    each stage's NSR in the fit.
    """

    kind: str
    alpha: float
    weights: Array
    intercept: float
    center: Array
    scale: Array
    covariance: Array
    noise: float
    low: Array
    high: Array

    def __call__(self, qualities: Array) -> tuple[Array, Array]:
        """Return (top-1 %, standard deviation %) of float [n, stages]; raises `BadSetting` on a quality that is none."""
        x = (KINDS[self.kind](_checked(qualities), self.high) - self.center) / self.scale
        leverage = ((x @ self.covariance) * x).sum(axis=1)
        return self.intercept + x @ self.weights, self.noise * np.sqrt(1 + leverage)

    def extrapolates(self, qualities: Array) -> Array:
        """Return bool [n]: whether a stage's NSR lies outside the range of the fit."""
        return np.asarray(((qualities < self.low) | (qualities > self.high)).any(axis=1))

    def scores(self, qualities: Sequence[Array]) -> tuple[Array, ...] | None:
        """Return what each block [stage][block] adds to the accuracy, for `monotone`; see `AccuracyPredictor`."""
        if self.kind != "monotone":
            return None
        slopes = self.weights / self.scale
        return tuple(
            np.where(np.isfinite(values), slope * _log_quality(np.where(np.isfinite(values), values, 1.0)), -np.inf)
            for slope, values in zip(slopes, qualities, strict=True)
        )

    def quadratic(self, qualities: Sequence[Array]) -> Quadratic | None:
        """Return the accuracy of blocks of these NSR [stage][block], for `ridge2_monotone`; see `AccuracyPredictor`."""
        return self.second_order(qualities) if self.kind == "ridge2_monotone" else None

    def second_order(self, qualities: Sequence[Array]) -> Quadratic | None:
        """Return what `quadratic` does, for `ridge2` too, whose interactions may be negative; None for `monotone`."""
        if self.kind == "monotone":
            return None
        stages = len(self.high)
        slopes = self.weights / self.scale
        interactions = np.zeros((stages, stages))
        interactions[np.triu_indices(stages)] = slopes[stages:]  # in the order of the features
        squares = interactions.diagonal().copy()
        np.fill_diagonal(interactions, 0.0)
        plain = self.kind == "ridge2"
        t = tuple(
            np.where(np.isfinite(values), values, 0.0) if plain else _log_gain(values, high)
            for values, high in zip(qualities, self.high, strict=True)
        )
        linear = tuple(
            np.where(np.isfinite(values), slope * each + square * each**2, -np.inf)
            for values, each, slope, square in zip(qualities, t, slopes[:stages], squares, strict=True)
        )
        return Quadratic(linear, t, interactions + interactions.T, float(self.intercept - slopes @ self.center))

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write the predictor and facts about it (its report) as TOML."""
        own = {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}
        write_toml(path, {"predictor": own, **facts})

    @classmethod
    def load(cls, path: Path) -> LinearPredictor:
        """Read a saved predictor; raises `BadFile`."""
        try:
            found: dict[str, Any] = read_toml(path)["predictor"]
            plain = {k: np.array(v) if isinstance(v, list) else v for k, v in found.items()}
            return cls(**plain)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            raise BadFile(
                f"{path} must hold a predictor", found=str(error), cure="donna-hw fit RECIPE writes it"
            ) from None


def fit_predictor(qualities: Array, top1_percent: Array, kind: str = "monotone") -> LinearPredictor:
    """Fit a predictor to finetuned networks; the strength of its ridge is chosen by leave-one-out cross-validation.

    qualities: NSR float [n, stages]; top1_percent: float [n]. Raises `NothingToFit` below 5 networks and `UnknownName`.
    """
    if kind not in KINDS:
        raise UnknownName("a predictor must be a known one", found=kind, known=sorted(KINDS))
    if len(top1_percent) < SMALLEST_LIBRARY:
        raise NothingToFit(
            f"a predictor needs at least {SMALLEST_LIBRARY} finetuned networks",
            found=len(top1_percent),
            cure="raise library.networks in the recipe and finetune again",
        )
    errors = [np.square(left_out(qualities, top1_percent, kind, alpha) - top1_percent).mean() for alpha in ALPHAS]
    best = int(np.argmin(errors))
    return _fit(qualities, top1_percent, kind, ALPHAS[best], noise=float(np.sqrt(errors[best])))


def left_out(qualities: Array, top1_percent: Array, kind: str, alpha: float) -> Array:
    """Return each network's prediction, float [n], by a predictor that was fitted to all the others."""
    count = len(top1_percent)
    predictions = np.empty(count)
    for i in range(count):
        others = np.arange(count) != i
        predictions[i] = _fit(qualities[others], top1_percent[others], kind, alpha, noise=0.0)(qualities[i : i + 1])[0][
            0
        ]
    return predictions


def _fit(qualities: Array, top1: Array, kind: str, alpha: float, noise: float) -> LinearPredictor:
    features = KINDS[kind](_checked(qualities), qualities.max(axis=0))
    center, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-12, scale, 1.0)  # a constant feature says nothing and gets no weight
    x, intercept = (features - center) / scale, float(top1.mean())
    ridge = np.sqrt(alpha) * np.eye(x.shape[1])
    stacked = np.vstack([x, ridge])
    target = np.concatenate([top1 - intercept, np.zeros(x.shape[1])])
    weights = nnls(stacked, target)[0] if "monotone" in kind else np.linalg.lstsq(stacked, target, rcond=None)[0]
    covariance = np.linalg.inv(x.T @ x + alpha * np.eye(x.shape[1]))
    return LinearPredictor(
        kind, alpha, weights, intercept, center, scale, covariance, noise, qualities.min(axis=0), qualities.max(axis=0)
    )


def _log_quality(qualities: Array) -> Array:
    return np.asarray(-np.log(np.maximum(qualities, EPSILON)))


def _log_gain(qualities: Array, high: Array) -> Array:
    return np.asarray(np.maximum(_log_quality(qualities) - _log_quality(high), 0.0))


def _with_products(features: Array) -> Array:
    pairs = combinations_with_replacement(range(features.shape[1]), 2)
    return np.hstack([features, *(features[:, [i]] * features[:, [j]] for i, j in pairs)])


Features = Callable[
    [Array, Array], Array
]  # NSR [n, stages], and the highest of each stage in the fit, to [n, features]
KINDS: dict[str, Features] = {
    "monotone": lambda qualities, high: _log_quality(qualities),
    "ridge2": lambda qualities, high: _with_products(qualities),
    "ridge2_monotone": lambda qualities, high: _with_products(_log_gain(qualities, high)),
}


def _checked(qualities: Array) -> Array:
    if not (np.isfinite(qualities).all() and (qualities >= 0).all()):
        raise BadSetting(
            "every block quality must be a finite NSR of zero or more",
            found="a diverged block",
            cure="leave networks with diverged blocks out (BlockLibrary.qualities marks them with infinity)",
        )
    return qualities


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value
