"""Verifying a front: measure whole networks of it, refit the cost and search again, until the front is stable."""

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
from donna_hw.spaces.encoding import is_member
from donna_hw.spaces.space import Rows

INTERVAL_COVERAGE = 0.9  # share of measured networks that should lie within their intervals
BINOMIAL_LEVEL = 0.9  # chance alone leaves no more networks outside in this share of cases
ROUNDING = 1e-9  # relative; exact costs have no deviation

Search = Callable[[SearchProblem], ParetoFront]
Refit = Callable[[Rows, np.ndarray], CostModel]


@dataclass(frozen=True)
class VerificationConfig:
    """How a front is verified.

    Args:
        networks_per_round: Networks measured in a round, at least 4.
        max_rounds: Rounds at most, at least 1.
        max_relative_std: Largest standard deviation of a prediction, as a share of it, at which a front may count as stable.

    Raises:
        ConfigError: There are too few networks or rounds.
    """

    networks_per_round: int = 10
    max_rounds: int = 5
    max_relative_std: float = 0.1

    def __post_init__(self) -> None:
        if self.networks_per_round < 4:
            raise ConfigError("networks_per_round must be at least 4", got=self.networks_per_round)
        if self.max_rounds < 1:
            raise ConfigError("max_rounds must be at least 1", got=self.max_rounds)


