"""The summary of a run in Markdown: seeds, sizes, how good the predictor and the table are, and whether the front wins."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from donna_hw._core.csv_files import read_csv
from donna_hw._core.ranking import (
    RankingMetrics,
    equal_cost_concordance,
    evaluate_ranking,
    kendall_tau,
    predict_log_linear,
)
from donna_hw._core.toml_files import read_toml
from donna_hw.costs.serialization import load_correction
from donna_hw.measurement.intervals import Z90
from donna_hw.pipeline.recipe import Recipe
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.verify import evaluate_predictor, read_verification
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.tables.lookup import find_table
from donna_hw.training.libraries import ROLES, SEPARATE_ROLES


def summary_markdown(run: Run) -> str:
    """Return the summary of a finished run; every number is read from the run's files."""
    table = find_table([run.tables], run.device.name, run.space.name)
    parts = [
        f"# {run.recipe.title}",
        "\n".join(_setting_lines(run, table)),
        "## Accuracy predictor\n\n" + "\n".join(predictor_lines(run)),
        "## Latency table against whole networks\n\n" + "\n".join(latency_lines(run, table)),
        "## The front, finetuned and measured\n\n" + "\n".join(verified_lines(read_verification(run))),
    ]
    return "\n\n".join(parts) + "\n"


