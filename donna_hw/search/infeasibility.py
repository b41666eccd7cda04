"""Why no network satisfies the constraints: which one is out of reach, and which value could be reached."""

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


def infeasibility_error(problem: SearchProblem, rows: Rows) -> InsufficientDataError:
    """Return the error for networks, int [n, stages], none of which satisfies the problem's constraints."""
    for stage, values in zip(problem.space.stages, problem.qualities, strict=True):
        if not is_trained(values).any():
            return InsufficientDataError(
                f"stage {stage.name} has no trained block", hint="distill again: donna-hw distill RECIPE"
            )
    rows = rows[problem.usable(rows)]
    for constraint in problem.constraints:
        cost, exact = constraint.cost, minimum_cost(problem, constraint.cost)
        evaluated = float(cost.mean(rows).min()) if len(rows) else -np.inf
        lowest, scope = (exact, "all networks") if exact is not None else (evaluated, f"{len(rows)} evaluated networks")
        if lowest > constraint.upper_bound:
            return InsufficientDataError(
                f"no network satisfies {cost.name} <= {format_quantity(constraint.upper_bound, cost.unit)}: "
                f"the lowest of {scope} is {cost.name} {format_quantity(lowest, cost.unit)}",
                hint="raise this constraint",
            )
    if not len(rows):
        return InsufficientDataError("no evaluated network has trained blocks only", hint="evaluate more: --samples")
    nearest = rows[[int(np.argmin(problem.violations(rows).max(axis=1)))]]
    costs = ", ".join(
        f"{cost.name} {format_quantity(cost.mean(nearest)[0], cost.unit)}" for cost in _all_costs(problem)
    )
    return InsufficientDataError(
        f"none of {len(rows)} networks satisfies all constraints together, though each can be satisfied alone; "
        f"the nearest has {costs}",
        hint="raise one of the constraints",
    )


def minimum_cost(problem: SearchProblem, cost: CostModel) -> float | None:
    """Return the lowest cost of all networks of trained blocks at all settings; None where the cost is no sum."""
    lowest = []
    for settings in product(*(range(len(axis.values)) for axis in problem.space.global_axes)):
        sums = as_sum(cost, settings)
        if sums is None:
            return None
        term, constant = sums
        trained = (values[is_trained(quality)] for values, quality in zip(term, problem.qualities, strict=True))
        lowest.append(constant + sum(float(values.min()) for values in trained))
    return min(lowest)


def _all_costs(problem: SearchProblem) -> list[CostModel]:
    """Return the costs, then those that are constrained only."""
    costs = [*problem.costs, *(constraint.cost for constraint in problem.constraints)]
    return list({cost.name: cost for cost in costs}.values())
