"""NSGA-II (pymoo), the paper's search: 2,500 samples by default, one integer gene an axis of a block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from donna_hw.cost import CostModel
from donna_hw.errors import BadSetting, NothingToFit, UnknownName
from donna_hw.libraries import qualities_of
from donna_hw.predictor import AccuracyPredictor
from donna_hw.search.front import ParetoFront, non_dominated
from donna_hw.spaces.space import Rows, Space


@dataclass(frozen=True)
class Aim:
    """What a search looks for: the most accurate networks at every combination of costs, within limits.

    qualities: NSR [stage][block], infinite for blocks that must not be used. costs: the first orders the front. limits: the highest
    allowed cost by device name, in that cost's unit.
    """

    space: Space
    qualities: tuple[np.ndarray, ...]
    predictor: AccuracyPredictor
    costs: Sequence[CostModel]
    limits: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.costs:
            raise BadSetting("a search needs at least one cost", found=0, cure="name one with --cost DEVICE")
        known = [cost.name for cost in self.costs]
        for name in self.limits:
            if name not in known:
                raise UnknownName("a limit must be on one of the search's costs", found=name, known=known)

    def usable(self, rows: Rows) -> np.ndarray:
        """Return bool [n]: networks of trained blocks only."""
        return np.asarray(np.isfinite(qualities_of(self.qualities, rows)).all(axis=1))

    def objectives(self, rows: Rows) -> np.ndarray:
        """Return (-accuracy, each cost), all minimised, float [n, 1 + costs]; a network that cannot be used gets the worst of all."""
        usable = self.usable(rows)
        accuracy = np.full(len(rows), -1.0)  # below any accuracy: only diverged blocks get it, and no front keeps them
        if usable.any():
            accuracy[usable] = self.predictor(qualities_of(self.qualities, rows[usable]))[0]
        return np.stack([-accuracy, *(cost.mean(rows) for cost in self.costs)], axis=1)

    def violations(self, rows: Rows) -> np.ndarray:
        """Return by what share each limit is passed, float [n, 1 + limits], feasible where all are zero or less."""
        by_name = {cost.name: cost for cost in self.costs}
        columns = [np.where(self.usable(rows), 0.0, 1.0)]
        columns += [by_name[name].mean(rows) / limit - 1 for name, limit in self.limits.items()]
        return np.stack(columns, axis=1)


def nsga2(aim: Aim, samples: int = 2500, population: int = 50, seed: int = 0) -> ParetoFront:
    """Return the front of all `samples` networks that NSGA-II looked at; it is never said to be exact.

    Raises `NothingToFit`, with the nearest values reached, when no network within the limits was found.
    """
    if samples < population or population < 4:
        raise BadSetting(
            "samples must be at least the population, and that at least 4", found=f"{samples}, {population}"
        )
    space, seen = aim.space, _Seen()
    upper = space.gene_counts - 1

    class Networks(Problem):  # type: ignore[misc]
        def __init__(self) -> None:
            limits = 1 + len(aim.limits)
            super().__init__(
                n_var=len(upper),
                n_obj=1 + len(aim.costs),
                n_ieq_constr=limits,
                xl=np.zeros_like(upper),
                xu=upper,
                vtype=int,
            )

        def _evaluate(self, genes: np.ndarray, out: dict[str, np.ndarray], *args: object, **kwargs: object) -> None:
            rows = space.rows(genes.astype(np.int64))
            seen.rows.append(rows)
            out["F"], out["G"] = aim.objectives(rows), aim.violations(rows)

    repair = RoundingRepair()
    minimize(
        Networks(),
        NSGA2(
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=repair),
            mutation=PM(eta=3.0, vtype=float, repair=repair),
            eliminate_duplicates=True,
        ),
        ("n_eval", samples),
        seed=seed,
        verbose=False,
    )
    looked_at = np.concatenate(seen.rows)[:samples]  # the last generation is evaluated whole, even past the samples
    return front_of(aim, np.unique(looked_at, axis=0), evaluations=len(looked_at))


def front_of(aim: Aim, rows: Rows, evaluations: int, *, exact: bool = False) -> ParetoFront:
    """Return the front of given networks, int [n, stages], within the aim's limits."""
    violations = aim.violations(rows)
    feasible = (violations <= 0).all(axis=1)
    if not feasible.any():
        worst = violations.max(axis=1)
        best = rows[[int(np.argmin(worst))]]
        reached = ", ".join(f"{cost.name} {cost.mean(best)[0]:.4g} {cost.unit}" for cost in aim.costs)
        raise NothingToFit(
            "a network must lie within all limits",
            found=f"none of {len(rows)}; the nearest has {reached}",
            cure="raise the limit",
        )
    rows = rows[feasible]
    rows = rows[non_dominated(aim.objectives(rows))]
    rows = rows[np.argsort(aim.costs[0].mean(rows), kind="stable")]
    qualities = qualities_of(aim.qualities, rows)
    accuracy, accuracy_std = aim.predictor(qualities)
    return ParetoFront(
        space=aim.space,
        rows=rows,
        accuracy=accuracy,
        accuracy_std=accuracy_std,
        costs={cost.name: cost.mean(rows) for cost in aim.costs},
        cost_stds={cost.name: cost.std(rows) for cost in aim.costs},
        units={cost.name: cost.unit for cost in aim.costs},
        extrapolated=aim.predictor.extrapolates(qualities),
        evaluations=evaluations,
        exact=exact,
    )


class _Seen:
    """Every network that was evaluated, batch by batch."""

    def __init__(self) -> None:
        self.rows: list[Rows] = []
