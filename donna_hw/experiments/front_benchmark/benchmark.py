"""Networks of the front compared with random ones and scaled references of equal measured latency, all finetuned alike."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import write_csv
from donna_hw.costs.base import CostModel
from donna_hw.errors import InsufficientDataError
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.quantize import train_networks
from donna_hw.search.api import SearchSettings, search
from donna_hw.search.pareto_front import ParetoFront
from donna_hw.search.problem import SearchProblem
from donna_hw.search.random_search import sample_near_cost
from donna_hw.spaces.space import Rows, Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.training.block_metrics import gather_qualities
from donna_hw.training.libraries import SEPARATE_ROLES

Array = np.ndarray
LATENCY_SAMPLES = 2000  # random networks that show which latencies are common enough to find random networks of them
RARE_PERCENT = 1.0  # percentile of their latencies that no level is faster than
BENCHMARK_STREAM = 7  # a stream of random numbers, next to those of `pipeline.sampling`


class FrontBenchmark(NamedTuple):
    """A run, the problem with latency as its only cost, the cost model of the latency, and the table that measurements join."""

    run: Run
    problem: SearchProblem
    cost: CostModel
    table: LatencyTable

    def measure(self, rows: Rows) -> Array:
        """Return the measured latency of whole networks in seconds, float [n]."""
        return self.run.measure(self.table, rows)


def run_front_benchmark(run: Run) -> pd.DataFrame:
    """Finetune and measure networks of the front and of its baselines at equal latencies, and write `front_benchmark.csv`.

    Args:
        run: An open run whose table is measured and whose predictor is fitted.

    Returns:
        One line a network and level: level, role (`front`, `random`, `scaled`), network, predicted_percent, measured_s and the top-1 in
        per cent by each seed, `seeds_percent`. A level lacks a baseline where none of its latency was found.

    Raises:
        InsufficientDataError: The space has no scaled references, or no network of the front is as fast as random ones.
    """
    references = scaled_rows(run.space)  # before anything is trained: a space may have none
    table, cost = run.latency_table(), run.cost(run.device.name)
    problem = replace(run.search_problem(), costs=[cost], constraints=[])
    benchmark, config = FrontBenchmark(run, problem, cost, table), run.recipe.front_benchmark
    front = search(problem, SearchSettings(seed=run.recipe.seed))
    front_rows = front.rows[select_levels(benchmark, front, config.levels)]
    latencies = benchmark.measure(front_rows)
    random = _random_peers(benchmark, front_rows, latencies)
    train_networks(run, front_rows, "front", config.seeds)
    if random:
        train_networks(run, np.array(list(random.values())), "random", config.seeds)
    scaled = _scaled_peers(benchmark, references, latencies)
    random = _filter_equal_latency(benchmark, random, benchmark.measure(front_rows))
    by_role = {"front": dict(enumerate(front_rows)), "random": random, "scaled": scaled}
    frame = pd.concat([_lines(benchmark, role, rows) for role, rows in by_role.items() if rows], ignore_index=True)
    write_csv(run.folder / "front_benchmark.csv", frame)
    return frame


def select_levels(benchmark: FrontBenchmark, front: ParetoFront, count: int) -> Array:
    """Return the numbers of networks spread evenly over the logarithm of the lower half of a front's latencies, int [count or less].

    In the upper half all networks are nearly as good as the reference, so nothing could be compared there. Neither could it at latencies
    that fewer than one random network in a hundred undercuts.
    """
    costs, run = benchmark.cost.mean(front.rows), benchmark.run
    random = benchmark.cost.mean(run.space.random_rows(min(LATENCY_SAMPLES, run.space.size), run.recipe.seed))
    low, high = np.percentile(random, RARE_PERCENT), np.sqrt(costs.min() * costs.max())
    inside = np.flatnonzero((costs >= low) & (costs <= high))
    if not len(inside):
        raise InsufficientDataError(
            "no network of the front is as fast as random ones", hint="search again with more samples"
        )
    return np.asarray(inside[front.select_log_spaced(min(count, len(inside)), costs[inside])])


def scaled_rows(space: Space) -> Rows:
    """Return the scaled references, int [n, stages]: every network whose blocks all have one label, in the first stage's order."""
    shared = [label for label in space.stages[0].labels if all(label in stage.labels for stage in space.stages)]
    if not shared:
        raise InsufficientDataError(f"the stages of {space.name} share no label, so it has no scaled references")
    return np.array([[stage.number_of_label(label) for stage in space.stages] for label in shared])


