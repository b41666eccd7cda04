"""The search of a run."""

from __future__ import annotations

from donna_hw._core.csv_files import write_csv
from donna_hw.pipeline.run import Run
from donna_hw.search.nsga2 import nsga2
from donna_hw.search.pareto_front import ParetoFront


def search_front(run: Run) -> ParetoFront:
    """Search for the front by NSGA-II as the recipe asks, and write it to `front.csv`."""
    config = run.recipe.search
    front = nsga2(run.search_problem(), config.samples, config.population, run.recipe.seed)
    write_csv(run.folder / "front.csv", front.to_frame())
    return front
