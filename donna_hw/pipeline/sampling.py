"""Which networks a run trains and measures: drawn by its seed, as rows int [n, stages]."""

from __future__ import annotations

import numpy as np

from donna_hw.costs.serialization import load_corrected_cost
from donna_hw.errors import ConfigError
from donna_hw.pipeline.run import Run
from donna_hw.predictors.active_selection import select_d_optimal
from donna_hw.spaces.encoding import is_member
from donna_hw.spaces.extremes import block_macs
from donna_hw.spaces.space import Rows
from donna_hw.training.block_metrics import JOINT_METRICS, gather_qualities, is_trained

# streams of random numbers, each with its own seed
LATENCY_TEST, LIBRARY, RANDOM, STRATIFIED, CANDIDATES, EXTRA = 2, 3, 4, 5, 6, 7
CANDIDATES_PER_NETWORK = 50  # random networks for each network of the library to choose from
EXTRA_CANDIDATES = (
    2000  # the same number for any number of extra networks, so that a larger number only adds networks at the end
)


def library_rows(run: Run) -> tuple[Rows, Rows]:
    """Return the networks that the predictor is fitted to, and those that test it, int [n, stages] each.

    With `library.choice = "d_optimal"` the former, corners apart, are the most informative about a linear predictor's weights of 50 times
    as many. The test networks do not depend on the choice.
    """
    library, test = uniform_rows(run)
    if run.recipe.library.choice == "uniform":
        return library, test
    qualities, corners = run.qualities(), corner_rows(run)[: len(library)]
    candidates = _candidate_rows(
        run, CANDIDATES, CANDIDATES_PER_NETWORK * len(library), np.concatenate([corners, test])
    )
    selected = select_d_optimal(
        gather_qualities(qualities, candidates), gather_qualities(qualities, corners), len(library) - len(corners)
    )
    return np.concatenate([corners, candidates[selected]]), test


def extra_rows(run: Run) -> Rows:
    """Return the networks that are finetuned after the library's first ones, int [n, stages]; none of them tests a predictor.

    Of 2,000 networks drawn uniformly, one after another the one that is the most informative, given all networks before it, about the
    weights of a predictor that is linear in the logarithms of `JOINT_METRICS`.

    Raises:
        ConfigError: The space has fewer networks to choose from than `library.extra_networks`.
    """
    count = run.recipe.library.extra_networks
    if not count:
        return np.empty((0, len(run.space.columns)), np.int64)
    library, test = library_rows(run)
    candidates = _candidate_rows(run, EXTRA, EXTRA_CANDIDATES, np.concatenate([library, test]))
    if len(candidates) < count:
        raise ConfigError(
            "library.extra_networks must be at most the networks of the space to choose from",
            got=count,
            hint=f"ask for {len(candidates)} or fewer",
        )
    qualities = run.blocks.qualities(JOINT_METRICS)
    selected = select_d_optimal(gather_qualities(qualities, candidates), gather_qualities(qualities, library), count)
    return np.asarray(candidates[selected])


def _candidate_rows(run: Run, stream: int, count: int, excluded: Rows) -> Rows:
    """Return random networks to choose from, at most half of the space: none of those excluded and no stratified one."""
    rows = random_rows(run, stream, min(count, run.space.size // 2))
    return np.asarray(rows[~is_member(rows, np.concatenate([excluded, stratified_rows(run)]))])


def uniform_rows(run: Run) -> tuple[Rows, Rows]:
    """Return the networks that the predictor is fitted to where they are drawn at random, and those that test it, int [n, stages] each.

    All are drawn uniformly, as in the paper. Where the recipe asks for corners, the reference and the network of every axis's first value
    replace two of those to fit to, so that the predictor knows both ends; a corner with a diverged block is left out.
    """
    config, corners = run.recipe.library, corner_rows(run)
    random = random_rows(run, LIBRARY, config.networks + config.test_networks + 2)
    rows = np.concatenate([corners, random[~is_member(random, corners)]])[: config.networks + config.test_networks]
    return rows[: config.networks], rows[config.networks :]


def corner_rows(run: Run) -> Rows:
    """Return the corners that the recipe asks for in the library, int [2 or fewer, stages]: those of trained blocks only."""
    corners = _corners(run)
    usable = is_trained(gather_qualities(run.qualities(), corners))
    return np.asarray(corners[usable & run.recipe.library.corners])


def _corners(run: Run) -> Rows:
    """Return the reference and the network of every axis's first value, int [2, stages], or [1, stages] where both are the same."""
    space = run.space
    return np.unique([space.row(space.reference), [0] * len(space.columns)], axis=0)[::-1]


def scratch_rows(run: Run) -> Rows:
    """Return the networks that are also trained from scratch, int [n, stages]: the library's first ones that are no corners."""
    library, _ = library_rows(run)
    return np.asarray(library[~is_member(library, _corners(run))][: run.recipe.finetune.scratch_networks])


def stratified_rows(run: Run) -> Rows:
    """Return test networks spread evenly over the logarithm of MACs, int [n, stages], none of those of `uniform_rows`.

    Uniform ones crowd in the middle; of 200 times as many, drawn uniformly too, these are the nearest to evenly spaced MACs.
    """
    count = run.recipe.library.stratified_networks
    if not count:
        return np.empty((0, len(run.space.columns)), np.int64)
    rows = random_rows(run, STRATIFIED, min(200 * count, run.space.size // 2))
    rows = rows[~is_member(rows, np.concatenate(uniform_rows(run)))]
    macs = np.log(gather_qualities(block_macs(run.space), rows).sum(axis=1))
    free, selected = np.ones(len(rows), bool), []
    for target in np.linspace(macs.min(), macs.max(), count):
        nearest = int(np.argmin(np.where(free, np.abs(macs - target), np.inf)))
        free[nearest] = False
        selected.append(nearest)
    return np.asarray(rows[selected])


def latency_test_rows(run: Run) -> Rows:
    """Return the networks that test the corrected latency, int [n, stages]: none that the correction was fitted to."""
    config = run.recipe.latency
    cost = load_corrected_cost(run.space, run.latency_table())
    assert cost is not None  # noqa: S101  `profile_blocks` came before
    rows = random_rows(run, LATENCY_TEST, config.test_networks + config.calibration_networks)
    return np.asarray(rows[~is_member(rows, cost.rows)][: config.test_networks])


def random_rows(run: Run, stream: int, count: int) -> Rows:
    """Return different random networks of trained blocks, int [count, stages].

    Args:
        run: A run whose blocks are distilled.
        stream: The number of a stream of random numbers; each stream draws other networks.
        count: How many.

    Raises:
        ConfigError: Too few networks are free of diverged blocks.
    """
    rng = np.random.default_rng([run.recipe.seed, stream])
    if stream == LATENCY_TEST:
        return run.space.random_rows(count, rng)
    rows = run.space.random_rows(min(64 * count, run.space.size), rng)  # enough where one network in 30 is usable
    usable = rows[is_trained(gather_qualities(run.qualities(), rows))]
    if len(usable) < count:
        raise ConfigError(
            f"too few networks are free of diverged blocks, {count} are needed",
            got=len(usable),
            hint="lower distill.learning_rate",
        )
    return np.asarray(usable[:count])
