"""The data of the figures of a search: predicted clouds and fronts over one cost, and random networks at its levels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import read_csv
from donna_hw.errors import InsufficientDataError
from donna_hw.pipeline.export import read_front_networks
from donna_hw.pipeline.run import Run
from donna_hw.predictors.serialization import load_predictor
from donna_hw.reporting.figures.baselines import load_baselines
from donna_hw.reporting.figures.pareto import ParetoData
from donna_hw.reporting.figures.random_search import Level, RandomSearchData
from donna_hw.reporting.figures.run_data import parse_network, require_file
from donna_hw.search.api import SearchSettings, search
from donna_hw.search.pareto_front import ParetoFront, build_front, select_log_spaced
from donna_hw.search.problem import SearchProblem
from donna_hw.search.random_search import sample_near_cost
from donna_hw.spaces.space import Rows
from donna_hw.training.block_metrics import gather_qualities
from donna_hw.training.reference import read_reference_top1

CLOUD_SIZE = 2000  # random networks
LEVELS, TOLERANCE, MIN_NETWORKS = (
    3,
    0.02,
    5,
)  # of figure 15: levels, their relative width, and networks that a box needs


def build_search_problem(run: Run, cost: str | None) -> SearchProblem:
    """Return the search problem of a run with one cost, by default the first of its search; raises where the run lacks a file."""
    predictor = load_predictor(require_file(run, "predictor.toml", "donna-hw fit RECIPE"))
    return SearchProblem(run.space, run.qualities(), predictor, [run.cost(cost or run.recipe.cost_devices[0])])


def load_or_search_front(run: Run, problem: SearchProblem) -> ParetoFront:
    """Return the front at the problem's cost: the networks of `front.csv` if the run searched for this cost, else a new search."""
    path, part = run.folder / "front.csv", run.recipe.search
    if path.exists() and problem.costs[0].name in run.recipe.cost_devices:
        rows = [run.space.row(network) for network, _ in read_front_networks(run.space, path)]
        return build_front(problem, np.array(rows), part.samples)
    return search(problem, SearchSettings("auto", part.samples, part.population, run.recipe.seed))


def build_pareto_data(run: Run, cost: str | None = None) -> ParetoData:
    """Return the data of figure 11 at one cost; measured networks have their measured latency, and predictions of other costs."""
    problem = build_search_problem(run, cost)
    model, front, space = problem.costs[0], load_or_search_front(run, problem), run.space
    random = space.random_rows(min(CLOUD_SIZE, space.size), run.recipe.seed)
    random = random[problem.usable(random)]
    finetuned = run.architectures.mean_top1("library", "test", "stratified")
    library = np.array([space.row(network) for network in finetuned], np.int64).reshape(-1, len(space.columns))
    reference = float(model.mean(np.array([space.row(space.reference)]))[0])
    return ParetoData(
        model.name,
        model.unit,
        random=_points(model.mean(random), _percent(problem, random)),
        front=_points(front.costs[model.name], front.accuracy),
        library=_points(model.mean(library), [top1 for top1, _ in finetuned.values()]),
        verified=_verified(run, problem),
        reference=(reference, read_reference_top1(run.folder / "reference")),
        baselines=load_baselines(run, model.name),
    )


def build_random_search_data(
    run: Run, cost: str | None = None, levels: int = LEVELS, tolerance: float = TOLERANCE
) -> RandomSearchData:
    """Return the data of figure 15: networks of the front spread over the cost, and random ones of the same cost.

    As many random networks are drawn as the search evaluated. Levels with fewer than five random networks nearby are dropped. Raises
    `InsufficientDataError` where no level remains.
    """
    problem = build_search_problem(run, cost)
    model, front = problem.costs[0], load_or_search_front(run, problem)
    costs = front.costs[model.name]
    samples = run.recipe.search.samples
    near = sample_near_cost(problem, model, costs, seed=run.recipe.seed, tolerance=tolerance, draws=samples)
    usable = np.flatnonzero([len(rows) >= MIN_NETWORKS for rows in near])
    if not len(usable):
        raise InsufficientDataError(
            f"fewer than {MIN_NETWORKS} random networks cost as much as any network of the front, within {tolerance:.0%}",
            hint="choose another cost with --cost",
        )
    picks = usable[select_log_spaced(min(levels, len(usable)), costs[usable])]
    level_data = [
        Level(
            float(costs[i]), _percent(problem, near[i]), front.accuracy[np.abs(costs / costs[i] - 1) <= tolerance].max()
        )
        for i in picks
    ]
    return RandomSearchData(model.name, model.unit, tolerance, samples, level_data)


def _verified(run: Run, problem: SearchProblem) -> pd.DataFrame:
    path, model = run.folder / "verified.csv", problem.costs[0]
    columns = ["role", "predicted_cost", "predicted_percent", "cost", "percent"]
    if not path.exists():
        return pd.DataFrame(columns=columns)
    frame = read_csv(path, ("role", "network", "top1_percent", "measured_s"))
    rows = np.array([run.space.row(parse_network(run.space, name, path)) for name in frame["network"]])
    predicted = model.mean(rows)
    measured = frame["measured_s"] if model.name == run.device.name else predicted
    values = frame["role"], predicted, _percent(problem, rows), measured, frame["top1_percent"]
    return pd.DataFrame(dict(zip(columns, values, strict=True)))


def _percent(problem: SearchProblem, rows: Rows) -> np.ndarray:
    return np.asarray(problem.predictor(gather_qualities(problem.qualities, rows))[0])


def _points(cost: np.ndarray, percent: np.ndarray | list[float]) -> pd.DataFrame:
    return pd.DataFrame({"cost": cost, "percent": percent})
