"""Learning curves: how good a predictor is by the number of finetuned networks and by how those were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from donna_hw._core.ranking import kendall_tau
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.predictors import saturating
from donna_hw.predictors.active_selection import STRATEGIES, select_by_variance, select_d_optimal, select_uniform
from donna_hw.predictors.base import Array, flatten_metrics
from donna_hw.predictors.factory import MIN_NETWORKS, fit_predictor
from donna_hw.predictors.sklearn_models import fit_sklearn

SIZES = tuple(range(MIN_NETWORKS, 41, 5))


class AccuracyData(NamedTuple):
    """Finetuned networks: their qualities float [n, stages] or [n, stages, metrics], and accuracies in per cent float [n]."""

    qualities: Array
    top1_percent: Array


def learning_curve(
    pool: AccuracyData,
    test: AccuracyData,
    kinds: Sequence[str] = (saturating.KIND,),
    strategies: Sequence[str] = STRATEGIES,
    *,
    sizes: Sequence[int] = SIZES,
    draws: int = 20,
    seed: int = 0,
    ceiling_percent: float | None = None,
) -> pd.DataFrame:
    """Return Kendall's tau and the mean squared error (per cent squared) on `test` by kind, choice and number of networks.

    Every draw begins with the same first `sizes[0]` networks of the pool for all choices, drawn uniformly. One line a kind, choice and
    size: kendall_tau and mse are means over draws, tau_error and mse_error their standard errors (NaN for one draw). A draw whose
    predictions are all equal orders nothing and counts as tau 0. Raises `ConfigError` where the pool is smaller than a size.
    """
    for name in strategies:
        if name not in STRATEGIES:
            raise UnknownNameError("a choice of networks must be a known one", got=name, choices=STRATEGIES)
    steps = sorted(set(sizes))
    if not steps or steps[0] < MIN_NETWORKS or steps[-1] > len(pool.top1_percent) or draws < 1:
        rule = f"sizes lie between {MIN_NETWORKS} and the pool's {len(pool.top1_percent)} networks, in one draw or more"
        raise ConfigError(rule, got=f"{steps}, {draws} draws", hint="choose other sizes")
    found: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for draw in range(draws):
        for choice in strategies:
            order = _order(pool, choice, steps, np.random.default_rng([seed, draw]))
            for kind in kinds:
                for size in steps:
                    part = order[:size]
                    fitted = fit_predictor(pool.qualities[part], pool.top1_percent[part], kind, ceiling_percent)
                    found.setdefault((kind, choice, size), []).append(_evaluate(fitted(test.qualities)[0], test))
    return pd.DataFrame([_summary_row(key, np.array(judged)) for key, judged in found.items()])


def _order(pool: AccuracyData, choice: str, steps: list[int], rng: np.random.Generator) -> Array:
    """Return the numbers of the pool's networks in the order in which they are finetuned, int [last step]."""
    drawn = select_uniform(len(pool.top1_percent), steps[-1], rng)
    if choice == "uniform":
        return drawn
    order = drawn[: steps[0]]
    for before, size in pairwise(steps):
        rest = np.setdiff1d(np.arange(len(pool.top1_percent)), order)
        candidates = pool.qualities[rest]
        if choice == "d_optimal":
            picked = select_d_optimal(candidates, pool.qualities[order], size - before)
        else:
            known = fit_sklearn(
                "gaussian_process", flatten_metrics(pool.qualities[order]), pool.top1_percent[order], noise=0.0
            )
            picked = select_by_variance(known, flatten_metrics(candidates), size - before)
        order = np.concatenate([order, rest[picked]])
    return order


def _evaluate(predicted: Array, test: AccuracyData) -> tuple[float, float]:
    tau = kendall_tau(predicted, test.top1_percent) if np.ptp(predicted) > 0 else 0.0
    return tau, float(np.square(predicted - test.top1_percent).mean())


def _summary_row(key: tuple[str, str, int], judged: Array) -> dict[str, object]:
    draws = len(judged)
    errors = judged.std(axis=0, ddof=1) / np.sqrt(draws) if draws > 1 else np.full(2, np.nan)
    kind, choice, size = key
    means = {"kendall_tau": judged[:, 0].mean(), "tau_error": errors[0], "mse": judged[:, 1].mean()}
    return {"kind": kind, "choice": choice, "networks": size, **means, "mse_error": errors[1], "draws": draws}
