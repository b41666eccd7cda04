"""The page of a study in Markdown: every number is computed from the run's files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pandas as pd

from donna_hw._core.bootstrap import BootstrapInterval
from donna_hw.errors import ConfigError, InsufficientDataError
from donna_hw.experiments.predictor_study import tables
from donna_hw.experiments.predictor_study.comparison import MIN_NETWORKS, STITCHED, PredictorComparison, compare
from donna_hw.experiments.predictor_study.data import TEST_ROLES, StudyData, load_study_data
from donna_hw.experiments.predictor_study.targets import format_targets
from donna_hw.measurement.environment import cpu_model
from donna_hw.pipeline.recipe import Recipe
from donna_hw.pipeline.run import Run
from donna_hw.predictors.factorized_metrics import compute_agreement
from donna_hw.training.block_metrics import parse_metrics

ROLE_TITLES = {"test": "drawn uniformly", "stratified": "spread evenly over MACs"}
COLUMN_TITLES = {
    "scheme": "scheme",
    "blocks": "blocks trained",
    "kind": "kind",
    "metric": "metric of blocks",
    "choice": "networks chosen by",
    "networks": "networks",
    "kendall_tau": "Kendall tau",
    "tau_error": "its standard error",
    "pairs": "equal-cost pairs in order",
    "kendall_tau_test": "Kendall tau, uniform",
    "pairs_test": "equal-cost pairs, uniform",
    "kendall_tau_stratified": "Kendall tau, stratified",
    "pairs_stratified": "equal-cost pairs, stratified",
    "mse": "MSE",
    "mse_error": "its standard error",
    "draws": "draws",
}


def validate_test_networks(recipe: Recipe) -> None:
    """Raise, before anything is trained, that a recipe has too few networks to judge by."""
    part = recipe.library
    if part.test_networks < MIN_NETWORKS or 0 < part.stratified_networks < MIN_NETWORKS:
        raise ConfigError(
            f"a study judges on library.test_networks of {MIN_NETWORKS} or more, and as many or no stratified_networks",
            got=f"{part.test_networks} and {part.stratified_networks}",
            hint="80 and 40 are those of the shipped studies",
        )


def study_markdown(run: Run, draws: int = 20) -> str:
    """Return the study of a run whose networks are finetuned; `draws`: random parts of the library for each of its sizes."""
    found = load_study_data(run)
    roles = [role for role in TEST_ROLES if role in found.groups]
    compared = [compare(found, role) for role in roles]
    first = roles[0]
    parts = [
        f"# {run.recipe.title}",
        "\n".join(_settings(run, found)),
        "## Aims\n\n" + "\n".join(format_targets(compared)),
        *(comparison_markdown(each) for each in compared),
        "## By the size of the library (the paper's tables 4 and 5)\n\n"
        + frame_markdown(tables.by_library_size(found, first, draws)),
        *_extra_networks(found),
        "## By the choice of networks to finetune\n\n"
        "From the library's networks alone, each draw from the same first five.\n\n"
        + frame_markdown(tables.by_choice(found, first, draws)),
        "## By the metric of blocks (table 6)\n\n" + frame_markdown(tables.by_metric(found, first)),
        "## By the kind of predictor (table 8)\n\n" + frame_markdown(tables.by_family(found, first)),
        *_schemes(run, found, first),
        *_scratch_comparison(run),
    ]
    return "\n\n".join(parts) + "\n"


def comparison_markdown(found: PredictorComparison) -> str:
    """Return a predictor beside its rivals on one set of networks."""
    lines = [
        f"## {found.networks} networks {ROLE_TITLES[found.role]}",
        "",
        f"Up to {found.seeds} finetunings each; top-1 spreads by a standard deviation of {found.std_percent:.2f} points; "
        f"{found.pairs} pairs lie within 15 % of MACs. Intervals hold 95 % of resampled networks.",
        "",
        "| | Kendall tau | equal-cost pairs in order | MSE |",
        "|---|---|---|---|",
    ]
    for name, score in found.scores.items():
        mse = "-" if name == STITCHED else f"{score.mse:.3f}"
        lines.append(f"| {name} | {format_interval(score.kendall_tau)} | {format_interval(score.pairs)} | {mse} |")
    if found.ceiling is not None:
        lines.append(
            f"| noise ceiling | {format_interval(found.ceiling.kendall_tau)} | {format_interval(found.ceiling.pairs)} | - |"
        )
    lines += [
        "",
        f"- Kendall tau, predictor less the best rival ({found.best_baseline}): {format_interval(found.gain_over_best, sign='+')}; "
        f"less the best of each resample: {format_interval(found.gain_over_all, sign='+')}.",
        f"- Equal-cost pairs, predictor less MACs: {format_interval(found.pairs_gain_over_macs, sign='+')}.",
    ]
    if found.ceiling is not None:
        lines.append(
            f"- One finetuning by another seed differs by a standard deviation of {found.ceiling.seed_std_percent:.3f} points."
        )
    return "\n".join(lines)


def frame_markdown(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table; numbers have three places, intervals their ends."""
    heads = [COLUMN_TITLES.get(str(column), str(column)) for column in frame.columns]
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows])


