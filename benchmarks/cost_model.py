"""How well costs fitted to k whole networks predict others: on published measurements, and on this project's tables.

    python benchmarks/cost_model.py --csv FILE [--reference FOLDER] [--draws 20] [--only v100] [--report]

FOLDER holds ofa_mbv3_latency.npz and fbnet_latency.npz, made of HELP's measured networks (docs/importing.md); of the tables those are
used that have measured networks. Each draw takes k networks to fit and others to test at random. Priors: `layers`, what the layers do;
`none`, block choices alone; `table`; `table, selected`, by the k most informative networks; and two rivals, a Gaussian process and gradient
boosting of scikit-learn on one-hot choices and the resolution. FILE stores every figure: what it holds is not computed again.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from donna_hw import LatencyTable, fit_cost, load_space
from donna_hw.costs.basis import FeatureBasis
from donna_hw.costs.correction import CorrectionConfig, fit_correction
from donna_hw.costs.table_sum import TableCost
from donna_hw.measurement.intervals import Z90
from donna_hw.tables.importers.help import read_help
from donna_hw.tables.network_measurements import MeasuredNetworks

KS, TABLE_KS = (10, 20, 30, 50, 100, 200, 400), (0, 10, 20, 30, 50, 100)
TABLES = Path(__file__).parent.parent / "latency_tables" / "onnxruntime_cpu"
METRICS = (
    "mape",
    "within5",
    "within10",
    "spearman",
    "kendall",
    "coverage",
    "coverage_low",
    "coverage_middle",
    "coverage_high",
    "width",
    "absolute",
)


class Experiment(NamedTuple):
    """One draw: `data` is `<file>:<device>` or a space with a table."""

    data: str
    prior: str
    k: int
    draw: int


def evaluate_predictions(mean: np.ndarray, std: np.ndarray | None, measured: np.ndarray) -> dict[str, float]:
    """Return how far predictions are off, how they order, and whether their 90 % intervals hold, in all and in thirds of the predictions.

    width: of the mean interval over that of one constant relative one that holds as many; absolute: over one constant in seconds.
    """
    off = np.abs(mean / measured - 1)
    ranks = spearmanr(mean, measured).statistic, kendalltau(mean, measured).statistic
    figures = [100 * off.mean(), 100 * (off <= 0.05).mean(), 100 * (off <= 0.1).mean(), *ranks]
    if std is not None:
        half, errors = Z90 * std, np.abs(np.log(measured / mean))
        inside = errors <= half / mean
        figures += [inside.mean(), *(inside[third].mean() for third in np.array_split(np.argsort(mean), 3))]
        figures.append((half / mean).mean() / np.quantile(errors, inside.mean()))
        figures.append(half.mean() / np.quantile(np.abs(measured - mean), inside.mean()))
    return dict(zip(METRICS, figures, strict=False))


@cache
def load_networks(data: str, reference: Path) -> MeasuredNetworks:
    """Return the measured networks of an experiment."""
    if ":" not in data:
        return MeasuredNetworks.read(next((TABLES / data).glob("*.networks.csv")))
    file, device = data.split(":")
    return read_help(reference / f"{file}_latency.npz", [device]).for_device(device)


@cache
def build_basis(data: str, prior: str, reference: Path) -> FeatureBasis:
    """Return the prior of an experiment's fit."""
    if prior.startswith("table"):
        return FeatureBasis.from_table(load_space(data), load_table(data))
    space = load_networks(data, reference).space
    return FeatureBasis.uniform(space) if prior == "none" else FeatureBasis.from_layers(space)


@cache
def load_table(data: str) -> LatencyTable:
    """Return the table of a space."""
    return LatencyTable.read(next(path for path in (TABLES / data).glob("*.csv") if ".networks" not in path.name))


def one_hot(networks: MeasuredNetworks) -> np.ndarray:
    """Return one column a block of each stage, and the global axes as numbers between -1 and 1."""
    sizes, rows = networks.space.stage_sizes, networks.rows
    columns = [np.eye(size)[rows[:, i]] for i, size in enumerate(sizes)]
    return np.hstack([*columns, 2 * rows[:, len(sizes) :] / np.maximum(np.array(networks.space.setting_counts), 2) - 1])


def fit_rival(job: Experiment, x: np.ndarray, logs: np.ndarray) -> object:
    """Return a fitted rival."""
    if job.prior == "gradient boosting":
        return HistGradientBoostingRegressor(max_iter=600, learning_rate=0.06, random_state=0).fit(x, logs)
    kernel = ConstantKernel(1.0) * RBF(10.0, (0.1, 1e4)) + WhiteKernel(0.01, (1e-7, 1))
    return GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0).fit(x, logs)


