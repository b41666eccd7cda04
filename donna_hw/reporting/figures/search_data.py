"""What the figures of a search show of a run: predicted clouds and fronts over one cost, and random networks at its levels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import csv_frame
from donna_hw.errors import InsufficientDataError
from donna_hw.pipeline.export import networks_of
from donna_hw.pipeline.run import Run
from donna_hw.predictors.serialization import load_predictor
from donna_hw.reporting.figures.baselines import baselines_over
from donna_hw.reporting.figures.pareto import Pareto
from donna_hw.reporting.figures.random_search import Level, RandomSearch
from donna_hw.reporting.figures.run_data import named, needed
from donna_hw.search.api import SearchSettings, search
from donna_hw.search.pareto_front import ParetoFront, front_of, spread
from donna_hw.search.problem import SearchProblem
from donna_hw.search.random_search import random_near
from donna_hw.spaces.space import Rows
from donna_hw.training.block_metrics import qualities_of
from donna_hw.training.reference import reference_top1

CLOUD = 2000  # random networks
LEVELS, TOLERANCE, FEWEST = 3, 0.02, 5  # of figure 15: how many, how near, and networks that make a box


def aim_over(run: Run, cost: str | None) -> SearchProblem:
    """Return what a run looks for at one cost, by default the first of its search; raises what the run lacks."""
    predictor = load_predictor(needed(run, "predictor.toml", "donna-hw fit RECIPE"))
    return SearchProblem(run.space, run.qualities(), predictor, [run.cost(cost or run.recipe.cost_devices[0])])


def front_over(run: Run, aim: SearchProblem) -> ParetoFront:
    """Return the front at the aim's cost: of the networks in `front.csv` where the run's search was for it.

    Else it is searched anew, as `donna-hw search` does.
    """
    path, part = run.folder / "front.csv", run.recipe.search
    if path.exists() and aim.costs[0].name in run.recipe.cost_devices:
        rows = [run.space.row(network) for network, _ in networks_of(run.space, path)]
        return front_of(aim, np.array(rows), part.samples)
    return search(aim, SearchSettings("auto", part.samples, part.population, run.recipe.seed))


def pareto_of(run: Run, cost: str | None = None) -> Pareto:
    """Return figure 11 of a run at one cost. Networks that were measured have their measured latency, and their predicted other costs."""
    aim = aim_over(run, cost)
    model, front, space = aim.costs[0], front_over(run, aim), run.space
    random = space.random_rows(min(CLOUD, space.size), run.recipe.seed)
    random = random[aim.usable(random)]
    finetuned = run.architectures.means("library", "test", "stratified")
    library = np.array([space.row(network) for network in finetuned], np.int64).reshape(-1, len(space.columns))
    reference = float(model.mean(np.array([space.row(space.reference)]))[0])
    return Pareto(
        model.name,
        model.unit,
        random=_points(model.mean(random), _percent(aim, random)),
        front=_points(front.costs[model.name], front.accuracy),
        library=_points(model.mean(library), [top1 for top1, _ in finetuned.values()]),
        verified=_verified(run, aim),
        reference=(reference, reference_top1(run.folder / "reference")),
        baselines=baselines_over(run, model.name),
    )


def random_search_of(
    run: Run, cost: str | None = None, levels: int = LEVELS, tolerance: float = TOLERANCE
) -> RandomSearch:
    """Return figure 15 of a run: networks of the front spread over the cost, and random ones that cost as much.

    These are of as many random networks as the search looked at, so that both had the same number of tries.
    Levels near which fewer than five random networks lie are none. Raises `InsufficientDataError` where no level is left.
    """
    aim = aim_over(run, cost)
    model, front = aim.costs[0], front_over(run, aim)
    costs = front.costs[model.name]
    drawn = run.recipe.search.samples
    near = random_near(aim, model, costs, seed=run.recipe.seed, tolerance=tolerance, draws=drawn)
    usable = np.flatnonzero([len(rows) >= FEWEST for rows in near])
    if not len(usable):
        raise InsufficientDataError(
            f"{FEWEST} random networks must cost as much as one of the front, within {tolerance:.0%}",
            got="none",
            hint="name another cost: --cost",
        )
    chosen = usable[spread(min(levels, len(usable)), costs[usable])]
    found = [
        Level(float(costs[i]), _percent(aim, near[i]), front.accuracy[np.abs(costs / costs[i] - 1) <= tolerance].max())
        for i in chosen
    ]
    return RandomSearch(model.name, model.unit, tolerance, drawn, found)


def _verified(run: Run, aim: SearchProblem) -> pd.DataFrame:
    path, model = run.folder / "verified.csv", aim.costs[0]
    columns = ["role", "predicted_cost", "predicted_percent", "cost", "percent"]
    if not path.exists():
        return pd.DataFrame(columns=columns)
    frame = csv_frame(path, ("role", "network", "top1_percent", "measured_s"))
    rows = np.array([run.space.row(named(run.space, name)) for name in frame["network"]])
    predicted = model.mean(rows)
    measured = frame["measured_s"] if model.name == run.device.name else predicted
    values = frame["role"], predicted, _percent(aim, rows), measured, frame["top1_percent"]
    return pd.DataFrame(dict(zip(columns, values, strict=True)))


def _percent(aim: SearchProblem, rows: Rows) -> np.ndarray:
    return np.asarray(aim.predictor(qualities_of(aim.qualities, rows))[0])


def _points(cost: np.ndarray, percent: np.ndarray | list[float]) -> pd.DataFrame:
    return pd.DataFrame({"cost": cost, "percent": percent})
