"""The page of a transfer in Markdown: an unchanged predictor on networks with blocks that it never saw (paper, section 4.1.2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from donna_hw.errors import ConfigError
from donna_hw.experiments.predictor_study.comparison import MIN_NETWORKS, OURS, PredictorComparison, compare
from donna_hw.experiments.predictor_study.data import NetworkGroup, StudyData, load_study_data
from donna_hw.experiments.predictor_study.markdown import comparison_markdown, format_interval
from donna_hw.measurement.environment import cpu_model
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.extend import base_run, count_new_blocks, num_test_networks
from donna_hw.predictors.serialization import load_predictor
from donna_hw.spaces import load_space
from donna_hw.spaces.extend import find_new_blocks

ROLE, NEW = "test", "networks with new blocks"
WITHIN_FIT = "of these, every block's quality within the range of the fit"


def transfer_markdown(run: Run) -> str:
    """Return the page of a run that extends another, its networks finetuned."""
    base, data = base_run(run), load_study_data(run)
    new_blocks = find_new_blocks(load_space(base.recipe.space), run.space)
    group = data.groups[ROLE]
    predictor = load_predictor(run.folder / "predictor.toml")
    inside = ~predictor.extrapolates(data.quality(ROLE))
    base_data, comparisons = load_study_data(base), {}
    if ROLE in base_data.groups and len(base_data.groups[ROLE]) >= MIN_NETWORKS:  # a recipe may have no test networks
        comparisons[f"networks of `{base.recipe.space}`, without new blocks"] = compare(base_data, ROLE)
    comparisons[NEW] = compare(data, ROLE)
    if (~inside).sum() > 0 and inside.sum() >= MIN_NETWORKS:
        comparisons[WITHIN_FIT] = compare(select_test_networks(data, inside), ROLE)
    parts = [
        f"# {run.recipe.title}",
        "\n".join(_settings(run, base.recipe.title, data, sum(map(sum, new_blocks)))),
        side_by_side_markdown(comparisons, "The same predictor on old and new blocks"),
        comparison_markdown(comparisons[NEW], "with new blocks"),
        _by_count(predictor(data.quality(ROLE))[0], group.top1_percent, count_new_blocks(new_blocks, group.rows)),
    ]
    return "\n\n".join(parts) + "\n"


def validate_transfer(run: Run) -> None:
    """Raise `ConfigError`, before anything is trained, for a recipe with too few networks to evaluate a predictor on."""
    count = num_test_networks(run)
    if count < MIN_NETWORKS:
        raise ConfigError(
            f"a transfer study needs extends.test_networks of at least {MIN_NETWORKS}",
            got=count,
            hint="the shipped recipe has 40",
        )


def _settings(run: Run, base: str, data: StudyData, blocks: int) -> list[str]:
    group = data.groups[ROLE]
    return [
        f"- Command: `{run.command.replace('donna-hw run', 'donna-hw study transfer')}`; "
        f"seed {run.recipe.seed}; {date.today().isoformat()}.",
        f"- Machine: {cpu_model()}; trained on {run.recipe.processes} processes of one thread.",
        f"- Space `{run.recipe.space}`, {blocks} new blocks in all its stages; data {run.recipe.data.name}; "
        f"reference {data.teacher_percent:.2f} %.",
        f"- Only the new blocks were trained. Reference, other blocks, {len(data.groups['library'])} finetuned networks and the predictor "
        f'`{data.kind}` on `{data.metric}`, unchanged, are those of "{base}".',
        f"- {len(group)} networks drawn uniformly of those with a new block, finetuned by up to {group.by_seed.shape[1]} seeds.",
    ]


def side_by_side_markdown(comparisons: dict[str, PredictorComparison], title: str) -> str:
    """Return one predictor on several sets of networks, by their names, as a table under a title."""
    lines = [
        f"## {title}",
        "",
        "| | networks | Kendall tau | the best baseline's | equal-cost pairs in order | MACs' | MSE | noise allows a tau of |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, comparison in comparisons.items():
        ours, best = comparison.scores[OURS], comparison.best_baseline
        ceiling = "-" if comparison.ceiling is None else f"{comparison.ceiling.kendall_tau.value:.3f}"
        lines.append(
            f"| {name} | {comparison.networks} | {format_interval(ours.kendall_tau)} "
            f"| {comparison.scores[best].kendall_tau.value:.3f} ({best}) "
            f"| {format_interval(ours.pairs)} | {comparison.scores['MACs'].pairs.value:.3f} | {ours.mse:.3f} | {ceiling} |"
        )
    return "\n".join(lines)


def _by_count(predicted: np.ndarray, measured: np.ndarray, counts: np.ndarray) -> str:
    lines = [
        "## By the number of new blocks",
        "",
        "| new blocks | networks | top-1 %, mean | predicted minus measured, mean | root mean squared error |",
        "|---|---|---|---|---|",
    ]
    for count in np.unique(counts):
        has_count = counts == count
        error = predicted[has_count] - measured[has_count]
        lines.append(
            f"| {count} | {has_count.sum()} | {measured[has_count].mean():.2f} | {error.mean():+.2f} "
            f"| {np.sqrt(np.square(error).mean()):.2f} |"
        )
    return "\n".join(lines)


def select_test_networks(data: StudyData, selected: np.ndarray) -> StudyData:
    """Return the data with only the selected test networks, bool [n]."""
    group = data.groups[ROLE]
    subset = NetworkGroup(group.rows[selected], group.by_seed[selected], group.stitched_percent[selected])
    return replace(data, groups=data.groups | {ROLE: subset})
