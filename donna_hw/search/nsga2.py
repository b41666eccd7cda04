"""NSGA-II (pymoo), the paper's search: 2,500 samples by default, one integer gene an axis of a block."""

from __future__ import annotations

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from donna_hw.errors import BadSetting
from donna_hw.search.aim import Aim, front_of
from donna_hw.search.front import ParetoFront
from donna_hw.spaces.space import Rows


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
            left = samples - sum(map(len, seen.rows))
            rows[left:] = rows[
                0
            ]  # the last generation may pass the samples; a measured cost must not be asked for more
            seen.rows.append(rows[:left])
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
    looked_at = np.concatenate(seen.rows)
    return front_of(aim, np.unique(looked_at, axis=0), evaluations=len(looked_at))


class _Seen:
    """Every network that was evaluated, batch by batch."""

    def __init__(self) -> None:
        self.rows: list[Rows] = []
