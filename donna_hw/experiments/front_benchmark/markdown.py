"""The page of the front benchmark in Markdown; every number is computed from the run's files."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from donna_hw.experiments.front_benchmark.statistics import LevelComparison, random_networks_needed, verdicts
from donna_hw.experiments.predictor_study.markdown import format_interval
from donna_hw.measurement.environment import cpu_model
from donna_hw.pipeline.run import Run
from donna_hw.training.reference import read_reference_top1


def front_benchmark_markdown(run: Run, frame: pd.DataFrame) -> str:
    """Return the page of a front benchmark; frame: of `run_front_benchmark`."""
    comparisons, latencies = verdicts(frame), int((frame["role"] == "front").sum())
    parts = [
        f"# {run.recipe.title}: the front benchmark",
        "\n".join(_settings(run)),
        "## Verdicts\n\n" + "\n".join(_verdict_line(comparison, latencies) for comparison in comparisons),
        "## Networks\n\n" + "\n".join(_network_lines(frame, comparisons)),
    ]
    if len(run.architectures.mean_top1("test", "stratified")) > 10:
        parts.append("## What random search would cost (the paper's section E)\n\n" + "\n".join(_epochs(run, frame)))
    return "\n\n".join(parts) + "\n"


def _settings(run: Run) -> list[str]:
    recipe, config = run.recipe, run.recipe.front_benchmark
    command = run.command.replace("donna-hw run", "donna-hw study front")
    images = recipe.finetune.images or "all"
    return [
        f"- Command: `{command}`; {date.today().isoformat()}; {cpu_model()}.",
        f"- Every network starts from the same Block Library and is finetuned alike, by {config.seeds} seeds: {recipe.finetune.epochs} "
        f"epoch(s) of {images} images. The reference has {read_reference_top1(run.folder / 'reference'):.2f} %.",
        f"- `random`: drawn uniformly, its measured whole-network latency within {config.tolerance:.0%} of the front's.",
        "- `scaled`: of all networks whose blocks are of one kind throughout (each kernel, expansion, depth, style and cell of the space), "
        "the most accurate that is measured no slower. "
        "All were finetuned once to choose it; the choice used that accuracy, which favors them.",
        "- Latencies of the lower half, where the reference leaves room. "
        "`tie`: the 95 % interval, by the noise of finetuning, contains zero.",
    ]


def _verdict_line(comparison: LevelComparison, latencies: int) -> str:
    counts = ", ".join(f"{outcome} at {count}" for outcome, count in comparison.counts.items() if count)
    missing = latencies - len(comparison.levels)
    note = f"; {missing} latencies have no such network" if missing else ""
    mean = f"{format_interval(comparison.mean, sign='+')} points on the mean of {len(comparison.levels)} latencies"
    return f"- Front minus {comparison.baseline}: {mean}; {counts}{note}."


def _network_lines(frame: pd.DataFrame, comparisons: list[LevelComparison]) -> list[str]:
    lines = [
        "| latency | role | measured us | top-1 % | front minus this | predicted % | network |",
        "|---|---|---|---|---|---|---|",
    ]
    by_baseline = {comparison.baseline: comparison for comparison in comparisons}
    for row in frame.sort_values(["level", "role"]).to_dict("records"):
        top1 = [float(value) for value in str(row["seeds_percent"]).split()]
        comparison, level = by_baseline.get(str(row["role"])), row["level"]
        difference = (
            ""
            if comparison is None
            else f"{format_interval(comparison.levels[level], sign='+')} {comparison.outcome(level)}"
        )
        seeds = ", ".join(f"{value:.2f}" for value in top1)
        lines.append(
            f"| {row['level'] + 1} | {row['role']} | {row['measured_s'] * 1e6:.1f} | {np.mean(top1):.2f} ({seeds}) "
            f"| {difference} | {row['predicted_percent']:.2f} | `{row['network']}` |"
        )
    return lines


def _epochs(run: Run, frame: pd.DataFrame) -> list[str]:
    """Return section E's arithmetic on this run's own numbers; an epoch is one pass over the train images by one network."""
    recipe, images = run.recipe, len(run.data.train)
    test_top1, cost = run.architectures.mean_top1("test", "stratified"), run.cost(run.device.name)
    rows = np.array([run.space.row(network) for network in test_top1])
    front = frame[frame["role"] == "front"].sort_values("level")
    top1 = np.array([np.mean([float(value) for value in str(seeds).split()]) for seeds in front["seeds_percent"]])
    needed = random_networks_needed(
        top1, front["measured_s"].to_numpy(), np.array([mean for mean, _ in test_top1.values()]), cost.mean(rows)
    )
    finetuning = recipe.finetune.epochs * (recipe.finetune.images or images) / images
    blocks = sum(float(record["train_s"]) for record in run.blocks.journal.records())
    networks = [network.train_s for network in run.architectures.networks("library")]
    start_up = (blocks / np.mean(networks) + len(networks)) * finetuning + recipe.reference.epochs
    lines = [
        f"Startup: {start_up:.0f} epochs, the reference's {recipe.reference.epochs}, and blocks and {len(networks)} finetunings "
        f"of the library by their time; then each network of the front {finetuning:.2f}.",
        f"Random search trains each of its networks {recipe.scratch_epochs} epochs from scratch.",
        f"Random networks of a latency are normal around a parabola through {len(rows)} drawn ones.",
        "",
        "| latency | share of random networks above the front's | random networks for 95 % | from scratch, times our epochs |",
        "|---|---|---|---|",
    ]
    for level, (share, count) in zip(front["level"], needed, strict=True):
        times = "-" if count is None else f"{count * recipe.scratch_epochs / (start_up + finetuning):.1f}"
        lines.append(
            f"| {level + 1} | {share:.2e} | {count if count is not None else 'more than a billion'} | {times} |"
        )
    return lines