def predictor_lines(run: Run) -> list[str]:
    """Return the ranking of the predictor and of its rivals, on test networks where there are some, else by leave-one-out."""
    frame = evaluate_predictor(run)
    library = frame[frame["role"] != "test"]  # the library, and the front if the predictor was fitted again with it
    tested = frame[frame["role"] == "test"] if (frame["role"] == "test").sum() >= 3 else library
    measured = tested["top1_percent"].to_numpy()
    how = "networks it was not fitted to" if tested is not library else "of them, each left out of its own fit"
    kind = run.recipe.library.predictor
    rivals = {}
    for name in run.recipe.counters:
        fitted = library[name].to_numpy(), library["top1_percent"].to_numpy()
        rivals[f"rival: log {name}"] = predict_log_linear(tested[name].to_numpy(), *fitted)
    rows, counter = [], run.recipe.counters[0]
    costs = tested[counter].to_numpy()
    for name, values in ({f"predictor ({kind})": tested["predicted_percent"].to_numpy()} | rivals).items():
        share, pairs = equal_cost_concordance(values, measured, costs)
        rows.append(_ranking_row(name, evaluate_ranking(values, measured), f"{100 * share:.0f} % of {pairs}"))
    spread = f"{measured.min():.2f} to {measured.max():.2f} %, standard deviation {measured.std(ddof=1):.2f}"
    return [
        f"Fitted to {len(library)} networks; judged on {len(measured)} {how} (top-1 {spread}).",
        "",
        f"| | Kendall tau | 95 % bootstrap interval | R2 | MSE | pairs within 15 % of {counter} in order |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def latency_lines(run: Run, table: LatencyTable) -> list[str]:
    """Return how far the table's sum and its correction are from whole networks that the correction has not seen."""
    correction = load_correction(table)
    lines = []
    if correction is not None:
        lines.append(
            f"Corrected by {len(correction.networks)} whole networks (a {correction.kind}): those left out of the fit, a tenth at a time, "
            f"are off by {correction.mape_percent:.1f} % on the mean (plain sum {correction.prior_mape_percent or np.nan:.1f} %)."
        )
    path = run.folder / "latency_test.csv"
    if run.recipe.latency.test_networks and path.exists():
        frame = read_csv(path, ("measured_s", "sum_s", "predicted_s", "std_s", *run.recipe.counters))
        measured = frame["measured_s"].to_numpy()
        lines += [
            "",
            f"On {len(frame)} other whole networks ({measured.min() * 1e6:.0f} to {measured.max() * 1e6:.0f} us):",
            "",
        ]
        lines += ["| | mean absolute error | Kendall tau |", "|---|---|---|"]
        for name, label in (("sum_s", "plain sum of the table"), ("predicted_s", "corrected")):
            error = 100 * np.abs(frame[name] / measured - 1).mean()
            lines.append(f"| {label} | {error:.1f} % | {kendall_tau(frame[name].to_numpy(), measured):.3f} |")
        for name in run.recipe.counters:
            lines.append(f"| rival: {name} | - | {kendall_tau(frame[name].to_numpy(), measured):.3f} |")
        inside = (np.abs(frame["predicted_s"] - measured) <= Z90 * frame["std_s"]).mean()
        lines += ["", f"The stated 90 % intervals hold {100 * inside:.0f} % of these networks."]
    return lines


def verified_lines(verified: pd.DataFrame) -> list[str]:
    """Return predicted beside measured for each network, and the mean of the front beside that of random networks."""
    lines = [
        "| role | level | top-1 predicted % | top-1 measured % | latency predicted us | latency measured us | network |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in verified.sort_values(["level", "role"]).to_dict("records"):
        lines.append(
            f"| {row['role']} | {row['level'] + 1} | {row['predicted_percent']:.2f} +- {row['predicted_std_percent']:.2f} "
            f"| {row['top1_percent']:.2f} | {row['predicted_s'] * 1e6:.1f} +- {row['predicted_std_s'] * 1e6:.1f} "
            f"| {row['measured_s'] * 1e6:.1f} | `{row['network']}` |"
        )
    if (verified["role"] == "random").any():
        pairs = verified.pivot_table(index="level", columns="role", values=["top1_percent", "measured_s"])
        pairs = pairs.dropna()  # levels of the front without a random network say nothing here
        gain = pairs["top1_percent"]["front"] - pairs["top1_percent"]["random"]
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
        ratio = (pairs["measured_s"]["front"] / pairs["measured_s"]["random"]).mean()
        lines += [
            "",
            f"Front minus random at equal predicted latency: {gain.mean():+.2f} points of top-1 "
            f"(standard error {error:.2f} over {len(gain)} levels), better at {(gain > 0).sum()} of {len(gain)}; "
            f"measured latency of the front {ratio:.3f} of the random ones'.",
        ]
    return lines


def _setting_lines(run: Run, table: LatencyTable) -> list[str]:
    recipe, info, data = run.recipe, table.info, run.data
    reference = read_toml(run.folder / "reference" / "reference.toml")
    blocks, networks = run.blocks.journal.records(), run.architectures.networks()
    same = run.architectures.mean_top1(*(role for role in ROLES if role not in SEPARATE_ROLES)).get(run.space.reference)
    alike = f" The reference, distilled and finetuned like the others, has {same[0]:.2f} %." if same else ""
    return [
        f"- Command: `{run.command} --summary docs/results/{run.folder.name}.md`; seed {recipe.seed}.",
        f"- Date: {date.today().isoformat()}. Machine: {info.identity['device_model']}, {info.conditions.get('cores', '?')} cores, "
        f"{info.conditions.get('system', '?')}; {info.identity['runtime']}; trained on {recipe.processes} CPU processes, no GPU.",
        f"- Data: {data.source}; {len(data.train)} images to train, {len(data.held_out)} held out of train for block qualities, "
        f"{len(data.test)} test images for every accuracy below.",
        f"- Space: `{recipe.space}`, {len(run.space.stages)} stages of {run.space.stages[0].size} blocks, "
        f"{run.space.size:,} networks.",
        f"- Reference: {reference['top1_percent']:.2f} %, {_format_training(recipe, float(reference['train_s']))}.",
        f"- Block distillation: {len(blocks)} different blocks, {recipe.distill.epochs} epoch(s) of "
        f"{recipe.distill.images or len(data.train)} images, batch {recipe.distill.batch} (the paper: 256; small data want more steps), "
        f"{sum(float(record['train_s']) for record in blocks):.0f} s of one core in all.",
        f"- Finetuning: {recipe.finetune.epochs} epoch(s) of {recipe.finetune.images or len(data.train)} images, "
        f"batch {recipe.finetune.batch}, "
        f"{sum(network.train_s for network in networks):.0f} s of one core for {len(networks)} trainings of networks.{alike}",
        f"- Search: NSGA-II, {recipe.search.samples} samples; front of {_front_size(run)} networks.",
    ]


def _format_training(recipe: Recipe, train_s: float) -> str:
    epochs = recipe.reference.epochs
    return f"after {epochs} epochs ({train_s:.0f} s)" if epochs else "its weights given"


def _front_size(run: Run) -> int:
    return len(read_csv(run.folder / "front.csv", run.space.columns))


def _ranking_row(name: str, found: RankingMetrics, pairs: str) -> str:
    interval = f"{found.tau_low:.3f} to {found.tau_high:.3f}"
    return f"| {name} | {found.kendall_tau:.3f} | {interval} | {found.r2:.3f} | {found.mse:.3f} | {pairs} |"
