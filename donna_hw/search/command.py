"""A search from files alone: a run's blocks and predictor, and any latency tables."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from donna_hw.device import Device
from donna_hw.errors import DonnaError
from donna_hw.libraries import BlockLibrary
from donna_hw.predictor import LinearPredictor
from donna_hw.search.aim import Aim, Limit
from donna_hw.search.diversity import diverse
from donna_hw.search.front import ParetoFront
from donna_hw.search.methods import SearchSettings, search
from donna_hw.search.naming import CostReader
from donna_hw.search.robust import Robust
from donna_hw.shipped import roots
from donna_hw.spaces import load_space
from donna_hw.table import LatencyTable


def search_space(
    space_name: str,
    run: Path,
    costs: Sequence[str],
    limits: Sequence[str] = (),
    *,
    tables: Path | None = None,
    settings: SearchSettings | None = None,
) -> ParetoFront:
    """Return the front of a space, its accuracies predicted from the finished run in the folder `run`.

    costs: `NAME`, `max(NAME,NAME)` or `0.7*NAME+0.3*NAME`, a name being `[QUANTITY@]DEVICE[/VARIANT]`; tables are looked for in `tables`,
    then in the run, then among the shipped ones. limits: `COST=VALUE` with a unit, on these costs or on others. A table measured on
    another chip than this machine's is used with a warning that names both.
    """
    settings, space = settings or SearchSettings(), load_space(space_name)
    places = [*([tables] if tables else []), run / "latency_tables", *(root / "latency_tables" for root in roots())]
    reader = CostReader(space, places, _warn_of_other_chip)
    models = reader.costs(costs)
    limited = [reader.limit(text, models) for text in limits]
    if settings.robust is not None:
        models = [Robust(model, settings.robust) for model in models]
        limited = [Limit(Robust(limit.cost, settings.robust), limit.highest) for limit in limited]
    qualities = BlockLibrary(run / "block_library", space).qualities()
    predictor = LinearPredictor.load(run / "predictor.toml")
    front = search(Aim(space, qualities, predictor, models, limited), settings)
    return front if settings.diverse is None else diverse(front, settings.diverse)


def _warn_of_other_chip(table: LatencyTable) -> None:
    """Warn when a measured table is of another chip than the device of its name here; without such a device nothing is said."""
    if table.info.origin != "measured":
        return
    try:
        here = Device.load(table.info.device).backend().environment().device_model
    except DonnaError:
        return
    there = str(table.info.identity.get("device_model", "an unnamed device"))
    if here != there:
        warnings.warn(f"{table.path} was measured on {there}; this machine is {here}", stacklevel=3)
