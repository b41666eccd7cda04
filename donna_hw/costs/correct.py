"""Correcting a table by whole networks that are chosen to tell most, until as many are measured, or the error is as low, as asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from donna_hw.costs.basis import Basis
from donna_hw.costs.design import most_informative
from donna_hw.costs.fit import SMALLEST, Fit, fit_cost
from donna_hw.costs.fitted import FittedCost
from donna_hw.errors import BadSetting
from donna_hw.spaces.space import Rows, Space

FIRST, BATCH = 10, 10  # networks measured before the first fit, and between two
CANDIDATES = 500
Measure = Callable[[Rows], np.ndarray]


@dataclass(frozen=True)
class Plan:
    """How many networks to measure at most, and the error in per cent on networks left out that is low enough (0: measure them all).

    kind: see `fit_cost`. seed: of the networks among which the choice is.
    """

    networks: int = 30
    until_percent: float = 0.0
    kind: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.networks < SMALLEST:
            raise BadSetting(f"a correction needs at least {SMALLEST} whole networks", found=self.networks)


def correct(space: Space, names: tuple[str, str], basis: Basis, measure: Measure, plan: Plan | None = None) -> Fit:
    """Return a cost corrected by whole networks, which `measure` times.

    names: of the cost and of its unit. The networks are chosen in batches among 500 drawn uniformly: each batch is the one after which
    the costs of all 500 would be known best.
    """
    plan = plan or Plan()
    candidates = space.random_rows(min(CANDIDATES, space.size), plan.seed)
    if len(candidates) < plan.networks:
        raise BadSetting(f"{space.name} must have as many networks as are to be measured", found=len(candidates))
    left = np.ones(len(candidates), bool)
    rows, measured, fit = candidates[:0], np.empty(0), None
    while fit is None or (len(rows) < plan.networks and fit.mape_percent > plan.until_percent):
        count = min(FIRST if fit is None else BATCH, plan.networks - len(rows))
        numbers = np.flatnonzero(left)
        cost = fit.cost if fit is not None else FittedCost.expected(names, basis, candidates)
        picks = numbers[:count] if cost is None else numbers[most_informative(cost, candidates[numbers], count)]
        left[picks] = False
        measured = np.concatenate([measured, measure(candidates[picks])])
        rows = np.concatenate([rows, candidates[picks]])
        fit = fit_cost(names[0], basis, rows, measured, kind=plan.kind, unit=names[1])
    return fit
