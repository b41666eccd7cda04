"""The proof: networks of the front beside random ones and scaled teachers of equal measured latency, all finetuned alike."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import write_csv
from donna_hw.costs.base import CostModel
from donna_hw.errors import InsufficientDataError
from donna_hw.pipeline.run import Run
from donna_hw.search.api import SearchSettings, search
from donna_hw.search.pareto_front import ParetoFront
from donna_hw.search.problem import SearchProblem
from donna_hw.search.random_search import sample_near_cost
from donna_hw.spaces.space import Rows, Space
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import find_table
from donna_hw.training.block_metrics import gather_qualities
from donna_hw.training.libraries import SEPARATE_ROLES

Array = np.ndarray
LATENCY_SAMPLES = 2000  # random networks that say which latencies are common enough to have peers
RARE_PERCENT = 1.0  # per cent of them that are faster than any level
BENCHMARK_STREAM = 7  # a stream of randomness, beside those of `running.rows`


class FrontBenchmark(NamedTuple):
    """A run with what its networks are judged by: the aim, the latency by its cost model, and the table that measurements join."""

    run: Run
    problem: SearchProblem
    cost: CostModel
    table: LatencyTable

    def measure(self, rows: Rows) -> Array:
        """Return the measured latency of whole networks in seconds, float [n]."""
        return self.run.measure(self.table, rows)


def run_front_benchmark(run: Run) -> pd.DataFrame:
    """Finetune and measure the networks of the proof, and write `proof.csv`; the run's predictor and table must be there.

    One line a network and level: level, role (`front`, `random`, `scaled`), network, predicted_percent, measured_s and its accuracies by
    seed, `seeds_percent`, in per cent. A level lacks a rival where none of its latency was found.
    """
    teachers = scaled_rows(run.space)  # before anything is trained: a space may have none
    table, cost = find_table([run.tables], run.device.name, run.space.name), run.cost(run.device.name)
    bench, part = (
        FrontBenchmark(run, replace(run.search_problem(), costs=[cost], constraints=[]), cost, table),
        run.recipe.front_benchmark,
    )
    front = search(bench.problem, SearchSettings(seed=run.recipe.seed))
    chosen = front.rows[select_levels(bench, front, part.levels)]
    latencies = bench.measure(chosen)
    found = {"front": dict(enumerate(chosen)), "random": _random_peers(bench, chosen, latencies)}
    run.train_networks(chosen, "front", part.seeds)
    if found["random"]:
        run.train_networks(np.array(list(found["random"].values())), "random", part.seeds)
    found["scaled"] = _scaled_peers(bench, teachers, latencies)
    found["random"] = _filter_equal_latency(bench, found["random"], bench.measure(chosen))
    frame = pd.concat([_lines(bench, role, rows) for role, rows in found.items() if rows], ignore_index=True)
    write_csv(run.folder / "front_benchmark.csv", frame)
    return frame


def select_levels(bench: FrontBenchmark, front: ParetoFront, count: int) -> Array:
    """Return the numbers of networks of a front, spread evenly over the logarithm of the lower half of its latencies, int [count or less].

    Below the middle the reference leaves room: above, all networks are nearly as good as it. Latencies that fewer than one random
    network in a hundred undercuts are left out, since nothing could be compared there.
    """
    costs = bench.cost.mean(front.rows)
    random = bench.cost.mean(
        bench.run.space.random_rows(min(LATENCY_SAMPLES, bench.run.space.size), bench.run.recipe.seed)
    )
    low, high = np.percentile(random, RARE_PERCENT), np.sqrt(costs.min() * costs.max())
    inside = np.flatnonzero((costs >= low) & (costs <= high))
    if not len(inside):
        raise InsufficientDataError("a front must hold networks as fast as random ones", got=0, hint="search again")
    return np.asarray(inside[front.select_log_spaced(min(count, len(inside)), costs[inside])])


def scaled_rows(space: Space) -> Rows:
    """Return the scaled teachers, int [n, stages]: every network whose blocks all have one label, in the order of the first stage."""
    shared = [label for label in space.stages[0].labels if all(label in stage.labels for stage in space.stages)]
    if not shared:
        raise InsufficientDataError("scaled teachers need labels that all stages share", got="none")
    return np.array([[stage.number_of_label(label) for stage in space.stages] for label in shared])


def _random_peers(bench: FrontBenchmark, rows: Rows, latencies: Array) -> dict[int, Array]:
    """Return a random network for each level whose measured latency is near enough; of some of that predicted latency, the first.

    The next ones of all levels that have none yet are measured together, since a measurement of many takes little longer than of one.
    """
    part, seed = bench.run.recipe.front_benchmark, bench.run.recipe.seed
    drawn = sample_near_cost(
        bench.problem, bench.cost, latencies, seed=seed + BENCHMARK_STREAM, excluded=rows, tolerance=part.tolerance
    )
    found: dict[int, Array] = {}
    for attempt in range(part.tries):
        tried = {level: rows[attempt] for level, rows in enumerate(drawn) if level not in found and attempt < len(rows)}
        if not tried:
            break
        measured = bench.measure(np.array(list(tried.values())))
        for (level, row), latency in zip(tried.items(), measured, strict=True):
            if abs(latency / latencies[level] - 1) <= part.tolerance:
                found[level] = row
    return dict(sorted(found.items()))


def _filter_equal_latency(bench: FrontBenchmark, found: dict[int, Array], latencies: Array) -> dict[int, Array]:
    """Return the random networks that are as fast as the front's by all that has been measured since: a later visit may tell that the
    machine ran at another speed before.
    """
    if not found:
        return {}
    measured = bench.measure(np.array(list(found.values())))
    near = np.abs(measured / latencies[list(found)] - 1) <= bench.run.recipe.front_benchmark.tolerance
    return {level: row for (level, row), equal in zip(found.items(), near, strict=True) if equal}


def _scaled_peers(bench: FrontBenchmark, rows: Rows, latencies: Array) -> dict[int, Array]:
    """Return the best scaled teacher that is no slower at each level, by the measured accuracies of all of them by the first seed.

    The choice looks at the accuracies that the comparison is made by, which favours the rival.
    """
    part, run = bench.run.recipe.front_benchmark, bench.run
    rows = rows[bench.problem.usable(rows)]
    rows = rows[bench.cost.mean(rows) <= latencies.max() * (1 + 2 * part.tolerance)]
    if not len(rows):
        return {}
    measured = bench.measure(rows)
    run.train_networks(rows, "scaled", seeds=1)
    top1 = np.array([seed_accuracies(run, row)[0] for row in rows])
    found: dict[int, Array] = {}
    for level, latency in enumerate(latencies):
        fast = measured <= latency * (1 + part.tolerance)
        if fast.any():
            found[level] = rows[int(np.argmax(np.where(fast, top1, -np.inf)))]
    if found:
        run.train_networks(np.unique(list(found.values()), axis=0), "scaled", part.seeds)
    return found


def seed_accuracies(run: Run, row: Array) -> list[float]:
    """Return a network's finetuned top-1 % by each of the proof's seeds that it has."""
    network, seeds = (
        run.space.architecture(row),
        range(run.recipe.seed, run.recipe.seed + run.recipe.front_benchmark.seeds),
    )
    by_seed = {
        each.seed: each.top1_percent
        for each in run.architectures.networks()
        if each.architecture == network and each.role not in SEPARATE_ROLES
    }
    return [by_seed[seed] for seed in seeds if seed in by_seed]


def _lines(bench: FrontBenchmark, role: str, found: dict[int, Array]) -> pd.DataFrame:
    run, rows = bench.run, np.array(list(found.values()))
    return pd.DataFrame(
        {
            "level": list(found),
            "role": role,
            "network": [run.architectures.name(network) for network in run.networks(rows)],
            "predicted_percent": bench.problem.predictor(gather_qualities(bench.problem.qualities, rows))[0],
            "measured_s": bench.measure(rows),
            "seeds_percent": [" ".join(f"{top1:.4f}" for top1 in seed_accuracies(run, row)) for row in rows],
        }
    )
