"""Why no network lies within the limits: which one is out of reach, and what could be reached."""

from __future__ import annotations

from itertools import product

import numpy as np

from donna_hw._core.units import format_quantity
from donna_hw.costs.base import CostModel
from donna_hw.costs.multi_device import as_sum
from donna_hw.errors import InsufficientDataError
from donna_hw.search.problem import SearchProblem
from donna_hw.spaces.space import Rows
from donna_hw.training.block_metrics import is_trained


def infeasibility_error(aim: SearchProblem, rows: Rows) -> InsufficientDataError:
    """Return the error for networks, int [n, stages], of which none lies within the aim's limits."""
    for stage, values in zip(aim.space.stages, aim.qualities, strict=True):
        if not is_trained(values).any():
            return InsufficientDataError(
                "every stage needs a trained block", got=f"none in {stage.name}", hint="distil again"
            )
    rows = rows[aim.usable(rows)]
    for limit in aim.constraints:
        cost, exact = limit.cost, minimum_cost(aim, limit.cost)
        looked_at = float(cost.mean(rows).min()) if len(rows) else -np.inf
        reached, of = (exact, "all networks") if exact is not None else (looked_at, f"{len(rows)} networks looked at")
        if reached > limit.upper_bound:
            return InsufficientDataError(
                f"the limit {cost.name} {format_quantity(limit.upper_bound, cost.unit)} must be within reach",
                got=f"the lowest of {of} is {cost.name} {format_quantity(reached, cost.unit)}",
                hint="raise this limit",
            )
    if not len(rows):
        return InsufficientDataError(
            "a network must be of trained blocks", got="none looked at is", hint="look at more"
        )
    nearest = rows[[int(np.argmin(aim.violations(rows).max(axis=1)))]]
    has = ", ".join(f"{cost.name} {format_quantity(cost.mean(nearest)[0], cost.unit)}" for cost in _all_costs(aim))
    return InsufficientDataError(
        "a network must lie within all limits",
        got=f"none of {len(rows)}, though each limit can be reached alone; the nearest has {has}",
        hint="raise one of the limits",
    )


def minimum_cost(aim: SearchProblem, cost: CostModel) -> float | None:
    """Return the lowest value of a cost over all networks of trained blocks, every setting included; None where it is no sum."""
    found = []
    for settings in product(*(range(len(axis.values)) for axis in aim.space.global_axes)):
        sums = as_sum(cost, settings)
        if sums is None:
            return None
        term, constant = sums
        allowed = (values[is_trained(own)] for values, own in zip(term, aim.qualities, strict=True))
        found.append(constant + sum(float(values.min()) for values in allowed))
    return min(found)


def _all_costs(aim: SearchProblem) -> list[CostModel]:
    """Return the costs and those that have a limit only."""
    return list({cost.name: cost for cost in [*aim.costs, *(limit.cost for limit in aim.constraints)]}.values())
