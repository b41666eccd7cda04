"""Verification: networks of the front, and random ones of equal latency, are finetuned and measured whole."""

from __future__ import annotations

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import read_csv, write_csv
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import InsufficientDataError
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.sampling import RANDOM
from donna_hw.predictors.serialization import load_predictor, read_roles
from donna_hw.search.pareto_front import ParetoFront
from donna_hw.search.random_search import sample_at_cost
from donna_hw.spaces.space import Rows
from donna_hw.tables.lookup import find_table
from donna_hw.training.block_metrics import gather_qualities
from donna_hw.training.libraries import ROLES, SEPARATE_ROLES

VERIFIED_COLUMNS = (
    "role",
    "level",
    "network",
    "predicted_percent",
    "predicted_std_percent",
    "top1_percent",
    "predicted_s",
    "predicted_std_s",
    "measured_s",
)


def verify(run: Run, front: ParetoFront) -> pd.DataFrame:
    """Finetune and measure networks spread over the front, and as many random ones at the same latencies; write `verified.csv`.

    Returns one line a network: role (`front`, `random`), level (which latency), network, predicted and measured top-1 in per cent and
    latency in seconds. Random networks are none of these, and none of the Architecture Library's.
    """
    part, device = run.recipe.verify, run.device.name
    cost = run.cost(device)
    rows = front.rows[_levels(front, part.front, cost.mean(front.rows))]
    groups = {"front": rows}
    if part.random:
        wanted = np.resize(cost.mean(rows), part.random)
        known = [run.space.row(network) for network in run.architectures.mean_top1("library", "test")]
        excluded = np.concatenate([rows, np.array(known)])
        groups["random"] = sample_at_cost(
            run.search_problem(), cost, wanted, seed=run.recipe.seed + RANDOM, excluded=excluded
        )
    frames = []
    for role, chosen in groups.items():
        run.train_networks(chosen, role)
        frames.append(_measure_role(run, role, chosen, levels=np.arange(len(chosen)) % len(rows)))
    frame = pd.concat(frames, ignore_index=True)
    write_csv(run.folder / "verified.csv", frame)
    return frame


def evaluate_predictor(run: Run) -> pd.DataFrame:
    """Return, and write to `predictor_test.csv`, predicted and measured top-1 of the networks fitted to and of the test networks.

    One line a network: role, network, predicted and measured top-1 in per cent, its MACs and parameters as the rivals. A network that the
    predictor was fitted to, each of another role than `test`, is predicted by a predictor fitted to the others.
    """
    path = run.folder / "predictor.toml"
    predictor, qualities = load_predictor(path), run.qualities()
    rows, top1, roles = run.fit_targets(read_roles(path))
    predicted = predictor.predict_leave_one_out(gather_qualities(qualities, rows), top1)
    if run.recipe.library.test_networks:
        others, measured = run.architectures.targets("test", at_least=1)
        predicted = np.concatenate([predicted, predictor(gather_qualities(qualities, others))[0]])
        rows, top1 = np.concatenate([rows, others]), np.concatenate([top1, measured])
        roles = roles + ["test"] * len(others)
    columns = {"role": roles, "network": _names(run, rows), "predicted_percent": predicted, "top1_percent": top1}
    frame = pd.DataFrame(columns | {name: run.cost(name).mean(rows) for name in run.recipe.counters})
    write_csv(run.folder / "predictor_test.csv", frame)
    return frame


def evaluate_latency(run: Run) -> pd.DataFrame | None:
    """Return, and write to `latency_test.csv`, predicted and measured latencies of networks the correction was not fitted to.

    One line a network: the plain sum of the table, the corrected prediction with its standard deviation, the measured whole network,
    all in seconds, and its counts. None when the recipe has no such networks.
    """
    if not run.recipe.latency.test_networks:
        return None
    rows = run.latency_test_rows()
    table = find_table([run.tables], run.device.name, run.space.name)
    cost = run.cost(run.device.name)
    columns = {
        "network": _names(run, rows),
        "sum_s": TableCost.of(run.space, table).mean(rows),
        "predicted_s": cost.mean(rows),
        "std_s": cost.std(rows),
        "measured_s": run.measure(table, rows),
    }
    frame = pd.DataFrame(columns | {name: run.cost(name).mean(rows) for name in run.recipe.counters})
    write_csv(run.folder / "latency_test.csv", frame)
    return frame


def read_verification(run: Run) -> pd.DataFrame:
    """Return `verified.csv`; raises `FileFormatError` when the verification has not run."""
    return read_csv(run.folder / "verified.csv", VERIFIED_COLUMNS)


def _levels(front: ParetoFront, count: int, latencies: np.ndarray) -> np.ndarray:
    """Return the numbers of networks spread evenly over the logarithm of the latency, not more than the front has."""
    if len(front) == 0:
        raise InsufficientDataError("a front must hold a network", got=0, hint="search again")
    return front.select_log_spaced(min(count, len(front)), latencies)


def _measure_role(run: Run, role: str, rows: Rows, levels: np.ndarray) -> pd.DataFrame:
    table = find_table([run.tables], run.device.name, run.space.name)
    cost, aim = run.cost(run.device.name), run.search_problem()
    accuracy, accuracy_std = aim.predictor(gather_qualities(aim.qualities, rows))
    top1 = run.architectures.mean_top1(*(role for role in ROLES if role not in SEPARATE_ROLES))
    return pd.DataFrame(
        {
            "role": role,
            "level": levels,
            "network": _names(run, rows),
            "predicted_percent": accuracy,
            "predicted_std_percent": accuracy_std,
            "top1_percent": [top1[network][0] for network in run.networks(rows)],
            "predicted_s": cost.mean(rows),
            "predicted_std_s": cost.std(rows),
            "measured_s": run.measure(table, rows),
        }
    )


def _names(run: Run, rows: Rows) -> list[str]:
    return [run.architectures.name(network) for network in run.networks(rows)]
