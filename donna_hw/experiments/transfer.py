"""The page of a transfer: what an unchanged predictor says of networks with blocks that it never saw (paper, section 4.1.2)."""

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


def transfer_markdown(run: Run) -> str:
    """Return the page of a run that extends another, its networks finetuned."""
    base, found = base_run(run), load_study_data(run)
    old = load_space(base.recipe.space)
    new, rows = find_new_blocks(old, run.space), found.groups[ROLE].rows
    predictor = load_predictor(run.folder / "predictor.toml")
    inside = ~predictor.extrapolates(found.quality(ROLE))
    before, sets = load_study_data(base), {}
    if (
        ROLE in before.groups and len(before.groups[ROLE]) >= MIN_NETWORKS
    ):  # a recipe may have no test networks of its own
        sets[f"networks of `{base.recipe.space}`, none of them new"] = compare(before, ROLE)
    sets[NEW] = compare(found, ROLE)
    if (~inside).sum() > 0 and inside.sum() >= MIN_NETWORKS:
        sets["of these, every block's quality within the range of the fit"] = compare(
            select_test_networks(found, inside), ROLE
        )
    parts = [
        f"# {run.recipe.title}",
        "\n".join(_settings(run, base.recipe.title, found, sum(map(sum, new)))),
        side_by_side_markdown(sets, "The same predictor on old and new blocks"),
        comparison_markdown(sets[NEW]).replace("drawn uniformly", "with new blocks"),
        _by_count(predictor(found.quality(ROLE))[0], found.groups[ROLE].top1_percent, count_new_blocks(new, rows)),
    ]
    return "\n\n".join(parts) + "\n"


def validate_transfer(run: Run) -> None:
    """Raise, before anything is trained, that a recipe has too few networks to judge a predictor by."""
    count = num_test_networks(run)
    if count < MIN_NETWORKS:
        rule = f"a transfer is judged on extends.test_networks of {MIN_NETWORKS} or more"
        raise ConfigError(rule, got=count, hint="the shipped recipe has 40")


def _settings(run: Run, base: str, found: StudyData, blocks: int) -> list[str]:
    group = found.groups[ROLE]
    return [
        f"- Command: `{run.command.replace('donna-hw run', 'donna-hw transfer')}`; seed {run.recipe.seed}; {date.today().isoformat()}.",
        f"- Machine: {cpu_model()}; trained on {run.recipe.processes} processes of one thread.",
        f"- Space `{run.recipe.space}`, {blocks} new blocks in all its stages; data {run.recipe.data.name}; "
        f"reference {found.teacher_percent:.2f} %.",
        f"- Only the new blocks were trained. Reference, other blocks, {len(found.groups['library'])} finetuned networks and the predictor "
        f'`{found.kind}` on `{found.metric}`, unchanged, are those of "{base}".',
        f"- {len(group)} networks drawn uniformly of those with a new block, finetuned by up to {group.by_seed.shape[1]} seeds.",
    ]


def side_by_side_markdown(sets: dict[str, PredictorComparison], title: str) -> str:
    """Return one predictor on several sets of networks, by their names, as a table."""
    lines = [
        f"## {title}",
        "",
        "| | networks | Kendall tau | the best rival's | equal-cost pairs in order | MACs' | MSE | noise allows a tau of |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, each in sets.items():
        ours, best = each.scores[OURS], each.best_baseline
        ceiling = "-" if each.ceiling is None else f"{each.ceiling.kendall_tau.value:.3f}"
        lines.append(
            f"| {name} | {each.networks} | {format_interval(ours.kendall_tau)} | {each.scores[best].kendall_tau.value:.3f} ({best}) "
            f"| {format_interval(ours.pairs)} | {each.scores['MACs'].pairs.value:.3f} | {ours.mse:.3f} | {ceiling} |"
        )
    return "\n".join(lines)


def _by_count(predicted: np.ndarray, measured: np.ndarray, counts: np.ndarray) -> str:
    lines = [
        "## By the number of new blocks",
        "",
        "| new blocks | networks | top-1 %, mean | predicted less measured, mean | root mean squared error |",
        "|---|---|---|---|---|",
    ]
    for count in np.unique(counts):
        of = counts == count
        error = predicted[of] - measured[of]
        lines.append(
            f"| {count} | {of.sum()} | {measured[of].mean():.2f} | {error.mean():+.2f} | {np.sqrt(np.square(error).mean()):.2f} |"
        )
    return "\n".join(lines)


def select_test_networks(found: StudyData, kept: np.ndarray) -> StudyData:
    """Return evidence with those test networks alone that are kept, bool [n]."""
    group = found.groups[ROLE]
    some = NetworkGroup(group.rows[kept], group.by_seed[kept], group.stitched_percent[kept])
    return replace(found, groups=found.groups | {ROLE: some})
