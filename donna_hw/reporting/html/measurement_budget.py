"""What another hour of measurement would gain: how much surer the latencies of a front would be, foretold from a run's own files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from donna_hw.costs.base import CostModel
from donna_hw.costs.hierarchical import MAX_VARIANCE_NETWORKS, FittedCost
from donna_hw.costs.serialization import load_cost
from donna_hw.costs.table_sum import TableCost
from donna_hw.measurement.intervals import Z90
from donna_hw.profiling.sample_journal import BlockRecord, SampleJournal
from donna_hw.spaces.space import Rows, Space
from donna_hw.tables.latency_table import LatencyTable

DEFAULT_BUDGET_S = 3600.0
MAX_GAP_S = 60.0  # between two visits, and the protocol's cool-down beside it: the profile stood still, or a block hung
SEED = 3600  # of the further networks: any but the correction's, whose candidates were measured already


@dataclass(frozen=True)
class BudgetOption:
    """One way to spend the hour.

    what: `rounds` of the whole table, or `networks` measured whole that the correction is fitted to. fits: how many the hour has room for;
    count: how many of them are reckoned with. each_s: seconds that one takes. std: of each network of the front after it, float [n];
    alike: neighbouring pairs within the noise then.
    """

    kind: str
    capacity: float
    count: float
    duration_s: float
    std: np.ndarray
    pairs_within_noise: int


@dataclass(frozen=True)
class BudgetAnalysis:
    """What an hour would gain on a front ordered by its cost.

    mean, now, never: cost, its standard deviation, and the part of that which no measuring of blocks or of other networks mends, float [n]
    each, in the cost's unit.

    pairs: neighbours along the front; alike: those whose costs differ by no more than the noise (1.645 standard deviations of the
    difference); alike_accuracy: the same of their predicted accuracies. ways: empty where nothing can be gained or foretold; `why`: then.
    """

    mean: np.ndarray
    current_std: np.ndarray
    irreducible_std: np.ndarray
    pairs: int
    pairs_within_noise: int
    accuracy_pairs_within_noise: int
    options: tuple[BudgetOption, ...]
    reason: str = ""

    @property
    def best(self) -> BudgetOption:
        """The way after which the median deviation, as a share of the cost, is the smallest."""
        return min(self.options, key=lambda way: float(np.median(way.std / self.mean)))


def analyze_budget(
    space: Space,
    table: LatencyTable,
    rows: Rows,
    accuracy: tuple[np.ndarray, np.ndarray],
    budget_s: float = DEFAULT_BUDGET_S,
) -> BudgetAnalysis:
    """Return what `budget_s` more seconds on the device of a table would gain for the networks of a front, int [n, stages].

    accuracy: predicted top-1 in per cent and its standard deviation, float [n] each. A row visited v times keeps 1 / sqrt(1 + m / v) of its
    standard error after m more rounds; m = budget / (seconds of a visit * blocks visited). Further networks take their share of the
    correction's posterior covariance, which does not depend on what they will measure. Both leave the noise of whole networks and the
    calibration as they are.
    """
    cost = load_cost(space, table)
    order = np.argsort(cost.mean(rows), kind="stable")
    rows, percent, std = rows[order], accuracy[0][order], accuracy[1][order]
    close = np.abs(np.diff(percent)) <= Z90 * np.hypot(std[1:], std[:-1])
    ways, why = _budget_options(space, table, cost, rows, budget_s)
    return BudgetAnalysis(
        mean=cost.mean(rows),
        current_std=cost.std(rows),
        irreducible_std=irreducible_std(cost, rows),
        pairs=max(len(rows) - 1, 0),
        pairs_within_noise=count_pairs_within_noise(cost, rows),
        accuracy_pairs_within_noise=int(close.sum()),
        options=ways,
        reason=why,
    )


def count_pairs_within_noise(cost: CostModel, rows: Rows) -> int:
    """Return how many neighbours, of networks int [n, stages] ordered by cost, differ by at most 1.645 deviations of the difference."""
    if len(rows) < 2:
        return 0
    return int((np.diff(cost.mean(rows)) <= Z90 * cost.std_of_difference(rows[1:], rows[:-1])).sum())


def irreducible_std(cost: CostModel, rows: Rows) -> np.ndarray:
    """Return the part of each network's standard deviation that stays however much is measured of blocks and of others, float [n].

    Of a corrected cost std * sqrt(noise / (noise + covariance of the effects)); of a table alone its residual; of others all of it.
    """
    if isinstance(cost, FittedCost):
        left, noise = cost.covariance(rows)
        return np.asarray(cost.std(rows) * np.sqrt(noise / (noise + np.maximum(np.diag(left), 0.0))))
    if isinstance(cost, TableCost):
        return np.asarray(cost.residual_std * cost.mean(rows))
    return cost.std(rows)


def mean_trial_s(records: Iterable[BlockRecord], cool_down_s: float = 0.0) -> float | None:
    """Return the seconds that one visit took on the mean, from start to start of the next; None where no two visits tell.

    A gap in which the rounds begin anew, or of over 60 s beside the cool-down, is a pause between two sittings and left out.
    """
    visits = sorted((visit.started_unix_s, visit.round) for record in records for visit in record.trials)
    starts, rounds = np.array([start for start, _ in visits]), np.array([number for _, number in visits])
    gaps, onward = np.diff(starts), np.diff(rounds) >= 0
    gaps = gaps[onward & (gaps > 0) & (gaps <= MAX_GAP_S + cool_down_s)] if len(visits) > 1 else gaps
    return float(gaps.mean()) if gaps.size else None


def with_more_rounds(table: LatencyTable, records: Mapping[str, BlockRecord], more: float) -> LatencyTable:
    """Return a table whose intervals are as narrow as after `more` rounds; rows that were never visited keep theirs."""
    keys = table.frame["layers_hash"].astype(str)
    visits = np.array([len(records[key].trials) if key in records else 0 for key in keys], np.float64)
    kept = np.where(visits > 0, 1 / np.sqrt(1 + more / np.maximum(visits, 1)), 1.0)
    middle, half = (
        (table.frame["high_s"] + table.frame["low_s"]) / 2,
        (table.frame["high_s"] - table.frame["low_s"]) / 2,
    )
    return replace(table, frame=table.frame.assign(low_s=middle - kept * half, high_s=middle + kept * half))


def with_more_networks(cost: FittedCost, more: Rows) -> FittedCost:
    """Return a cost as sure as after measuring further networks, int [m, stages], that cost what it says of them."""
    outlying = np.concatenate([cost.variance_params.outlier_scale, np.ones(len(more))])
    return replace(
        cost,
        rows=np.concatenate([cost.rows, more]),
        measured=np.concatenate([cost.measured, cost.mean(more)]),
        variance_params=replace(cost.variance_params, outlier_scale=outlying),
    )


def _budget_options(
    space: Space, table: LatencyTable, cost: CostModel, rows: Rows, budget_s: float
) -> tuple[tuple[BudgetOption, ...], str]:
    if table.info.origin != "measured" or "low_s" not in table.frame:
        return (
            (),
            f"the table is {table.info.origin}: nothing in it is left to chance, so that another hour gains nothing",
        )
    cool_down_s = float(table.info.identity.get("cool_down_s", 0.0))
    found = []
    records = {key: one for key, one in _journal(table, ".samples.csv").items() if one.trials}
    each_s = mean_trial_s(records.values(), cool_down_s)
    # of one round the interval is that of runs in a row: it says nothing of how rounds differ
    if each_s is not None and np.median([len(one.trials) for one in records.values()]) >= 2:
        more = budget_s / (each_s * len(records))
        after = load_cost(space, with_more_rounds(table, records, more))
        found.append(
            BudgetOption(
                "rounds", more, more, each_s * len(records), after.std(rows), count_pairs_within_noise(after, rows)
            )
        )
    networks = [one for one in _journal(table, ".networks.samples.csv").values() if one.trials]
    each_s = mean_trial_s(networks, cool_down_s)
    if each_s is not None and isinstance(cost, FittedCost):
        each_s *= float(np.mean([len(one.trials) for one in networks]))
        fits = int(budget_s / each_s)
        count = min(fits, MAX_VARIANCE_NETWORKS, space.size)
        if count:
            surer = with_more_networks(cost, space.random_rows(count, SEED))
            found.append(
                BudgetOption("networks", fits, count, each_s, surer.std(rows), count_pairs_within_noise(surer, rows))
            )
    return tuple(found), "" if found else "the samples do not tell how long a round took, or how rounds differ"


def _journal(table: LatencyTable, suffix: str) -> dict[str, BlockRecord]:
    return SampleJournal(table.path.with_suffix(suffix)).read()
