"""How far the GP latency model is from measured blocks that were held back, and whether its stated intervals are honest.

    python benchmarks/gp_latency_model.py > docs/results/gp_latency_model.md

With the shipped tables of each device: fitted on a space, an extended one is predicted; fitted on a share of a space, the rest; fitted on
five other spaces, EfficientNet-B0. Three rivals: gradient boosting, time linear in MACs, bytes and layers, and proportional to
MACs. Then the model with a few more blocks measured, selected by it or at random. All is printed as Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr
from sklearn.ensemble import GradientBoostingRegressor

from donna_hw import load_space
from donna_hw.costs.features import graph_features, roofline_terms
from donna_hw.costs.gaussian_process import fit_gp_latency_model
from donna_hw.graph.graph import Graph
from donna_hw.measurement.intervals import Z90
from donna_hw.tables.lookup import load_table
from donna_hw.tables.parts import list_parts

SMALL, EXTENDED, UNSEEN = "mobilenetv3_1.2", "mobilenetv3_1.2_extended", "efficientnet_b0"
OTHERS = ("donna", EXTENDED, SMALL, "mobilenetv3_1.0", "proxylessnas_1.3")
SEEDS = range(10)  # of the draws at random


class Blocks(NamedTuple):
    """Different blocks by layers_hash: their graphs, costs, relative standard errors, and the spaces whose tables they are of."""

    keys: list[str]
    graphs: list[Graph]
    costs: np.ndarray
    errors: np.ndarray
    spaces: np.ndarray

    def select(self, numbers: Sequence[int]) -> Blocks:
        """Return some of them."""
        at = list(numbers)
        return Blocks(
            [self.keys[i] for i in at], [self.graphs[i] for i in at], self.costs[at], self.errors[at], self.spaces[at]
        )

    def without(self, other: Blocks) -> Blocks:
        """Return those that another has not."""
        known = set(other.keys)
        return self.select([i for i, key in enumerate(self.keys) if key not in known])

    def union(self, other: Blocks) -> Blocks:
        """Return both, a block that both have once."""
        more = other.without(self)
        arrays = [np.concatenate(pair) for pair in zip(self[2:], more[2:], strict=True)]
        return Blocks(self.keys + more.keys, self.graphs + more.graphs, *arrays)


class Score(NamedTuple):
    """In %: median and mean relative error, one in ten is worse than, share within the 90 % interval; then Spearman's correlation."""

    median: float
    mean: float
    worst_tenth: float
    coverage: float
    spearman: float


def load_blocks(device: str, space: str) -> Blocks:
    """Return the different blocks of a shipped table, fixed parts too."""
    table = load_table(f"{device}/{space}", Path("latency_tables"))
    graphs = {part.layers_hash: part.graph for part in list_parts(load_space(space))}
    frame = table.frame.assign(error=table.standard_errors() / table.frame[table.info.column])
    frame = frame.drop_duplicates("layers_hash").set_index("layers_hash").loc[list(graphs)]
    costs = frame[table.info.column].to_numpy(float)
    return Blocks(
        list(graphs), list(graphs.values()), costs, frame["error"].to_numpy(float), np.full(len(costs), space)
    )


def score(values: np.ndarray, true: np.ndarray, coverage: float = np.nan) -> Score:
    """Evaluate predicted costs against the true ones."""
    off = 100 * np.abs(values / true - 1)
    return Score(np.median(off), off.mean(), np.quantile(off, 0.9), coverage, spearmanr(values, true).statistic)


def score_gp_model(train: Blocks, test: Blocks) -> Score:
    """Evaluate the GP latency model."""
    predicted = fit_gp_latency_model(train.graphs, train.costs, train.errors, list(train.spaces)).predict(test.graphs)
    low, high = predicted.interval(Z90)
    return score(predicted.values, test.costs, 100 * float(np.mean((low <= test.costs) & (test.costs <= high))))


def score_least_squares(train: Blocks, test: Blocks, columns: slice, constant: bool) -> Score:
    """Evaluate a line through the terms of a roofline (MACs, depthwise MACs, bytes, layers), by least squares of the relative error."""

    def terms(blocks: Blocks) -> np.ndarray:
        features = roofline_terms(np.array([graph_features(graph) for graph in blocks.graphs]))
        features = features[:, :2].sum(axis=1, keepdims=True) if columns == slice(1) else features[:, columns]
        return np.hstack([features, np.ones((len(features), 1))]) if constant else features

    here = terms(train) / train.costs[:, None]
    scale = np.linalg.norm(here, axis=0)
    weights = np.linalg.lstsq(here / scale, np.ones(len(here)), rcond=None)[0] / scale
    return score(terms(test) @ weights, test.costs)