@dataclass(frozen=True)
class VerificationRound:
    """What a round measured.

    Args:
        new_networks: Networks measured for the first time: of the front, or random ones where it is short.
        mape_percent: Mean absolute error of the front's predictions before the refit.
        max_std_percent: The largest predicted standard deviation.
        coverage: Share of measured networks within their 90 % intervals.
        overlap: Share of the front's networks that are in the next front too.
        dominated: Networks of the front that the next front dominates.
        refit_error: Why the cost could not be fitted again; else empty.
        is_stable: See `verify_until_stable`.
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
    """The result of a verified search.

    Args:
        front: The last front.
        cost: The last refitted cost.
        rows: All networks measured whole, int [n, stages].
        measured: Their costs, float [n].
        history: The rounds.
    """

    front: ParetoFront
    cost: CostModel
    rows: Rows
    measured: np.ndarray
    history: tuple[VerificationRound, ...]

    @property
    def is_stable(self) -> bool:
        """Whether the front was stable in the last round."""
        return self.history[-1].is_stable

    def to_frame(self) -> pd.DataFrame:
        """Return one line per round."""
        frame = pd.DataFrame([vars(entry) for entry in self.history])
        frame.insert(0, "round", range(1, len(frame) + 1))
        return frame.round({"mape_percent": 4, "max_std_percent": 4, "coverage": 4, "overlap": 4})


def verify_until_stable(
    problem: SearchProblem,
    search: Search,
    measure: CostModel,
    refit: Refit,
    config: VerificationConfig | None = None,
    *,
    known: tuple[Rows, np.ndarray] | None = None,
) -> VerificationResult:
    """Search, measure networks of the front, refit the first cost and search again, until the front is stable or no round is left.

    Where the front has fewer new networks than a round measures, random ones are added, for the fit alone. A round's front is stable when

    1. among its networks measured for the first time (or, if there are none, among as many measured before) no more lie outside their
       90 % intervals than chance leaves outside in nine of ten cases (2 of 10). An interval combines the deviations of the prediction
       and of the measurement in quadrature;
    2. every prediction's deviation is at most `max_relative_std` of it, since very wide intervals hold everything;
    3. the refit succeeded and dominates no network of the front. A network is dominated if a network of the next front is at least as
       accurate, in no other cost more expensive, and cheaper in the refitted cost by more than the standard deviation of the difference.
       A network that violates a constraint on that cost by more than its deviation counts as dominated too.

    Args:
        problem: What is searched for.
        search: Returns the front of a problem.
        measure: The true costs of networks, in the unit of the problem's first cost.
        refit: Returns a cost from all networks measured so far, int [n, stages], and their costs, float [n].
        config: How many networks and rounds to measure.
        known: Networks measured before, which are not selected again, and their costs.

    Returns:
        The last front, which belongs to the last refitted cost, and what each round measured.

    Raises:
        InsufficientDataError: With the refitted cost no network satisfies the constraints.
    """
    config = config or VerificationConfig()
    rows, measured = known or (np.empty((0, len(problem.space.stages)), np.int64), np.empty(0))
    front, history = search(problem), list[VerificationRound]()
    while not history or (len(history) < config.max_rounds and not history[-1].is_stable):
        cost = problem.costs[0]
        new = select_for_measurement(front, cost, config.networks_per_round, rows)
        # Where all of the front was measured before, it is evaluated on those measurements.
        evaluated = new if len(new) else select_for_measurement(front, cost, config.networks_per_round, rows[:0])
        others = _random_rows(
            problem, config.networks_per_round - len(new), np.concatenate([rows, front.rows]), seed=len(history)
        )
        measure.mean(np.concatenate([evaluated, others]))  # in one batch
        actual = measure.mean(evaluated)
        predicted, std = cost.mean(evaluated), cost.std(evaluated)
        within = np.abs(actual - predicted) <= Z90 * np.hypot(std, measure.std(evaluated)) + ROUNDING * actual
        fresh = np.concatenate([new, others])
        rows, measured = np.concatenate([rows, fresh]), np.concatenate([measured, measure.mean(fresh)])
        problem, refit_error = refit_problem(problem, refit, rows, measured)
        next_front = search(problem)
        dominated = _is_dominated(problem, front, next_front)
        is_covered = (~within).sum() <= stats.binom.ppf(BINOMIAL_LEVEL, len(within), 1 - INTERVAL_COVERAGE)
        max_std = float((std / predicted).max())
        history.append(
            VerificationRound(
                new_networks=len(fresh),
                mape_percent=float(100 * np.abs(predicted / actual - 1).mean()),
                max_std_percent=100 * max_std,
                coverage=float(within.mean()),
                overlap=float(is_member(front.rows, next_front.rows).mean()),
                dominated=int(dominated.sum()),
                refit_error=refit_error,
                is_stable=bool(
                    is_covered and max_std <= config.max_relative_std and not dominated.any() and not refit_error
                ),
            )
        )
        front = next_front
    return VerificationResult(front, problem.costs[0], rows, measured, tuple(history))


def select_for_measurement(front: ParetoFront, cost: CostModel, count: int, known: Rows) -> Rows:
    """Return at most `count` networks of a front that are not known, int [m, stages].

    Half of them are spread over the logarithm of the cost. The others are the remaining ones of the largest relative uncertainty.
    """
    rows: Rows = front.rows[~is_member(front.rows, known)]
    if len(rows) <= count:
        return rows
    means = cost.mean(rows)
    spread = front.select_log_spaced((count + 1) // 2, means)
    uncertain = cost.std(rows) / means
    uncertain[spread] = -1
    rest = np.argsort(-uncertain, kind="stable")[: count - len(spread)]
    return np.asarray(rows[np.sort(np.concatenate([spread, rest]))])


def _random_rows(problem: SearchProblem, count: int, excluded: Rows, *, seed: int) -> Rows:
    """Return at most `count` random networks for the fit where a front is too short, int [m, stages], without those excluded."""
    rows = problem.space.random_rows(min(count + len(excluded), problem.space.size), seed) if count else excluded[:0]
    return np.asarray(rows[~is_member(rows, excluded)][:count])


def refit_problem(problem: SearchProblem, refit: Refit, rows: Rows, measured: np.ndarray) -> tuple[SearchProblem, str]:
    """Return the problem with its first cost refitted, in the constraints too; unchanged, with the reason, where that is not possible."""
    try:
        cost = refit(rows, measured)
    except (TableError, InsufficientDataError) as error:
        return problem, str(error)
    old = problem.costs[0]
    constraints = [replace(limit, cost=cost) if limit.cost is old else limit for limit in problem.constraints]
    return replace(problem, costs=[cost, *problem.costs[1:]], constraints=constraints), ""


def _is_dominated(problem: SearchProblem, front: ParetoFront, next_front: ParetoFront) -> np.ndarray:
    """Return bool [n]: networks of a front that the next one dominates, or that violate a constraint, by more than the deviation."""
    cost = problem.costs[0]
    means, next_means = cost.mean(front.rows), cost.mean(next_front.rows)
    is_rival = next_front.accuracy[None] >= front.accuracy[:, None]
    for other in problem.costs[1:]:
        is_rival &= other.mean(next_front.rows)[None] <= other.mean(front.rows)[:, None]
    best = np.argmin(np.where(is_rival, next_means[None], np.inf), axis=1)
    gain = np.where(is_rival.any(axis=1), means - next_means[best], 0.0)
    dominated = gain > cost.std_of_difference(front.rows, next_front.rows[best]) + ROUNDING * means
    for limit in problem.constraints:
        if limit.cost is cost:
            dominated |= means - limit.upper_bound > cost.std(front.rows)
    return np.asarray(dominated)
