"""A search small enough to try every network: 3 stages of 2 x 2 blocks, costs and qualities drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from donna_hw.costs.base import CostTerms
from donna_hw.costs.table_sum import TableCost
from donna_hw.graph.builder import Block
from donna_hw.search.problem import Constraint, SearchProblem
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage


def no_cell(**_: object) -> Block:
    raise AssertionError("a search looks at numbers only, never at layers")


def tiny_space(stages: int = 3) -> Space:
    axes = (Axis("kernel", (3, 5)), Axis("style", ("plain", "rich")))
    return Space("tiny", "for tests", (1, 8, 8), (), tuple(Stage(f"s{i}", axes, no_cell) for i in range(stages)), ())


class Sum:
    """An accuracy that every block lowers by its NSR; what it says is exact."""

    def __call__(self, qualities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 100 - qualities.sum(axis=1), np.full(len(qualities), 0.5)

    def scores(self, qualities: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        return tuple(-values for values in qualities)

    def quadratic(self, qualities: Sequence[np.ndarray]) -> None:
        """It has no second-order terms."""

    def extrapolates(self, qualities: np.ndarray) -> np.ndarray:
        return np.asarray(qualities.max(axis=1) > 0.9)


def table_cost(space: Space, name: str, unit: str, rng: np.random.Generator) -> TableCost:
    size_of_one = 1.0 if unit == "s" else 1e10
    blocks = tuple(rng.uniform(1e-4, 1e-3, size) * size_of_one for size in space.stage_sizes)
    errors = tuple(np.full(size, 1e-6 * size_of_one) for size in space.stage_sizes)
    return TableCost(name, unit, (CostTerms((blocks,), (1e-4 * size_of_one,)),), ((errors,),), np.zeros((1, 1)))


def blocks_of(cost: TableCost) -> tuple[np.ndarray, ...]:
    """Return what each block costs, [stage][block]."""
    return cost.terms_by_setting[0].terms[0]


def with_blocks(cost: TableCost, blocks: Sequence[np.ndarray], fixed: float | None = None) -> TableCost:
    """Return a table's cost with other costs of its blocks, and of its fixed parts where they are given."""
    constants = cost.terms_by_setting[0].constants if fixed is None else (fixed,)
    return replace(cost, terms_by_setting=(CostTerms((tuple(blocks),), constants),))


def with_errors(cost: TableCost, errors: Sequence[np.ndarray]) -> TableCost:
    """Return a table's cost with other standard errors of its blocks."""
    return replace(cost, errors=((tuple(errors),),))


def tiny_problem(
    seed: int = 0, limits: dict[str, float] | None = None, *, costs: int = 1, stages: int = 3
) -> SearchProblem:
    rng, space = np.random.default_rng(seed), tiny_space(stages)
    names = [("chip", "s"), ("macs", "MAC")][:costs]
    models = [table_cost(space, name, unit, rng) for name, unit in names]
    qualities = tuple(rng.uniform(0, 1, size) for size in space.stage_sizes)
    limited = [Constraint(model, limits[model.name]) for model in models if limits and model.name in limits]
    return SearchProblem(space, qualities, Sum(), models, limited)


def all_rows(problem: SearchProblem) -> np.ndarray:
    return np.array(list(product(*(range(size) for size in problem.space.stage_sizes))))


def best(problem: SearchProblem) -> set[tuple[int, ...]]:
    """Return the front by comparing every network with every other."""
    rows = all_rows(problem)
    rows = rows[(problem.violations(rows) <= 0).all(axis=1)]
    points = problem.objectives(rows)
    return {
        tuple(int(m) for m in row)
        for row, point in zip(rows, points, strict=True)
        if not any((other <= point).all() and (other < point).any() for other in points)
    }


def found(rows: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(int(m) for m in row) for row in rows}
