"""Which search: exact where the aim allows it, NSGA-II or random networks where it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from donna_hw.costs.model import CostModel
from donna_hw.errors import BadSetting, NothingToFit, UnknownName
from donna_hw.search.aim import Aim, Limit
from donna_hw.search.front import ParetoFront
from donna_hw.search.nsga2 import nsga2
from donna_hw.search.random import random_front
from donna_hw.search.robust import Robust

METHODS = ("auto", "exact", "nsga2", "random")


@dataclass(frozen=True)
class SearchSettings:
    """How to search. samples: networks that NSGA-II or the random search looks at; population: of a generation of NSGA-II.

    method: `auto` is `exact` where that is possible, else `nsga2` begun from the nearest exact front. robust: a quantile to judge costs
    by (`Robust`). diverse: a share of equal blocks that no two networks may pass (`diverse`).
    """

    method: str = "auto"
    samples: int = 2500
    population: int = 50
    seed: int = 0
    robust: float | None = None
    diverse: float | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UnknownName("a search's method must be a known one", found=self.method, known=METHODS)


def search(aim: Aim, settings: SearchSettings) -> ParetoFront:
    """Return the front of an aim by the method that the settings name; `exact` raises `BadSetting` where it is not possible."""
    if settings.method == "random":
        return random_front(aim, settings.samples, settings.seed)
    if settings.method == "nsga2":
        return nsga2(aim, settings.samples, settings.population, settings.seed)
    reason = why_not_exact(aim)
    if reason is None:
        front: ParetoFront = _exact().exact_front(aim)
        return front
    if settings.method == "exact":
        raise BadSetting("an exact search needs sums over blocks", found=reason, cure="search with --method auto")
    return nsga2(aim, settings.samples, settings.population, settings.seed, **_seeds(aim))


def why_not_exact(aim: Aim) -> str | None:
    """Return why no exact search of the aim is possible, None where one is."""
    if find_spec("donna_hw.search.exact") is None:
        return "this version has no exact search"
    reason: str | None = _exact().why_not_exact(aim)
    return reason


def nearest_sums(aim: Aim) -> Aim | None:
    """Return the aim with every robust cost replaced by its mean and every other cost that is no sum left out; None where none stays."""
    costs = [cost for cost in map(_plain, aim.costs) if _is_sum(aim, cost)]
    limits = [Limit(_plain(limit.cost), limit.highest) for limit in aim.limits if _is_sum(aim, _plain(limit.cost))]
    return replace(aim, costs=costs, limits=limits) if costs else None


def _seeds(aim: Aim) -> dict[str, Any]:
    """Return the networks to begin NSGA-II from, as its keyword: the nearest exact front, nothing where there is none."""
    near = nearest_sums(aim)
    if near is None or why_not_exact(near) is not None:
        return {}
    try:
        return {"seeds": _exact().exact_front(near).rows}
    except NothingToFit:
        return {}  # limits that the means miss are said by the search itself, of the costs that were asked for


def _plain(cost: CostModel) -> CostModel:
    return cost.cost if isinstance(cost, Robust) else cost


def _is_sum(aim: Aim, cost: CostModel) -> bool:
    return cost.parts((0,) * len(aim.space.global_axes)) is not None


def _exact() -> Any:
    return import_module("donna_hw.search.exact")  # only where it is used: a search by NSGA-II does not pay for it
