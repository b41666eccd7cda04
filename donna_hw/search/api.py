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
from donna_hw.search.exact import exact_front, exact_search_obstacle
from donna_hw.search.exact_sums import TooManySumsError
from donna_hw.search.nsga2 import nsga2
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
    """How to search. samples: networks that NSGA-II or the random search looks at; population: of a generation of NSGA-II.

    method: `auto` is `exact` where that is possible, else `nsga2` begun from the nearest exact front. robust: a quantile to judge costs
    by (`QuantileCost`). diverse: a share of equal blocks that no two networks may pass (`select_diverse`).
    """

    method: str = "auto"
    samples: int = 2500
    population: int = 50
    seed: int = 0
    quantile: float | None = None
    max_overlap: float | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownNameError("a search's method must be a known one", got=self.method, choices=METHODS)
        if self.samples < self.population or self.population < 4:
            raise ConfigError(
                "samples must be at least the population, and that at least 4",
                got=f"{self.samples}, {self.population}",
            )


def search(aim: SearchProblem, settings: SearchSettings) -> ParetoFront:
    """Return the front of an aim by the method that the settings name; `exact` raises `ConfigError` where it is not possible."""
    if settings.method == "random":
        return random_front(aim, settings.samples, settings.seed)
    if settings.method == "nsga2":
        return nsga2(aim, settings.samples, settings.population, settings.seed)
    reason = exact_search_obstacle(aim)
    if reason is None:
        try:
            return exact_front(aim)
        except TooManySumsError:
            if settings.method == "exact":
                raise
    elif settings.method == "exact":
        raise ConfigError("an exact search needs sums over blocks", got=reason, hint="search with --method auto")
    front = nsga2(aim, settings.samples, settings.population, settings.seed, initial_rows=find_initial_rows(aim))
    return add_optimality_gap(aim, front)


@dataclass(frozen=True)
class SearchRequest:
    """What is searched for, in a user's words.

    space: its name. run: the folder of a finished run, whose blocks and predictor foretell accuracies. costs: `NAME`, `max(NAME,NAME)` or
    `0.7*NAME+0.3*NAME`, a name being `[QUANTITY@]DEVICE[/VARIANT]`, or `measured@DEVICE` to time every network that is looked at. limits:
    `COST=VALUE` with a unit, on these costs or on others. tables: the folder whose tables come before the run's and the shipped ones;
    networks are measured there.
    """

    space: str
    run: Path
    costs: Sequence[str]
    constraints: Sequence[str] = ()
    tables: Path | None = None
    settings: SearchSettings = field(default_factory=SearchSettings)


def run_search(request: SearchRequest) -> ParetoFront:
    """Return the front; a table measured on another chip than this machine's is used with a warning that names both."""
    aim, _ = _build_problem(request)
    return _search_diverse(aim, request.settings)


def run_verified_search(request: SearchRequest, plan: VerificationConfig) -> VerificationResult:
    """Search as `run_search` does until the front stands, networks of it measured whole beside the first cost's table (`verify_on_device`)."""
    aim, seen = _build_problem(request)
    if aim.costs[0].name.startswith("measured@") or not seen:
        raise ConfigError(
            "a cost that is measured needs no verification", got=request.costs[0], hint="leave --verify out"
        )
    if request.settings.quantile is not None or any(mark in request.costs[0] for mark in "(*"):
        raise ConfigError("the first cost of a verified search must be one table's", got=request.costs[0])
    return verify_on_device(
        aim, lambda aim: _search_diverse(aim, request.settings), seen[0], plan, folder=request.tables
    )


def _search_diverse(aim: SearchProblem, settings: SearchSettings) -> ParetoFront:
    front = search(aim, settings)
    return front if settings.max_overlap is None else select_diverse(front, settings.max_overlap)


def _build_problem(question: SearchRequest) -> tuple[SearchProblem, list[LatencyTable]]:
    """Return what is looked for, and the tables of the costs in their order."""
    settings, space, run = question.settings, load_space(question.space), question.run
    own = [question.tables] if question.tables else []
    places = [*own, run / "latency_tables", *(root / "latency_tables" for root in data_roots())]
    seen: list[LatencyTable] = []

    def see(table: LatencyTable) -> None:
        _warn_device_mismatch(table)
        seen.append(table)

    reader = CostParser(space, places, see, settings.samples)
    models = reader.parse_costs(question.costs)
    limited = [reader.parse_constraint(text, models) for text in question.constraints]
    if settings.quantile is not None:
        models = [QuantileCost(model, settings.quantile) for model in models]
        limited = [Constraint(QuantileCost(limit.cost, settings.quantile), limit.upper_bound) for limit in limited]
    kept = run / "predictor.toml"
    predictor, metric = load_predictor(kept), read_metric(kept)
    qualities = BlockLibrary(run / "block_library", space).qualities(metric)
    return SearchProblem(space, qualities, predictor, models, limited), seen


def _warn_device_mismatch(table: LatencyTable) -> None:
    """Warn when a measured table is of another chip than the device of its name here; without such a device nothing is said."""
    if table.info.origin != "measured":
        return
    try:
        here = Device.load(table.info.device).backend().environment().device_model
    except DonnaError:
        return
    there = str(table.info.identity.get("device_model", "an unnamed device"))
    if here != there:
        warnings.warn(f"{table.path} was measured on {there}; this machine is {here}", stacklevel=4)
