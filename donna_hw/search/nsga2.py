"""NSGA-II (pymoo), the search of the paper: 2,500 samples by default, one integer gene per axis of a block."""

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


def validate_sizes(samples: int, population: int) -> None:
    """Raise `ConfigError` unless there are at least 4 networks in a generation and enough samples for one."""
    if population < 4:
        raise ConfigError("population must be at least 4", got=population)
    if samples < population:
        raise ConfigError(f"samples must be at least the population of {population}", got=samples)


def nsga2(
    problem: SearchProblem,
    samples: int = 2500,
    population: int = 50,
    seed: int = 0,
    *,
    initial_rows: Rows | None = None,
) -> ParetoFront:
    """Return the front of all `samples` networks that NSGA-II evaluated; it never counts as exact.

    Args:
        problem: What is searched for.
        samples: Networks to evaluate, at least the population.
        population: Networks in a generation, at least 4.
        seed: Seed of the random choices.
        initial_rows: Networks to start from, int [n, stages + global axes]. The first population takes as many as it has room for,
            spread over them in their order. Up to half of `samples` are spent on the others.

    Returns:
        The front, ordered by the first cost.

    Raises:
        ConfigError: `samples` or `population` is too small.
        InsufficientDataError: No evaluated network satisfies the constraints; the message has the nearest values.
    """
    validate_sizes(samples, population)
    space, batches = problem.space, list[Rows]()
    upper = space.gene_counts - 1
    first, others = _split_initial_rows(initial_rows, population, min(samples // 2, samples - population))
    batches += [others] * (len(others) > 0)

    class Networks(Problem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(
                n_var=len(upper),
                n_obj=1 + len(problem.costs),
                n_ieq_constr=1 + len(problem.constraints),
                xl=np.zeros_like(upper),
                xu=upper,
                vtype=int,
            )

        def _evaluate(self, genes: np.ndarray, out: dict[str, np.ndarray], *args: object, **kwargs: object) -> None:
            rows = space.genes_to_rows(genes.astype(np.int64))
            remaining = samples - sum(map(len, batches))
            rows[remaining:] = rows[0]  # nothing new beyond the samples: a measured cost measures no more networks
            batches.append(rows[:remaining])
            out["F"], out["G"] = problem.objectives(rows), problem.violations(rows)

    repair = RoundingRepair()
    minimize(
        Networks(),
        NSGA2(
            pop_size=population,
            sampling=_initial_population(problem, first, population, seed),
            crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=repair),
            mutation=PM(eta=3.0, vtype=float, repair=repair),
            eliminate_duplicates=True,
        ),
        ("n_eval", samples - len(others)),
        seed=seed,
        verbose=False,
    )
    evaluated = np.concatenate(batches)
    return build_front(problem, np.unique(evaluated, axis=0), evaluations=len(evaluated))


def _split_initial_rows(rows: Rows | None, population: int, limit: int) -> tuple[Rows, Rows]:
    """Return the initial networks that the first population takes, and at most `limit` others that are evaluated too."""
    rows = np.empty((0, 1), np.int64) if rows is None else rows
    picks = np.unique(np.linspace(0, len(rows) - 1, min(population, len(rows))).round().astype(int))
    others = np.setdiff1d(np.arange(len(rows)), picks)
    spread = np.linspace(0, len(others) - 1, min(limit, len(others))).round().astype(int)
    return rows[picks], rows[others[spread]]


def _initial_population(problem: SearchProblem, rows: Rows, population: int, seed: int) -> object:
    """Return the first generation: the initial networks, and random ones for the rest."""
    if not len(rows):
        return IntegerRandomSampling()
    genes = problem.space.rows_to_genes(rows)
    others = np.random.default_rng(seed).integers(
        0, problem.space.gene_counts, (population - len(genes), genes.shape[1])
    )
    return np.concatenate([genes, others])
