"""Standing: a front whose networks are measured whole, its cost refitted and the search repeated, until the front stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from donna_hw.costs.base import CostModel
from donna_hw.errors import ConfigError, InsufficientDataError, TableError
from donna_hw.measurement.intervals import Z90
from donna_hw.search.pareto_front import ParetoFront
from donna_hw.search.problem import SearchProblem
from donna_hw.spaces.space import Rows

INTERVAL_COVERAGE = 0.9  # of measured networks, that lies within the intervals that are judged
BINOMIAL_LEVEL = 0.9  # so often does chance alone leave no more outside
ROUNDING = 1e-9  # as a share; exact costs have no deviation

Search = Callable[[SearchProblem], ParetoFront]
Refit = Callable[[Rows, np.ndarray], CostModel]


@dataclass(frozen=True)
class VerificationConfig:
    """How a front is made to stand. count: networks measured a round; rounds: at most so many.

    deviation: standard deviation of a prediction, as a share of it, above which it says too little for anything to stand on.
    """

    networks_per_round: int = 10
    max_rounds: int = 5
    max_relative_std: float = 0.1

    def __post_init__(self) -> None:
        if self.networks_per_round < 4:
            raise ConfigError("a front is verified by 4 networks a round or more", got=self.networks_per_round)
        if self.max_rounds < 1:
            raise ConfigError("a front is verified in one round or more", got=self.max_rounds)


@dataclass(frozen=True)
class VerificationRound:
    """What a round found. measured: networks that were new, of the front or, where it is short, random ones.

    mape_percent: mean absolute error of their predictions before the refit; deviation_percent: the largest that was stated. within: share
    in their 90 % intervals. kept: share of the front's networks that are in the next front. beaten: networks of the front that the
    next one beats. refit: empty, or why the cost could not be fitted again. stands: see `verify_until_stable`.
    """

    new_networks: int
    mape_percent: float
    max_std_percent: float
    coverage: float
    overlap: float
    dominated: int
    refit_error: str
    is_stable: bool


@dataclass(frozen=True)
class VerificationResult:
    """The last front and cost, all networks measured whole int [n, stages] with their costs float [n], and the rounds."""

    front: ParetoFront
    cost: CostModel
    rows: Rows
    measured: np.ndarray
    history: tuple[VerificationRound, ...]

    @property
    def is_stable(self) -> bool:
        """Whether the front stood before the rounds were used up."""
        return self.history[-1].is_stable

    def to_frame(self) -> pd.DataFrame:
        """Return one line a round."""
        frame = pd.DataFrame([vars(one) for one in self.history])
        frame.insert(0, "round", range(1, len(frame) + 1))
        return frame.round({"mape_percent": 4, "deviation_percent": 4, "within": 4, "kept": 4})


def verify_until_stable(
    aim: SearchProblem,
    search: Search,
    measure: CostModel,
    refit: Refit,
    plan: VerificationConfig | None = None,
    *,
    known: tuple[Rows, np.ndarray] | None = None,
) -> VerificationResult:
    """Search, measure networks of the front, refit the first cost and search again, until the front stands or the rounds are used up.

    measure: what networks really cost, in the unit of the aim's first cost. refit: a cost from all networks measured so far and what they
    cost. known: such networks from before, which are not chosen again. Where the front has fewer new networks than `plan.count`, random
    ones make up the number, for the fit alone. A round's front stands when

    1. of its networks measured for the first time (where none is, of as many measured before) no more lie outside their 90 % intervals
       (the prediction's and the measurement's deviation in quadrature) than chance leaves outside in nine of ten cases (2 of 10);
    2. every prediction's deviation is below `plan.deviation` of it: intervals that hold anything say nothing;
    3. the refit was possible, and beats none of the front's networks: no network of the next front is at least as accurate, in no other
       cost dearer, and in the refitted cost cheaper by more than the standard deviation of the difference; and none of them passes a limit
       on that cost by more than its deviation.

    The front returned is the next one, from the refitted cost. Raises `InsufficientDataError` where the refitted cost leaves no network within the
    limits.
    """
    plan = plan or VerificationConfig()
    rows, measured = known or (np.empty((0, len(aim.space.stages)), np.int64), np.empty(0))
    front, history = search(aim), list[VerificationRound]()
    while not history or (len(history) < plan.max_rounds and not history[-1].is_stable):
        cost = aim.costs[0]
        new = select_for_measurement(front, cost, plan.networks_per_round, rows)
        judged = (
            new if len(new) else select_for_measurement(front, cost, plan.networks_per_round, rows[:0])
        )  # all of it was measured before
        others = _random_rows(
            aim, plan.networks_per_round - len(new), np.concatenate([rows, front.rows]), seed=len(history)
        )
        measure.mean(np.concatenate([judged, others]))  # in one batch
        seconds = measure.mean(judged)
        expected, deviation = cost.mean(judged), cost.std(judged)
        within = np.abs(seconds - expected) <= Z90 * np.hypot(deviation, measure.std(judged)) + ROUNDING * seconds
        fresh = np.concatenate([new, others])
        rows, measured = np.concatenate([rows, fresh]), np.concatenate([measured, measure.mean(fresh)])
        aim, problem = refit_problem(aim, refit, rows, measured)
        after = search(aim)
        beaten = _is_dominated(aim, front, after)
        held = (~within).sum() <= stats.binom.ppf(BINOMIAL_LEVEL, len(within), 1 - INTERVAL_COVERAGE)
        largest = float((deviation / expected).max())
        history.append(
            VerificationRound(
                new_networks=len(fresh),
                mape_percent=float(100 * np.abs(expected / seconds - 1).mean()),
                max_std_percent=100 * largest,
                coverage=float(within.mean()),
                overlap=float(_is_member(front.rows, after.rows).mean()),
                dominated=int(beaten.sum()),
                refit_error=problem,
                is_stable=bool(held and largest <= plan.max_relative_std and not beaten.any() and not problem),
            )
        )
        front = after
    return VerificationResult(front, aim.costs[0], rows, measured, tuple(history))


def select_for_measurement(front: ParetoFront, cost: CostModel, count: int, known: Rows) -> Rows:
    """Return at most `count` networks of a front that are not known, int [m, stages].

    Half of them are spread over the logarithm of the cost; the rest are those left whose costs are the least certain, as shares.
    """
    rows: Rows = front.rows[~_is_member(front.rows, known)]
    if len(rows) <= count:
        return rows
    means = cost.mean(rows)
    spread = front.select_log_spaced((count + 1) // 2, means)
    uncertain = cost.std(rows) / means
    uncertain[spread] = -1
    rest = np.argsort(-uncertain, kind="stable")[: count - len(spread)]
    return np.asarray(rows[np.sort(np.concatenate([spread, rest]))])


def _random_rows(aim: SearchProblem, count: int, excluded: Rows, *, seed: int) -> Rows:
    """Return random networks to fit to where a front is too short, int [m, stages]: at most `count`, none of those excluded."""
    drawn = aim.space.random_rows(min(count + len(excluded), aim.space.size), seed) if count else excluded[:0]
    return np.asarray(drawn[~_is_member(drawn, excluded)][:count])


def refit_problem(aim: SearchProblem, refit: Refit, rows: Rows, measured: np.ndarray) -> tuple[SearchProblem, str]:
    """Return the aim with its first cost fitted again, in the limits too; as it was, with the reason, where that is not possible."""
    try:
        cost = refit(rows, measured)
    except (TableError, InsufficientDataError) as problem:
        return aim, str(problem)
    old = aim.costs[0]
    limits = [replace(limit, cost=cost) if limit.cost is old else limit for limit in aim.constraints]
    return replace(aim, costs=[cost, *aim.costs[1:]], constraints=limits), ""


def _is_dominated(aim: SearchProblem, front: ParetoFront, after: ParetoFront) -> np.ndarray:
    """Return bool [n]: networks of a front that the next one beats, or that now pass a limit, by more than the deviation."""
    cost = aim.costs[0]
    means, rivals = cost.mean(front.rows), cost.mean(after.rows)
    rival = after.accuracy[None] >= front.accuracy[:, None]
    for other in aim.costs[1:]:
        rival &= other.mean(after.rows)[None] <= other.mean(front.rows)[:, None]
    best = np.argmin(np.where(rival, rivals[None], np.inf), axis=1)
    gain = np.where(rival.any(axis=1), means - rivals[best], 0.0)
    found = gain > cost.std_of_difference(front.rows, after.rows[best]) + ROUNDING * means
    for limit in aim.constraints:
        if limit.cost is cost:
            found |= means - limit.upper_bound > cost.std(front.rows)
    return np.asarray(found)


def _is_member(rows: Rows, others: Rows) -> np.ndarray:
    """Return bool [n]: rows that are among others."""
    known = set(map(tuple, others.tolist()))
    return np.array([tuple(row) in known for row in rows.tolist()], bool)
