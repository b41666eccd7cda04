"""Learning curves: the quality of a predictor by the number of finetuned networks and by how they were selected."""

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
    """Finetuned networks: block qualities float [n, stages] or [n, stages, metrics], and accuracies in per cent float [n]."""

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
    """Compute the quality of predictors by kind, selection strategy and number of finetuned networks.

    In every draw all strategies start with the same `sizes[0]` networks of the pool, sampled uniformly. A draw whose predictions are
    all equal orders nothing, so its tau counts as 0.

    Args:
        pool: The networks to select from.
        test: The networks to evaluate on.
        kinds: Kinds of predictors, names in `factory.KINDS`.
        strategies: Names in `STRATEGIES`.
        sizes: Numbers of finetuned networks.
        draws: Number of repetitions.
        seed: Determines all draws.
        ceiling_percent: The teacher's accuracy in per cent, as in `fit_predictor`.

    Returns:
        A row for each kind, strategy (column `choice`) and size (column `networks`): kendall_tau and mse (per cent squared) are means
        over draws, tau_error and mse_error their standard errors (NaN for one draw).

    Raises:
        UnknownNameError: For an unknown strategy or kind.
        ConfigError: For a size below 5 or above that of the pool, or less than one draw.
    """
    for name in strategies:
        if name not in STRATEGIES:
            raise UnknownNameError("unknown selection strategy", got=name, choices=STRATEGIES)
    steps = sorted(set(sizes))
    if not steps or steps[0] < MIN_NETWORKS or steps[-1] > len(pool.top1_percent) or draws < 1:
        raise ConfigError(
            f"sizes must be in {MIN_NETWORKS}..{len(pool.top1_percent)}, which is the size of the pool, and draws at least 1",
            got=f"{steps}, {draws} draws",
            hint="choose other sizes",
        )
    scores: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for draw in range(draws):
        for strategy in strategies:
            order = _selection_order(pool, strategy, steps, np.random.default_rng([seed, draw]))
            for kind in kinds:
                for size in steps:
                    selected = order[:size]
                    fitted = fit_predictor(pool.qualities[selected], pool.top1_percent[selected], kind, ceiling_percent)
                    scores.setdefault((kind, strategy, size), []).append(_evaluate(fitted(test.qualities)[0], test))
    return pd.DataFrame([_summary_row(key, np.array(draw_scores)) for key, draw_scores in scores.items()])


def _selection_order(pool: AccuracyData, strategy: str, steps: list[int], rng: np.random.Generator) -> Array:
    """Return the numbers of the pool's networks in the order in which they are finetuned, int [last step]."""
    uniform = select_uniform(len(pool.top1_percent), steps[-1], rng)
    if strategy == "uniform":
        return uniform
    order = uniform[: steps[0]]
    for before, size in pairwise(steps):
        rest = np.setdiff1d(np.arange(len(pool.top1_percent)), order)
        candidates = pool.qualities[rest]
        if strategy == "d_optimal":
            selected = select_d_optimal(candidates, pool.qualities[order], size - before)
        else:
            predictor = fit_sklearn(
                "gaussian_process", flatten_metrics(pool.qualities[order]), pool.top1_percent[order], noise=0.0
            )
            selected = select_by_variance(predictor, flatten_metrics(candidates), size - before)
        order = np.concatenate([order, rest[selected]])
    return order


def _evaluate(predicted: Array, test: AccuracyData) -> tuple[float, float]:
    tau = kendall_tau(predicted, test.top1_percent) if np.ptp(predicted) > 0 else 0.0
    return tau, float(np.square(predicted - test.top1_percent).mean())


def _summary_row(key: tuple[str, str, int], scores: Array) -> dict[str, object]:
    draws = len(scores)
    errors = scores.std(axis=0, ddof=1) / np.sqrt(draws) if draws > 1 else np.full(2, np.nan)
    kind, strategy, size = key
    means = {"kendall_tau": scores[:, 0].mean(), "tau_error": errors[0], "mse": scores[:, 1].mean()}
    return {"kind": kind, "choice": strategy, "networks": size, **means, "mse_error": errors[1], "draws": draws}
