"""A search from files alone: a run's blocks and predictor, and any latency tables."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from donna_hw._core.resources import data_roots
from donna_hw.costs.quantile import QuantileCost
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, DonnaError, UnknownNameError
from donna_hw.predictors.serialization import load_predictor, read_metric
from donna_hw.search.exact_search import exact_front, exact_search_obstacle
from donna_hw.search.exact_sums import TooManySumsError
from donna_hw.search.nsga2 import nsga2, validate_sizes
from donna_hw.search.optimality_gap import add_optimality_gap, find_initial_rows
from donna_hw.search.pareto_front import ParetoFront, select_diverse
from donna_hw.search.parsing import CostParser
from donna_hw.search.problem import Constraint, SearchProblem
from donna_hw.search.random_search import random_front
from donna_hw.search.verification import verify_on_device
from donna_hw.search.verification_loop import VerificationConfig, VerificationResult
from donna_hw.spaces import load_space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.training.libraries import BlockLibrary

METHODS = ("auto", "exact", "nsga2", "random")


@dataclass(frozen=True)
class SearchSettings:
    """How to search.

    Args:
        method: One of `METHODS`. `auto` is `exact` where that is possible, else `nsga2` started from the nearest exact front.
        samples: Networks that NSGA-II or the random search evaluates.
        population: Networks in a generation of NSGA-II, at least 4.
        seed: Seed of the random choices.
        quantile: Compare costs at this quantile, above 0.5 and below 1 (`QuantileCost`); None for their means.
        max_overlap: Share of equal blocks, 0 to below 1, that no two networks of the front may exceed (`select_diverse`); None for the
            whole front.

    Raises:
        UnknownNameError: `method` is not one of `METHODS`.
        ConfigError: `samples` is below `population`, or `population` below 4.
    """

    method: str = "auto"
    samples: int = 2500
    population: int = 50
    seed: int = 0
    quantile: float | None = None
    max_overlap: float | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownNameError("unknown search method", got=self.method, choices=METHODS)
        validate_sizes(self.samples, self.population)


def search(problem: SearchProblem, settings: SearchSettings) -> ParetoFront:
    """Return the front of a problem.

    Args:
        problem: What is searched for.
        settings: The method, and what it needs.

    Returns:
        The front, or its diverse networks where the settings limit the overlap.

    Raises:
        ConfigError: The method is `exact` and no exact search is possible.
        InsufficientDataError: No network satisfies the constraints.
    """
    front, method = None, settings.method
    if method == "random":
        front = random_front(problem, settings.samples, settings.seed)
    elif method == "nsga2":
        front = nsga2(problem, settings.samples, settings.population, settings.seed)
    elif method == "exact" or exact_search_obstacle(problem) is None:
        try:
            front = exact_front(problem)
        except TooManySumsError:
            if method == "exact":
                raise
    if front is None:
        initial_rows = find_initial_rows(problem)
        front = nsga2(problem, settings.samples, settings.population, settings.seed, initial_rows=initial_rows)
        front = add_optimality_gap(problem, front)
    return front if settings.max_overlap is None else select_diverse(front, settings.max_overlap)


@dataclass(frozen=True)
class SearchRequest:
    """A search in a user's words.

    Args:
        space: Name of the space.
        run: Folder of a finished run, whose blocks and predictor give the accuracies.
        costs: Each `NAME`, `max(NAME,NAME)` or `0.7*NAME+0.3*NAME`. A name is `[METRIC@]DEVICE[/VARIANT]`, or `measured@DEVICE` to
            time every network that the search evaluates.
        constraints: Upper bounds with a unit, on these costs or on others, such as `latency@v100<=20ms`.
        tables: Folder whose tables are looked up before the run's and the shipped ones. Networks are measured there.
        settings: How to search.
    """

    space: str
    run: Path
    costs: Sequence[str]
    constraints: Sequence[str] = ()
    tables: Path | None = None
    settings: SearchSettings = field(default_factory=SearchSettings)


def run_search(request: SearchRequest) -> ParetoFront:
    """Return the front of a request.

    A table that was measured on another chip than this machine's is used with a warning that names both.

    Args:
        request: What to search for, and where.

    Returns:
        The front.

    Raises:
        UnknownNameError: The space or a device is unknown.
        FileFormatError: A file of the run is missing or corrupt.
        TableError: A cost has no table, or the table lacks rows.
        ConfigError: A cost or a constraint cannot be parsed, or no exact search is possible.
        InsufficientDataError: No network satisfies the constraints.
    """
    problem, _ = _build_problem(request)
    return search(problem, request.settings)


def run_verified_search(request: SearchRequest, config: VerificationConfig) -> VerificationResult:
    """Search until the front is stable, measuring whole networks of it next to the first cost's table (`verify_on_device`).

    Args:
        request: What to search for. The first cost must be that of one table.
        config: How many networks and rounds to measure, and when a prediction is precise enough.

    Returns:
        The last front, and what each round measured.

    Raises:
        ConfigError: The first cost is measured itself, combines several tables, or is a quantile; otherwise as `run_search`.
    """
    problem, tables = _build_problem(request)
    if problem.costs[0].name.startswith("measured@") or not tables:
        raise ConfigError(
            "a measured cost needs no verification", got=request.costs[0], hint="leave out --verify-networks"
        )
    if request.settings.quantile is not None or any(mark in request.costs[0] for mark in "(*"):
        raise ConfigError("the first cost of a verified search must be that of one table", got=request.costs[0])
    return verify_on_device(
        problem, lambda problem: search(problem, request.settings), tables[0], config, folder=request.tables
    )


def _build_problem(request: SearchRequest) -> tuple[SearchProblem, list[LatencyTable]]:
    """Return the problem of a request, and the tables of its costs in their order."""
    settings, space, run = request.settings, load_space(request.space), request.run
    folders = [run / "latency_tables", *(root / "latency_tables" for root in data_roots())]
    tables: list[LatencyTable] = []

    def on_table(table: LatencyTable) -> None:
        _warn_device_mismatch(table)
        tables.append(table)

    first = [request.tables] if request.tables else []
    parser = CostParser(space, [*first, *folders], on_table, settings.samples)
    costs = parser.parse_costs(request.costs)
    constraints = [parser.parse_constraint(text, costs) for text in request.constraints]
    if settings.quantile is not None:
        costs = [QuantileCost(cost, settings.quantile) for cost in costs]
        constraints = [
            Constraint(QuantileCost(limit.cost, settings.quantile), limit.upper_bound) for limit in constraints
        ]
    path = run / "predictor.toml"
    predictor, metric = load_predictor(path), read_metric(path)
    qualities = BlockLibrary(run / "block_library", space).qualities(metric)
    return SearchProblem(space, qualities, predictor, costs, constraints), tables


def _warn_device_mismatch(table: LatencyTable) -> None:
    """Warn when a measured table is of another chip than this machine's device of its name; silent without such a device."""
    if table.info.origin != "measured":
        return
    try:
        here = Device.load(table.info.device).backend().environment().device_model
    except DonnaError:
        return
    there = str(table.info.identity.get("device_model", "an unnamed device"))
    if here != there:
        warnings.warn(f"{table.path} was measured on {there}; this machine is {here}", stacklevel=4)
