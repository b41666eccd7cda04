"""A search from files alone: a run's blocks and predictor, and any latency tables."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from donna_hw.costs.measured import MEASURED, measured_cost
from donna_hw.costs.model import CostModel
from donna_hw.costs.table_cost import TableCost
from donna_hw.device import Device
from donna_hw.errors import BadSetting, DonnaError
from donna_hw.libraries import BlockLibrary
from donna_hw.predictor import LinearPredictor
from donna_hw.search.aim import Aim, Limit
from donna_hw.search.front import ParetoFront
from donna_hw.search.nsga2 import nsga2
from donna_hw.search.standing import Plan, Standing
from donna_hw.search.verified import verified
from donna_hw.shipped import roots
from donna_hw.spaces import load_space
from donna_hw.table import LatencyTable
from donna_hw.tables import correction_of, table_in
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

    costs: devices, `<device>/<variant>`, or `measured@<device>` to measure every network that is looked at; tables are looked for in
    `tables`, then in the run, then among the shipped ones, and networks are measured in the first of these.
    limits: `<device>=<value with unit>`. A table measured on another chip than this machine's is used with a warning that names both.
    """
    aim, _ = _aimed(space_name, run, costs, limits, tables=tables, samples=samples)
    return nsga2(aim, samples, population, seed)


def verify_space(
    space_name: str,
    run: Path,
    costs: Sequence[str],
    limits: Sequence[str] = (),
    *,
    plan: Plan,
    tables: Path | None = None,
    samples: int = 2500,
    population: int = 50,
    seed: int = 0,
) -> Standing:
    """Search as `search_space` does until the front stands, networks of it measured whole beside the first cost's table (`verified`)."""
    aim, found = _aimed(space_name, run, costs, limits, tables=tables, samples=samples)
    if found[0] is None:
        raise BadSetting("a cost that is measured needs no verification", found=costs[0], cure="leave --verify out")
    return verified(aim, lambda aim: nsga2(aim, samples, population, seed), found[0], plan, folder=tables)


def _aimed(
    space_name: str, run: Path, costs: Sequence[str], limits: Sequence[str], *, tables: Path | None, samples: int
) -> tuple[Aim, list[LatencyTable | None]]:
    """Return what is looked for, and the table of each cost, None for a measured one."""
    space = load_space(space_name)
    places = [*([tables] if tables else []), run / "latency_tables", *(root / "latency_tables" for root in roots())]
    models: list[CostModel] = []
    found: list[LatencyTable | None] = []
    for name in costs:
        if name.startswith(MEASURED):
            models.append(measured_cost(space, name.removeprefix(MEASURED), places[0], at_most=samples))
            found.append(None)
            continue
        table = table_in(places, name, space.name)
        _warn_of_other_chip(table)
        models.append(TableCost.of(space, table, correction_of(table)))
        found.append(table)
    qualities = BlockLibrary(run / "block_library", space).qualities()
    predictor = LinearPredictor.load(run / "predictor.toml")
    return Aim(space, qualities, predictor, models, [_limit(text, models) for text in limits]), found


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
        warnings.warn(f"{table.path} was measured on {there}; this machine is {here}", stacklevel=4)
