"""The baselines over a cost: published accuracies, and costs comparable with those of a run."""

from __future__ import annotations

import pandas as pd

from donna_hw._core.resources import data_roots
from donna_hw.errors import TableError
from donna_hw.pipeline.run import Run
from donna_hw.profiling.profile_baselines import LISTING
from donna_hw.reporting.figures.pareto import NO_BASELINES
from donna_hw.spaces.baselines.published import load_published
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import find_table
from donna_hw.tables.network_measurements import NetworkMeasurements

IMAGENET_SHAPE, IMAGENET_CLASSES = (3, 224, 224), 1000  # of ImageNet, for which the accuracies are published


def load_baselines(run: Run, cost: str) -> pd.DataFrame:
    """Return `name`, `cost` and `percent` of the baselines; none for a run on other images than ImageNet, or without a table.

    Their costs are those measured next to the run's table, else those of a table of the baselines. Of the shipped tables only counts are
    used, since other costs belong to another environment.
    """
    shape = run.space.output_shapes[run.space.part_names[-1]]
    if (
        run.recipe.data.name != "image_folder"
        or run.space.input_shape != IMAGENET_SHAPE
        or shape != (IMAGENET_CLASSES,)
    ):
        return NO_BASELINES.copy()
    costs = _costs(run, cost)
    names = [name for name in costs if name in load_published()]
    percent = [load_published()[name].top1_percent for name in names]
    return pd.DataFrame({"name": names, "cost": [costs[name] for name in names], "percent": percent})


def _costs(run: Run, cost: str) -> dict[str, float]:
    """Return the cost of each baseline, by name, in the unit of the table; empty without a table."""
    table = find_table([run.tables], cost, run.space.name)
    listed = NetworkMeasurements(table.path.with_suffix(f".{LISTING}.csv"), table.info.sentinel_reference_s).read()
    if listed:
        return {row["network"]: float(row[table.info.column]) for row in listed.values()}
    try:
        baselines: LatencyTable = find_table(
            [run.tables, *(root / "latency_tables" for root in data_roots())], cost, "baselines"
        )
    except TableError:
        return {}
    if baselines.info.origin != "computed" and baselines.info.identity != table.info.identity | _space_identity(
        baselines
    ):
        return {}
    return {str(row["network"]): float(row[baselines.info.column]) for row in baselines.frame.to_dict("records")}


def _space_identity(table: LatencyTable) -> dict[str, object]:
    """Return the part of a table's identity that belongs to its space."""
    return {key: value for key, value in table.info.identity.items() if key in ("space_hash", "space")}
