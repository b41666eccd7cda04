"""What more measurement would gain: the precision of a front's latencies after more device time, predicted from a run's files."""

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
MAX_GAP_S = 60.0  # between two trials, in addition to the cool-down; longer gaps are pauses of the profile, or a block that hung
SEED = 3600  # of the additional networks; not that of the correction, whose candidates are measured already


@dataclass(frozen=True)
class BudgetOption:
    """One way to spend the time.

    Args:
        kind: `rounds` of the whole table, or whole `networks` for the correction.
        capacity: How many of them fit in the time.
        count: How many of these the estimate counts.
        duration_s: Seconds that each takes.
        std: Standard deviation of each network of the front afterwards, float [n].
        pairs_within_noise: Neighboring pairs within the noise afterwards.
    """

    kind: str
    capacity: float
    count: float
    duration_s: float
    std: np.ndarray
    pairs_within_noise: int


@dataclass(frozen=True)
class BudgetAnalysis:
    """What more measurement would gain on a front, ordered by its cost.

    Args:
        mean: Cost of each network, float [n].
        current_std: Its standard deviation now, float [n].
        irreducible_std: The part of it that no measurement of blocks or of other networks reduces, float [n].
        pairs: Number of pairs of neighbors along the front.
        pairs_within_noise: Pairs whose costs differ by no more than the noise (1.645 standard deviations of the difference).
        accuracy_pairs_within_noise: Pairs whose predicted accuracies do.
        options: Ways to spend the time; empty where nothing can be gained or predicted.
        reason: Why there are no options.
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
        """The option with the smallest median deviation, as a share of the cost."""
        return min(self.options, key=lambda option: float(np.median(option.std / self.mean)))


def analyze_budget(
    space: Space,
    table: LatencyTable,
    rows: Rows,
    accuracy: tuple[np.ndarray, np.ndarray],
    budget_s: float = DEFAULT_BUDGET_S,
) -> BudgetAnalysis:
    """Return what more time on the device of a table would gain for the networks of a front.

    A row with v trials has 1 / sqrt(1 + m / v) of its standard error after m more rounds, with m = budget / (seconds of a trial * measured
    blocks). Additional networks reduce the posterior covariance of the correction by an amount that does not depend on their measured
    latencies. Neither changes the noise of whole networks or the calibration.

    Args:
        space: The space of the networks.
        table: The run's latency table.
        rows: The networks of the front, int [n, stages].
        accuracy: Their predicted top-1 in per cent and its standard deviation, float [n] each.
        budget_s: Additional seconds on the device.
    """
    cost = load_cost(space, table)
    order = np.argsort(cost.mean(rows), kind="stable")
    rows, percent, std = rows[order], accuracy[0][order], accuracy[1][order]
    close = np.abs(np.diff(percent)) <= Z90 * np.hypot(std[1:], std[:-1])
    options, reason = _budget_options(space, table, cost, rows, budget_s)
    return BudgetAnalysis(
        mean=cost.mean(rows),
        current_std=cost.std(rows),
        irreducible_std=irreducible_std(cost, rows),
        pairs=max(len(rows) - 1, 0),
        pairs_within_noise=count_pairs_within_noise(cost, rows),
        accuracy_pairs_within_noise=int(close.sum()),
        options=options,
        reason=reason,
    )


def count_pairs_within_noise(cost: CostModel, rows: Rows) -> int:
    """Return how many neighbors, among networks int [n, stages] ordered by cost, differ by at most 1.645 deviations of the difference."""
    if len(rows) < 2:
        return 0
    return int((np.diff(cost.mean(rows)) <= Z90 * cost.std_of_difference(rows[1:], rows[:-1])).sum())


def irreducible_std(cost: CostModel, rows: Rows) -> np.ndarray:
    """Return the part of each network's standard deviation that remains however much is measured of blocks and other networks, float [n].

    It is std * sqrt(noise / (noise + variance of the effects)) for a corrected cost, the residual for a table, and all of it for others.
    """
    if isinstance(cost, FittedCost):
        remaining, noise = cost.covariance(rows)
        return np.asarray(cost.std(rows) * np.sqrt(noise / (noise + np.maximum(np.diag(remaining), 0.0))))
    if isinstance(cost, TableCost):
        return np.asarray(cost.residual_std * cost.mean(rows))
    return cost.std(rows)


def mean_trial_s(records: Iterable[BlockRecord], cool_down_s: float = 0.0) -> float | None:
    """Return the mean seconds of a trial, from its start to the start of the next; None without two consecutive trials.

    A gap at which the rounds start again, or of over 60 s in addition to the cool-down, is a pause and does not count.
    """
    trials = sorted((trial.started_unix_s, trial.round) for record in records for trial in record.trials)
    starts, rounds = np.array([start for start, _ in trials]), np.array([number for _, number in trials])
    gaps, is_forward = np.diff(starts), np.diff(rounds) >= 0
    gaps = gaps[is_forward & (gaps > 0) & (gaps <= MAX_GAP_S + cool_down_s)] if len(trials) > 1 else gaps
    return float(gaps.mean()) if gaps.size else None


def with_more_rounds(table: LatencyTable, records: Mapping[str, BlockRecord], more: float) -> LatencyTable:
    """Return a table whose intervals are as narrow as after `more` rounds; rows without trials keep theirs."""
    keys = table.frame["layers_hash"].astype(str)
    trials = np.array([len(records[key].trials) if key in records else 0 for key in keys], np.float64)
    factor = np.where(trials > 0, 1 / np.sqrt(1 + more / np.maximum(trials, 1)), 1.0)
    middle, half = (
        (table.frame["high_s"] + table.frame["low_s"]) / 2,
        (table.frame["high_s"] - table.frame["low_s"]) / 2,
    )
    return replace(table, frame=table.frame.assign(low_s=middle - factor * half, high_s=middle + factor * half))


def with_more_networks(cost: FittedCost, more: Rows) -> FittedCost:
    """Return a cost as precise as after measuring additional networks, int [m, stages], whose costs are as predicted."""
    outlier_scale = np.concatenate([cost.variance_params.outlier_scale, np.ones(len(more))])
    return replace(
        cost,
        rows=np.concatenate([cost.rows, more]),
        measured=np.concatenate([cost.measured, cost.mean(more)]),
        variance_params=replace(cost.variance_params, outlier_scale=outlier_scale),
    )


def _budget_options(
    space: Space, table: LatencyTable, cost: CostModel, rows: Rows, budget_s: float
) -> tuple[tuple[BudgetOption, ...], str]:
    if table.info.origin != "measured" or "low_s" not in table.frame:
        return (), f"the table is {table.info.origin} and has no measurement error, so more measurements gain nothing"
    cool_down_s = float(table.info.identity.get("cool_down_s", 0.0))
    options = []
    records = {key: record for key, record in _journal(table, ".samples.csv").items() if record.trials}
    trial_s = mean_trial_s(records.values(), cool_down_s)
    # the interval of a single round is that of consecutive runs, which does not show how rounds differ
    if trial_s is not None and np.median([len(record.trials) for record in records.values()]) >= 2:
        round_s = trial_s * len(records)
        more = budget_s / round_s
        after = load_cost(space, with_more_rounds(table, records, more))
        pairs = count_pairs_within_noise(after, rows)
        options.append(BudgetOption("rounds", more, more, round_s, after.std(rows), pairs))
    networks = [record for record in _journal(table, ".networks.samples.csv").values() if record.trials]
    trial_s = mean_trial_s(networks, cool_down_s)
    if trial_s is not None and isinstance(cost, FittedCost):
        network_s = trial_s * float(np.mean([len(record.trials) for record in networks]))
        capacity = int(budget_s / network_s)
        count = min(capacity, MAX_VARIANCE_NETWORKS, space.size)
        if count:
            after = with_more_networks(cost, space.random_rows(count, SEED))
            pairs = count_pairs_within_noise(after, rows)
            options.append(BudgetOption("networks", capacity, count, network_s, after.std(rows), pairs))
    return tuple(options), "" if options else "the samples do not show how long a round took, or how rounds differ"


def _journal(table: LatencyTable, suffix: str) -> dict[str, BlockRecord]:
    return SampleJournal(table.path.with_suffix(suffix)).read()
