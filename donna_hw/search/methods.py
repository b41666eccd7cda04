"""Which search: exact where the aim allows it, NSGA-II or random networks where it does not."""

from __future__ import annotations

from dataclasses import dataclass

from donna_hw.errors import BadSetting, UnknownName
from donna_hw.search.exact import exact_front, why_not_exact
from donna_hw.search.exact_sums import TooMany
from donna_hw.search.nsga2 import nsga2
from donna_hw.search.optimality_gap import bounded, seeds_of
from donna_hw.search.pareto_front import ParetoFront
from donna_hw.search.problem import Aim
from donna_hw.search.random_search import random_front

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
        if self.samples < self.population or self.population < 4:
            raise BadSetting(
                "samples must be at least the population, and that at least 4",
                found=f"{self.samples}, {self.population}",
            )


def search(aim: Aim, settings: SearchSettings) -> ParetoFront:
    """Return the front of an aim by the method that the settings name; `exact` raises `BadSetting` where it is not possible."""
    if settings.method == "random":
        return random_front(aim, settings.samples, settings.seed)
    if settings.method == "nsga2":
        return nsga2(aim, settings.samples, settings.population, settings.seed)
    reason = why_not_exact(aim)
    if reason is None:
        try:
            return exact_front(aim)
        except TooMany:
            if settings.method == "exact":
                raise
    elif settings.method == "exact":
        raise BadSetting("an exact search needs sums over blocks", found=reason, cure="search with --method auto")
    front = nsga2(aim, settings.samples, settings.population, settings.seed, seeds=seeds_of(aim))
    return bounded(aim, front)
