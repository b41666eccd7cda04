"""Which networks a run trains and measures: drawn by its seed, rows int [n, stages]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw.costs.serialization import load_corrected_cost
from donna_hw.errors import ConfigError
from donna_hw.pipeline.run_directory import RunFolder
from donna_hw.predictors.active_selection import select_d_optimal
from donna_hw.spaces.extremes import block_macs
from donna_hw.spaces.space import Rows
from donna_hw.tables.lookup import find_table
from donna_hw.training.block_metrics import JOINT_METRICS, gather_qualities, is_trained

# streams of randomness, each with a seed of its own
LATENCY_TEST, LIBRARY, RANDOM, STRATIFIED, CANDIDATES, EXTRA = 2, 3, 4, 5, 6, 7
CANDIDATES_PER_NETWORK = 50  # networks that the choice of one to finetune looks at
EXTRA_CANDIDATES = 2000  # the same for any number of further networks, so that more of them only come after fewer


def library_rows(run: RunFolder) -> tuple[Rows, Rows]:
    """Return the networks to fit the predictor to and those to test it, int [n, stages] each.

    By `library.choice = "d_optimal"` the networks to fit to, corners apart, are those of 50 times as many that tell most about a linear
    predictor's weights. The test networks are the same by any choice.
    """
    library, test = uniform_rows(run)
    if run.recipe.library.choice == "uniform":
        return library, test
    qualities, fixed = run.qualities(), corner_rows(run)[: len(library)]
    drawn = _candidates(run, CANDIDATES, CANDIDATES_PER_NETWORK * len(library), (fixed, test))
    count = len(library) - len(fixed)
    chosen = select_d_optimal(gather_qualities(qualities, drawn), gather_qualities(qualities, fixed), count)
    return np.concatenate([fixed, drawn[chosen]]), test


def extra_rows(run: RunFolder) -> Rows:
    """Return the networks that are finetuned after the library's first ones, int [n, stages]: none that tests a predictor.

    One after another, of 2,000 drawn uniformly, what tells most, beside all networks before it, about the weights of a predictor
    that is linear in the logarithms of `libraries.JOINT`.
    """
    count = run.recipe.library.extra_networks
    if not count:
        return np.empty((0, len(run.space.columns)), np.int64)
    library, test = library_rows(run)
    drawn = _candidates(run, EXTRA, EXTRA_CANDIDATES, (library, test))
    if len(drawn) < count:
        rule = "library.extra_networks must be at most the networks of the space to choose from"
        raise ConfigError(rule, got=count, hint=f"ask for {len(drawn)} or fewer")
    qualities = run.blocks.qualities(JOINT_METRICS)
    return np.asarray(
        drawn[select_d_optimal(gather_qualities(qualities, drawn), gather_qualities(qualities, library), count)]
    )


def _candidates(run: RunFolder, stream: int, count: int, but: Sequence[Rows]) -> Rows:
    """Return random networks to choose from, at most half of the space: none of these, and no stratified one."""
    known = {tuple(row) for rows in (*but, stratified_rows(run)) for row in rows}
    drawn = random_rows(run, stream, min(count, run.space.size // 2))
    return np.asarray(drawn[[tuple(row) not in known for row in drawn]])


def uniform_rows(run: RunFolder) -> tuple[Rows, Rows]:
    """Return the networks to fit the predictor to, if chance chooses them, and those to test it, int [n, stages] each.

    All are drawn uniformly, as in the paper; if the recipe wants corners, the reference and the network of every axis's first value
    replace two of those to fit to, so that the predictor knows both ends; a corner with a diverged block is left out.
    """
    sizes, corners = run.recipe.library, corner_rows(run)
    drawn = random_rows(run, LIBRARY, sizes.networks + sizes.test_networks + 2)
    others = drawn[~(drawn[:, None] == corners[None]).all(axis=2).any(axis=1)]
    rows = np.concatenate([corners, others])[: sizes.networks + sizes.test_networks]
    return rows[: sizes.networks], rows[sizes.networks :]


def corner_rows(run: RunFolder) -> Rows:
    """Return the corners that the recipe wants in the library, int [2 or fewer, stages]: those of trained blocks only."""
    space = run.space
    corners = np.unique([space.row(space.reference), [0] * len(space.columns)], axis=0)[::-1]
    usable = is_trained(gather_qualities(run.qualities(), corners))
    return np.asarray(corners[usable & run.recipe.library.corners])


def scratch_rows(run: RunFolder) -> Rows:
    """Return the networks that are also trained from scratch, int [n, stages]: the library's first ones that are no corners."""
    corners = {(0,) * len(run.space.columns), tuple(run.space.row(run.space.reference))}
    library, _ = library_rows(run)
    return library[[tuple(row) not in corners for row in library]][: run.recipe.finetune.scratch_networks]


def stratified_rows(run: RunFolder) -> Rows:
    """Return test networks spread evenly over the logarithm of MACs, int [n, stages], none of those of `uniform_rows`.

    Uniform ones crowd in the middle; of 200 times as many, drawn uniformly too, these are the nearest to evenly spaced MACs.
    """
    count = run.recipe.library.stratified_networks
    if not count:
        return np.empty((0, len(run.space.columns)), np.int64)
    known = {tuple(row) for rows in uniform_rows(run) for row in rows}
    drawn = random_rows(run, STRATIFIED, min(200 * count, run.space.size // 2))
    drawn = drawn[[tuple(row) not in known for row in drawn]]
    macs = np.log(gather_qualities(block_macs(run.space), drawn).sum(axis=1))
    wanted = np.linspace(macs.min(), macs.max(), count)
    free, chosen = np.ones(len(drawn), bool), []
    for target in wanted:
        nearest = int(np.argmin(np.where(free, np.abs(macs - target), np.inf)))
        free[nearest] = False
        chosen.append(nearest)
    return np.asarray(drawn[chosen])


def latency_test_rows(run: RunFolder) -> Rows:
    """Return the networks that test the corrected latency, int [n, stages]: none that the correction was fitted to."""
    part = run.recipe.latency
    cost = load_corrected_cost(run.space, find_table([run.tables], run.device.name, run.space.name))
    assert cost is not None  # noqa: S101  `profile` came before
    fitted = cost.rows
    drawn = random_rows(run, LATENCY_TEST, part.test_networks + part.calibration_networks)
    return np.asarray(drawn[~(drawn[:, None] == fitted[None]).all(axis=2).any(axis=1)][: part.test_networks])


def random_rows(run: RunFolder, stream: int, count: int) -> Rows:
    """Return different random networks of trained blocks, int [count, stages]; each stream has its own randomness."""
    rng = np.random.default_rng([run.recipe.seed, stream])
    if stream == LATENCY_TEST:
        return run.space.random_rows(count, rng)
    rows = run.space.random_rows(min(64 * count, run.space.size), rng)  # enough where one network in 30 is usable
    usable = rows[is_trained(gather_qualities(run.qualities(), rows))]
    if len(usable) < count:
        raise ConfigError(
            "enough networks must be free of diverged blocks", got=len(usable), hint="lower distill.learning_rate"
        )
    return np.asarray(usable[:count])