def _random_peers(benchmark: FrontBenchmark, rows: Rows, latencies: Array) -> dict[int, Array]:
    """Return for each level the first random network of its predicted latency whose measured latency is near enough, too.

    The next candidates of all levels that have none yet are measured together: measuring many takes little longer than measuring one.
    """
    config, seed = benchmark.run.recipe.front_benchmark, benchmark.run.recipe.seed + BENCHMARK_STREAM
    candidates = sample_near_cost(
        benchmark.problem, benchmark.cost, latencies, seed=seed, excluded=rows, tolerance=config.tolerance
    )
    peers: dict[int, Array] = {}
    for attempt in range(config.tries):
        trial = {
            level: near[attempt] for level, near in enumerate(candidates) if level not in peers and attempt < len(near)
        }
        if not trial:
            break
        measured = benchmark.measure(np.array(list(trial.values())))
        for (level, row), latency in zip(trial.items(), measured, strict=True):
            if abs(latency / latencies[level] - 1) <= config.tolerance:
                peers[level] = row
    return dict(sorted(peers.items()))


def _filter_equal_latency(benchmark: FrontBenchmark, peers: dict[int, Array], latencies: Array) -> dict[int, Array]:
    """Return the random networks that are as fast as the front's by all measurements so far.

    A later trial may show that the machine ran at another speed before.
    """
    if not peers:
        return {}
    measured = benchmark.measure(np.array(list(peers.values())))
    is_equal = np.abs(measured / latencies[list(peers)] - 1) <= benchmark.run.recipe.front_benchmark.tolerance
    return {level: row for (level, row), equal in zip(peers.items(), is_equal, strict=True) if equal}


def _scaled_peers(benchmark: FrontBenchmark, rows: Rows, latencies: Array) -> dict[int, Array]:
    """Return the best scaled reference that is no slower at each level, by the accuracies of all of them by the first seed.

    The choice uses the accuracies that the comparison is made by, which favors this baseline.
    """
    config, run = benchmark.run.recipe.front_benchmark, benchmark.run
    rows = rows[benchmark.problem.usable(rows)]
    rows = rows[benchmark.cost.mean(rows) <= latencies.max() * (1 + 2 * config.tolerance)]
    if not len(rows):
        return {}
    measured = benchmark.measure(rows)
    train_networks(run, rows, "scaled", seeds=1)
    top1 = np.array([seed_accuracies(run, row)[0] for row in rows])
    peers: dict[int, Array] = {}
    for level, latency in enumerate(latencies):
        is_fast = measured <= latency * (1 + config.tolerance)
        if is_fast.any():
            peers[level] = rows[int(np.argmax(np.where(is_fast, top1, -np.inf)))]
    if peers:
        train_networks(run, np.unique(list(peers.values()), axis=0), "scaled", config.seeds)
    return peers


def seed_accuracies(run: Run, row: Array) -> list[float]:
    """Return a network's finetuned top-1 % by each of the study's seeds by which it is finetuned."""
    architecture, first = run.space.architecture(row), run.recipe.seed
    by_seed = {
        network.seed: network.top1_percent
        for network in run.architectures.networks()
        if network.architecture == architecture and network.role not in SEPARATE_ROLES
    }
    return [by_seed[seed] for seed in range(first, first + run.recipe.front_benchmark.seeds) if seed in by_seed]


def _lines(benchmark: FrontBenchmark, role: str, peers: dict[int, Array]) -> pd.DataFrame:
    run, problem, rows = benchmark.run, benchmark.problem, np.array(list(peers.values()))
    return pd.DataFrame(
        {
            "level": list(peers),
            "role": role,
            "network": run.network_names(rows),
            "predicted_percent": problem.predictor(gather_qualities(problem.qualities, rows))[0],
            "measured_s": benchmark.measure(rows),
            "seeds_percent": [" ".join(f"{top1:.4f}" for top1 in seed_accuracies(run, row)) for row in rows],
        }
    )