def run_experiment(job: Experiment, reference: Path) -> dict[str, object]:
    """Return the figures of one draw."""
    networks = load_networks(job.data, reference)
    rows, seconds = networks.rows, networks.seconds
    order = np.random.default_rng(job.draw).permutation(len(seconds))
    tests = 1000 if ":" in job.data else 50
    test, pool, begun, kind = order[:tests], order[tests:], time.process_time(), ""
    std = None
    if job.prior in ("gaussian process", "gradient boosting"):
        x = one_hot(networks)
        model = fit_rival(job, x[pool[: job.k]], np.log(seconds[pool[: job.k]]))
        mean = np.exp(model.predict(x[test]))  # type: ignore[attr-defined]
    elif job.k == 0:
        plain = TableCost.of(load_space(job.data), load_table(job.data))
        mean, std = plain.mean(rows[test]), plain.std(rows[test])
    else:
        basis = build_basis(job.data, job.prior, reference)
        if job.prior == "table, selected":
            known = {tuple(row): value for row, value in zip(rows.tolist(), seconds, strict=True)}
            fit = fit_correction(
                ("", "s"),
                basis,
                rows[pool],
                lambda r: np.array([known[tuple(x)] for x in r.tolist()]),
                CorrectionConfig(job.k),
            )
        else:
            fit = fit_cost("", basis, rows[pool[: job.k]], seconds[pool[: job.k]])
        mean, std, kind = fit.cost.mean(rows[test]), fit.cost.std(rows[test]), fit.kind
    return {
        **job._asdict(),
        "kind": kind,
        "fit_s": time.process_time() - begun,
        **evaluate_predictions(mean, std, seconds[test]),
    }


def iter_experiments(reference: Path | None, draws: int) -> Iterator[Experiment]:
    """Yield every draw: all of them for the V100 and for this project's tables, a tenth for the other devices, a fifth for more than 100
    networks, a quarter without a prior."""
    for path in sorted(TABLES.glob("*/*.networks.csv")):
        enough = [k for k in TABLE_KS if k + 50 <= len(MeasuredNetworks.read(path).seconds)]
        yield from (Experiment(path.parent.name, "table", k, draw) for k in enough for draw in range(draws))
        yield from (
            Experiment(path.parent.name, "table, selected", k, draw)
            for k in (10, 30)
            if k in enough
            for draw in range(draws // 4)
        )
    if reference is None:
        return
    every = [
        f"{file}:{name}"
        for file in ("ofa_mbv3", "fbnet")
        for name in sorted(read_help(reference / f"{file}_latency.npz").seconds)
    ]
    for data in sorted(every, key=lambda data: ":v100" not in data):
        many = draws if ":v100" in data else max(1, draws // 10)
        for prior, part in (("layers", many), ("none", max(1, many // 4))):
            yield from (
                Experiment(data, prior, k, draw) for k in KS for draw in range(part if k <= 100 else max(1, many // 5))
            )
        if ":v100" in data:
            yield from (Experiment(data, "gaussian process", 100, draw) for draw in range(draws // 4))
            yield Experiment(data, "gradient boosting", 3000, 0)


def report(frame: pd.DataFrame) -> str:
    """Return the mean of each figure over the draws, a line for each data, prior and number of networks."""
    lines = [
        "| data | prior | k | draws | MAPE % (sd) | within 5 / 10 % | Spearman | Kendall | 90 % interval holds (low, middle, high third) "
        "| width | in seconds | floor |",
        "|" + "---|" * 12,
    ]
    for (data, prior, k), group in frame.groupby(["data", "prior", "k"], sort=False):
        mean = group[list(METRICS)].mean()
        thirds = ", ".join(f"{mean[f'coverage_{third}']:.2f}" for third in ("low", "middle", "high"))
        coverage = "-" if np.isnan(mean["coverage"]) else f"{mean['coverage']:.2f} ({thirds})"
        wide = ("-", "-") if np.isnan(mean["width"]) else (f"{mean['width']:.2f}", f"{mean['absolute']:.2f}")
        spread = f" ({group['mape'].std():.2f})" if len(group) > 1 else ""
        lines.append(
            f"| {data} | {prior} | {k} | {len(group)} | {mean['mape']:.2f}{spread} | {mean['within5']:.0f} / {mean['within10']:.0f} "
            f"| {mean['spearman']:.3f} | {mean['kendall']:.3f} | {coverage} | {wide[0]} | {wide[1]} "
            f"| {(group['kind'] == 'floor').mean():.0%} |"
        )
    return "\n".join(lines)


parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--csv", type=Path, required=True)
parser.add_argument("--reference", type=Path)
parser.add_argument("--draws", type=int, default=20)
parser.add_argument("--only", default="", help="data whose name holds this")
parser.add_argument("--report", action="store_true", help="compute nothing, print what the file holds")
args = parser.parse_args()

done = (
    set(map(tuple, pd.read_csv(args.csv)[list(Experiment._fields)].to_numpy().tolist())) if args.csv.exists() else set()
)
with args.csv.open("a", newline="") as file:
    writer = csv.DictWriter(file, [*Experiment._fields, "kind", "fit_s", *METRICS])
    if not done:
        writer.writeheader()
    for job in () if args.report else iter_experiments(args.reference, args.draws):
        if tuple(job) not in done and args.only in job.data:
            writer.writerow(run_experiment(job, args.reference or Path()))
            file.flush()
print(report(pd.read_csv(args.csv, keep_default_na=True, na_values=[""]).fillna({"kind": ""})))
