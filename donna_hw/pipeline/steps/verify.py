"""Verification: networks of the front, and random ones of equal latency, are finetuned and measured whole."""

from __future__ import annotations

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import read_csv, write_csv
from donna_hw.costs.table_sum import TableCost
from donna_hw.errors import InsufficientDataError
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.sampling import RANDOM, latency_test_rows
from donna_hw.pipeline.steps.fit import collect_fit_targets
from donna_hw.pipeline.steps.quantize import train_networks
from donna_hw.predictors.serialization import load_predictor, read_roles
from donna_hw.search.pareto_front import ParetoFront
from donna_hw.search.random_search import sample_at_cost
from donna_hw.spaces.space import Rows
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


def verify_front(run: Run, front: ParetoFront) -> pd.DataFrame:
    """Finetune and measure networks spread over the front, and random ones at the same latencies; write `verified.csv`.

    Random networks are none of the front's and none of the Architecture Library's.

    Args:
        run: An open run whose steps up to the search are done.
        front: The front of `search_front`.

    Returns:
        One line a network: role (`front`, `random`), level (which of the latencies), network, and predicted and measured top-1 in per
        cent and latency in seconds with the predictions' standard deviations.

    Raises:
        InsufficientDataError: The front is empty, or no random network of a latency was found.
    """
    config, cost = run.recipe.verify, run.cost(run.device.name)
    rows = front.rows[_select_levels(front, config.front, cost.mean(front.rows))]
    rows_by_role = {"front": rows}
    if config.random:
        targets = np.resize(cost.mean(rows), config.random)
        known = [run.space.row(network) for network in run.architectures.mean_top1("library", "test")]
        excluded = np.concatenate([rows, np.array(known)])
        seed = run.recipe.seed + RANDOM
        rows_by_role["random"] = sample_at_cost(run.search_problem(), cost, targets, seed=seed, excluded=excluded)
    frames = []
    for role, role_rows in rows_by_role.items():
        train_networks(run, role_rows, role)
        frames.append(_measure_role(run, role, role_rows, levels=np.arange(len(role_rows)) % len(rows)))
    frame = pd.concat(frames, ignore_index=True)
    write_csv(run.folder / "verified.csv", frame)
    return frame


def evaluate_predictor(run: Run) -> pd.DataFrame:
    """Compare predicted and measured top-1 of the networks fitted to and of the test networks; write `predictor_test.csv`.

    A network that the predictor was fitted to (any role but `test`) is predicted by a predictor fitted to the others.

    Returns:
        One line a network: role, network, predicted and measured top-1 in per cent, and its count by each of the recipe's counters
        (MACs, parameters).
    """
    path = run.folder / "predictor.toml"
    predictor, qualities = load_predictor(path), run.qualities()
    rows, top1, roles = collect_fit_targets(run, read_roles(path))
    predicted = predictor.predict_leave_one_out(gather_qualities(qualities, rows), top1)
    if run.recipe.library.test_networks:
        test_rows, test_top1 = run.architectures.targets("test", at_least=1)
        predicted = np.concatenate([predicted, predictor(gather_qualities(qualities, test_rows))[0]])
        rows, top1 = np.concatenate([rows, test_rows]), np.concatenate([top1, test_top1])
        roles = roles + ["test"] * len(test_rows)
    columns = {
        "role": roles,
        "network": run.network_names(rows),
        "predicted_percent": predicted,
        "top1_percent": top1,
    }
    frame = pd.DataFrame(columns | {name: run.cost(name).mean(rows) for name in run.recipe.counters})
    write_csv(run.folder / "predictor_test.csv", frame)
    return frame


def evaluate_latency(run: Run) -> pd.DataFrame | None:
    """Compare predicted and measured latencies of networks that the correction was not fitted to; write `latency_test.csv`.

    Returns:
        One line a network: the plain sum of the table, the corrected prediction with its standard deviation and the measured latency,
        all in seconds, and its counts. None where the recipe has no such networks.
    """
    if not run.recipe.latency.test_networks:
        return None
    rows, table, cost = latency_test_rows(run), run.latency_table(), run.cost(run.device.name)
    columns = {
        "network": run.network_names(rows),
        "sum_s": TableCost.of(run.space, table).mean(rows),
        "predicted_s": cost.mean(rows),
        "std_s": cost.std(rows),
        "measured_s": run.measure(table, rows),
    }
    frame = pd.DataFrame(columns | {name: run.cost(name).mean(rows) for name in run.recipe.counters})
    write_csv(run.folder / "latency_test.csv", frame)
    return frame


def read_verification(run: Run) -> pd.DataFrame:
    """Return `verified.csv`; raises `FileFormatError` before the verification has run."""
    return read_csv(run.folder / "verified.csv", VERIFIED_COLUMNS)


def _select_levels(front: ParetoFront, count: int, latencies: np.ndarray) -> np.ndarray:
    """Return the numbers of networks spread evenly over the logarithm of the latency, at most as many as the front has."""
    if len(front) == 0:
        raise InsufficientDataError("the front is empty", hint="search again with looser constraints")
    return front.select_log_spaced(min(count, len(front)), latencies)


def _measure_role(run: Run, role: str, rows: Rows, levels: np.ndarray) -> pd.DataFrame:
    cost, problem = run.cost(run.device.name), run.search_problem()
    accuracy, accuracy_std = problem.predictor(gather_qualities(problem.qualities, rows))
    top1 = run.architectures.mean_top1(*(role for role in ROLES if role not in SEPARATE_ROLES))
    return pd.DataFrame(
        {
            "role": role,
            "level": levels,
            "network": run.network_names(rows),
            "predicted_percent": accuracy,
            "predicted_std_percent": accuracy_std,
            "top1_percent": [top1[network][0] for network in run.networks(rows)],
            "predicted_s": cost.mean(rows),
            "predicted_std_s": cost.std(rows),
            "measured_s": run.measure(run.latency_table(), rows),
        }
    )
