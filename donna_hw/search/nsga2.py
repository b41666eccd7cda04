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

from donna_hw.errors import ConfigError
from donna_hw.search.pareto_front import ParetoFront, build_front
from donna_hw.search.problem import SearchProblem
from donna_hw.spaces.space import Rows


def nsga2(
    aim: SearchProblem, samples: int = 2500, population: int = 50, seed: int = 0, *, initial_rows: Rows | None = None
) -> ParetoFront:
    """Return the front of all `samples` networks that NSGA-II looked at; it is never said to be exact.

    seeds: networks to begin from, int [n, stages + global axes]: the first population takes as many as it has room for, spread over them
    in their order; up to half of `samples` are spent on the others. Raises `InsufficientDataError`, with the nearest values reached, when no network
    within the limits was found.
    """
    if samples < population or population < 4:
        raise ConfigError(
            "samples must be at least the population, and that at least 4", got=f"{samples}, {population}"
        )
    space, seen = aim.space, _EvaluatedNetworks()
    upper = space.gene_counts - 1
    first, others = _split_initial_rows(initial_rows, population, min(samples // 2, samples - population))
    seen.rows += [others] * (len(others) > 0)

    class Networks(Problem):  # type: ignore[misc]
        def __init__(self) -> None:
            limits = 1 + len(aim.constraints)
            super().__init__(
                n_var=len(upper),
                n_obj=1 + len(aim.costs),
                n_ieq_constr=limits,
                xl=np.zeros_like(upper),
                xu=upper,
                vtype=int,
            )

        def _evaluate(self, genes: np.ndarray, out: dict[str, np.ndarray], *args: object, **kwargs: object) -> None:
            rows = space.genes_to_rows(genes.astype(np.int64))
            left = samples - sum(map(len, seen.rows))
            rows[left:] = rows[0]  # past the samples nothing new is looked at: a measured cost is asked for no more
            seen.rows.append(rows[:left])
            out["F"], out["G"] = aim.objectives(rows), aim.violations(rows)

    repair = RoundingRepair()
    minimize(
        Networks(),
        NSGA2(
            pop_size=population,
            sampling=_initial_population(aim, first, population, seed),
            crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=repair),
            mutation=PM(eta=3.0, vtype=float, repair=repair),
            eliminate_duplicates=True,
        ),
        ("n_eval", samples - len(others)),
        seed=seed,
        verbose=False,
    )
    looked_at = np.concatenate(seen.rows)
    return build_front(aim, np.unique(looked_at, axis=0), evaluations=len(looked_at))


def _split_initial_rows(seeds: Rows | None, population: int, most: int) -> tuple[Rows, Rows]:
    """Return the seeds that the first population takes and, at most `most`, those that are looked at besides."""
    seeds = np.empty((0, 1), np.int64) if seeds is None else seeds
    picks = np.unique(np.linspace(0, len(seeds) - 1, min(population, len(seeds))).round().astype(int))
    others = np.setdiff1d(np.arange(len(seeds)), picks)
    kept = np.linspace(0, len(others) - 1, min(most, len(others))).round().astype(int)
    return seeds[picks], seeds[others[kept]]


def _initial_population(aim: SearchProblem, seeds: Rows, population: int, seed: int) -> object:
    """Return the first generation: the seeds, and random networks for the rest."""
    if not len(seeds):
        return IntegerRandomSampling()
    genes = aim.space.rows_to_genes(seeds)
    others = np.random.default_rng(seed).integers(0, aim.space.gene_counts, (population - len(genes), genes.shape[1]))
    return np.concatenate([genes, others])


class _EvaluatedNetworks:
    """Every network that was evaluated, batch by batch."""

    def __init__(self) -> None:
        self.rows: list[Rows] = []