def score_boosting(train: Blocks, test: Blocks) -> Score:
    """Evaluate scikit-learn's gradient boosting of the logarithms of the features, which has no error estimate."""
    here, there = (np.log1p([graph_features(graph) for graph in blocks.graphs]) for blocks in (train, test))
    trees = GradientBoostingRegressor(n_estimators=300, learning_rate=0.05, subsample=0.7, random_state=0)
    return score(np.exp(trees.fit(here, np.log(train.costs)).predict(there)), test.costs)


def format_row(name: str, scores: Sequence[Score]) -> str:
    """Return a row: means over the draws."""
    mean = Score(*np.mean(scores, axis=0))
    coverage = "" if np.isnan(mean.coverage) else f"{mean.coverage:.0f} %"
    cells = [
        f"{mean.median:.1f} %",
        f"{mean.mean:.1f} %",
        f"{mean.worst_tenth:.1f} %",
        coverage,
        f"{mean.spearman:.4f}",
    ]
    return f"| {name} | " + " | ".join(cells) + " |"


def print_comparison(title: str, draws: Sequence[tuple[Blocks, Blocks]]) -> None:
    """Print the model and its rivals on draws of (measured, held back)."""
    train, test = draws[0]
    print(f"| **{title}**: {len(train.keys)} measured, {len(test.keys)} predicted | | | | | |")
    began = time.process_time()
    scores = [score_gp_model(*draw) for draw in draws]
    took = (time.process_time() - began) / len(draws)
    print(format_row(f"GP model ({took:.1f} s)", scores))
    print(format_row("gradient boosting", [score_boosting(*draw) for draw in draws]))
    print(
        format_row(
            "linear in MACs, depthwise MACs, bytes, layers", [score_least_squares(*d, slice(4), True) for d in draws]
        )
    )
    print(format_row("proportional to MACs", [score_least_squares(*draw, slice(1), False) for draw in draws]))


def print_selection_comparison(small: Blocks, extended: Blocks) -> None:
    """Print what k more blocks of the extended space bring, selected by the model or at random."""
    rest = extended.without(small)
    order, _ = fit_gp_latency_model(small.graphs, small.costs, small.errors).select_informative(rest.graphs, 40)
    print(
        "\n| more blocks measured | selected: median, mean, within 90 % | at random (mean of 10 draws) |\n|---|---|---|"
    )
    for count in (0, 5, 10, 20, 40):
        draws = [np.random.default_rng(seed).permutation(len(rest.keys))[:count] for seed in SEEDS]
        cells = []
        for picks in ([order[:count]], draws if count else draws[:1]):
            more = [small.union(rest.select(list(pick))) for pick in picks]
            mean = Score(*np.mean([score_gp_model(train, extended.without(train)) for train in more], axis=0))
            cells.append(f"{mean.median:.1f} %, {mean.mean:.1f} %, {mean.coverage:.0f} %")
        print(f"| {count} | " + " | ".join(cells) + " |")


def main() -> None:
    """Print the comparisons of every device."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", nargs="+", default=["onnxruntime_cpu", "tensor_unit"])
    devices = parser.parse_args().device
    cpu = load_table("onnxruntime_cpu/donna", Path("latency_tables")).info.identity["device_model"]
    print("# Unmeasured blocks, predicted from the features of their layers\n")
    print(f"- Command: `python benchmarks/gp_latency_model.py --device {' '.join(devices)}`, on the shipped tables.")
    print(
        f"- Date: {datetime.now(UTC):%Y-%m-%d}. Machine: {os.cpu_count()} cores, {platform.system()}; seconds are of one core."
    )
    print(f"- The tables: `onnxruntime_cpu` is measured on {cpu}, one thread; `tensor_unit` is simulated.")
    for device in devices:
        small, extended, donna = (load_blocks(device, name) for name in (SMALL, EXTENDED, "donna"))
        print(f"\n## {device}\n\n| | median error | mean | one in ten above | within 90 % interval | Spearman |")
        print("|---|---|---|---|---|---|")
        print_comparison(f"{SMALL}, then {EXTENDED}", [(small, extended.without(small))])
        for share in (0.02, 0.05, 0.1, 0.25):
            draws = []
            for seed in SEEDS:
                order = np.random.default_rng(seed).permutation(len(donna.keys))
                cut = round(share * len(order))
                draws.append((donna.select(order[:cut]), donna.select(order[cut:])))
            print_comparison(f"{100 * share:.0f} % of donna at random (mean of 10 draws)", draws)
        others = load_blocks(device, OTHERS[0])
        for name in OTHERS[1:]:
            others = others.union(load_blocks(device, name))
        unseen = load_blocks(device, UNSEEN).without(others)
        print_comparison(f"five other spaces, then {UNSEEN}", [(others, unseen)])
        alone = load_blocks(device, UNSEEN)
        print_comparison(f"{UNSEEN}, then {EXTENDED}", [(alone, extended.without(alone))])
        print_comparison(f"donna, then {UNSEEN}", [(donna, alone.without(donna))])
        print_selection_comparison(small, extended)


main()
