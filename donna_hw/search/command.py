"""A search from files alone: a run's blocks and predictor, and any latency tables."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from donna_hw.costs.kept import cost_of
from donna_hw.costs.model import CostModel
from donna_hw.device import Device
from donna_hw.errors import BadSetting, DonnaError
from donna_hw.libraries import BlockLibrary
from donna_hw.predictor import LinearPredictor
from donna_hw.search.aim import Aim, Limit
from donna_hw.search.front import ParetoFront
from donna_hw.search.nsga2 import nsga2
from donna_hw.shipped import roots
from donna_hw.spaces import load_space
from donna_hw.table import LatencyTable
from donna_hw.tables import table_in
from donna_hw.units import parse_quantity


def search_space(
    space_name: str,
    run: Path,
    costs: Sequence[str],
    limits: Sequence[str] = (),
    *,
    tables: Path | None = None,
    samples: int = 2500,
    population: int = 50,
    seed: int = 0,
) -> ParetoFront:
    """Return the front of a space, its accuracies predicted from the finished run in the folder `run`.

    costs: devices, or `<device>/<variant>`; tables are looked for in `tables`, then in the run, then among the shipped ones.
    limits: `<device>=<value with unit>`. A table measured on another chip than this machine's is used with a warning that names both.
    """
    space = load_space(space_name)
    places = [*([tables] if tables else []), run / "latency_tables", *(root / "latency_tables" for root in roots())]
    found = [table_in(places, cost, space.name) for cost in costs]
    for table in found:
        _warn_of_other_chip(table)
    models = [cost_of(space, table) for table in found]
    qualities = BlockLibrary(run / "block_library", space).qualities()
    predictor = LinearPredictor.load(run / "predictor.toml")
    aim = Aim(space, qualities, predictor, models, [_limit(text, models) for text in limits])
    return nsga2(aim, samples, population, seed)


def _limit(text: str, costs: Sequence[CostModel]) -> Limit:
    name, sign, value = text.partition("=")
    known = {cost.name: cost for cost in costs}
    if not sign or name not in known:
        raise BadSetting("a limit is <device>=<value with unit> on one of the costs", found=text, known=sorted(known))
    return Limit(known[name], parse_quantity(value, known[name].unit))


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
