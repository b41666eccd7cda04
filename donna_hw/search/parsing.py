"""Costs and constraints as users write them: a name, the maximum over several devices, or a weighted sum of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from donna_hw._core.units import parse_quantity
from donna_hw.costs.base import CostModel
from donna_hw.costs.measured import MAX_NETWORKS, MEASURED_PREFIX, create_measured_cost
from donna_hw.costs.multi_device import MaxCost, WeightedSumCost
from donna_hw.costs.serialization import load_cost
from donna_hw.errors import ConfigError
from donna_hw.search.problem import Constraint
from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import CostName, find_table

FORMS = (
    "cannot parse a cost: write NAME, 'max(NAME,NAME)' or '0.7*NAME+0.3*NAME', where NAME is [METRIC@]DEVICE[/VARIANT]"
)


def ignore_table(_: LatencyTable) -> None:
    """Do nothing with a table."""


@dataclass(frozen=True)
class CostParser:
    """Finds the models of costs by their names.

    Args:
        space: The space whose networks cost something.
        folders: Folders of latency tables; the first one that has a table is used, and networks are measured in the first.
        on_table: Called with each table that is used.
        max_networks: How many networks a measured cost may time.
    """

    space: Space
    folders: Sequence[Path]
    on_table: Callable[[LatencyTable], None] = ignore_table
    max_networks: int = MAX_NETWORKS

    def parse_costs(self, texts: Sequence[str]) -> list[CostModel]:
        """Return the models of several costs, each with the name that was given; raises `ConfigError` for one that is given twice."""
        for text in texts:
            if texts.count(text) > 1:
                raise ConfigError("a cost is given twice", got=text)
        return [self.parse_cost(text) for text in texts]

    def parse_cost(self, text: str) -> CostModel:
        """Return the model of one cost, of one of the `FORMS`; raises `ConfigError`, `TableError` and `UnknownNameError`."""
        maximum = re.fullmatch(r"max\((.*)\)", text)
        if maximum:
            return MaxCost(text, tuple(self.parse_name(name) for name in maximum[1].split(",")))
        if "*" in text:
            weights, names = zip(*map(_parse_weighted, text.split("+")), strict=True)
            return WeightedSumCost(text, tuple(self.parse_name(name) for name in names), weights)
        return self.parse_name(text)

    def parse_name(self, text: str) -> CostModel:
        """Return the model of a name's table and its correction."""
        if re.search(r"[()*,]", text):
            raise ConfigError(FORMS, got=text)
        if text.strip().startswith(MEASURED_PREFIX):
            return create_measured_cost(
                self.space, text.strip().removeprefix(MEASURED_PREFIX), self.folders[0], max_networks=self.max_networks
            )
        name = CostName.parse(text.strip())
        table = find_table(self.folders, text.strip(), self.space.name)
        self.on_table(table)
        return load_cost(self.space, table, _format_name(name))

    def parse_constraint(self, text: str, asked: Sequence[CostModel] = ()) -> Constraint:
        """Return the constraint `COST<=VALUE`, such as `latency@v100<=20ms`; the cost may be one of `asked`, or any other.

        Raises `ConfigError` for another form or a value without a unit of the cost, and what `parse_cost` raises.
        """
        name, sign, value = (word.strip() for word in text.rpartition("<="))
        if not sign or not name:
            raise ConfigError(
                "a constraint must be COST<=VALUE with a unit, such as params<=4M or latency@v100<=20ms", got=text
            )
        known = {cost.name: cost for cost in asked}
        cost = known[name] if name in known else self.parse_cost(name)
        return Constraint(cost, parse_quantity(value, cost.unit))


def _format_name(name: CostName) -> str:
    """Return a cost's name as the user wrote it."""
    quantity, device, variant = name
    return (f"{quantity}@" if quantity else "") + device + (f"/{variant}" if variant else "")


def _parse_weighted(term: str) -> tuple[float, str]:
    """Return the weight and the name of `0.7*NAME` or `NAME*0.7`; raises `ConfigError`."""
    left, sign, right = (word.strip() for word in term.partition("*"))
    for number, name in ((left, right), (right, left)):
        if sign and name and re.fullmatch(r"[0-9]*\.?[0-9]+(e[+-]?[0-9]+)?", number):
            return float(number), name
    raise ConfigError(FORMS, got=term)