def format_interval(found: BootstrapInterval, sign: str = "") -> str:
    """Return an interval in one line."""
    form: Callable[[float], str] = lambda value: format(value, f"{sign}.3f")  # noqa: E731
    return f"{form(found.value)} ({form(found.low)} to {form(found.high)})"


def _cell(value: object) -> str:
    if isinstance(value, BootstrapInterval):
        return format_interval(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _extra_networks(found: StudyData) -> list[str]:
    """Return how the further networks help, nothing where there are none."""
    if not found.extra_networks:
        return []
    lines = [
        f"## {found.extra_networks} further networks",
        "",
        "Finetuned by one seed each after the first ones, those that tell most about the weights of a linear predictor first. "
        "Rivals are fitted to the same networks.",
        "",
        frame_markdown(tables.by_extra_networks(found)),
    ]
    return ["\n".join(lines)]


def _schemes(run: Run, found: StudyData, role: str) -> list[str]:
    """Return Puzzle's decoupled training beside the full library, nothing where a block that it needs has diverged."""
    try:
        frame = tables.by_scheme(found, run.space, role)
        agreed = compute_agreement(run.blocks, parse_metrics(found.metric)[0])
    except InsufficientDataError:
        return []
    if not any(each.blocks for each in agreed):  # all blocks were trained apart
        return []
    stages = "; ".join(f"{each.stage} {each.tau:.3f}, {each.log_error:.2f}" for each in agreed)
    lines = [
        "## Blocks trained one axis at a time (Puzzle's decoupled scheme)",
        "",
        "A block that differs from the reference on several axes is given the product of what each axis alone does to the quality.",
        "",
        frame_markdown(frame),
        "",
        f"Foretold against trained qualities of those blocks, Kendall tau and error of the logarithm by stage: {stages}.",
    ]
    return ["\n".join(lines)]


def _scratch_comparison(run: Run) -> list[str]:
    """Return figure 10 as a table, nothing where the recipe trains no network from scratch."""
    scratch, long = (
        {
            run.architectures.name(network.architecture): list(network.curve_percent)
            for network in run.architectures.networks(role)
        }
        for role in ("scratch", "long")
    )
    frame = tables.by_epoch(scratch, long)
    if frame.empty:
        return []
    caught = tables.epochs_to_catch_up(scratch, long)
    lines = [
        "## Finetuning against training from scratch (figure 10)",
        "",
        f"Mean of {len(caught)} networks; all start from the Block Library, or from random weights.",
        "",
        frame_markdown(frame),
        "",
        "As good as after all epochs from scratch: "
        + "; ".join(f"`{name}` after {'none' if epochs is None else epochs}" for name, epochs in caught.items()),
    ]
    return ["\n".join(lines)]


def _settings(run: Run, found: StudyData) -> list[str]:
    recipe = run.recipe
    groups = ", ".join(
        f"{len(group)} of role {role} by up to {group.by_seed.shape[1]} seeds" for role, group in found.groups.items()
    )
    return [
        f"- Command: `{run.command.replace('donna-hw run', 'donna-hw study')}`; seed {recipe.seed}; {date.today().isoformat()}.",
        f"- Machine: {cpu_model()}; trained on {recipe.processes} processes of one thread.",
        f"- Space `{recipe.space}`, {run.space.size:,} networks; data {recipe.data.name}.",
        f"- Reference {found.teacher_percent:.2f} %. Blocks: {recipe.distill.epochs} epoch(s) of {recipe.distill.images or 'all'} images. "
        f"Networks: {recipe.finetune.epochs} epoch(s) of {recipe.finetune.images or 'all'} images; {groups}.",
        f"- Predictor `{found.kind}` on `{found.metric}`, fitted to role library.",
    ]
