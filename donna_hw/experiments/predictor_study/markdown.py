"""The page of a predictor study in Markdown; every number is computed from the run's files."""

from __future__ import annotations

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
    """Raise `ConfigError`, before anything is trained, for a recipe with too few test networks."""
    config = recipe.library
    if config.test_networks < MIN_NETWORKS or 0 < config.stratified_networks < MIN_NETWORKS:
        raise ConfigError(
            f"a study needs library.test_networks of at least {MIN_NETWORKS}, and as many or no stratified_networks",
            got=f"{config.test_networks} and {config.stratified_networks}",
            hint="the shipped studies have 80 and 40",
        )


def study_markdown(run: Run, draws: int = 20) -> str:
    """Return the page of a run whose networks are finetuned; draws: random parts of the library for each of its sizes."""
    data = load_study_data(run)
    roles = [role for role in TEST_ROLES if role in data.groups]
    comparisons = [compare(data, role) for role in roles]
    first = roles[0]
    parts = [
        f"# {run.recipe.title}",
        "\n".join(_settings(run, data)),
        "## Targets\n\n" + "\n".join(format_targets(comparisons)),
        *(comparison_markdown(comparison) for comparison in comparisons),
        "## By the size of the library (the paper's tables 4 and 5)\n\n"
        + frame_markdown(tables.by_library_size(data, first, draws)),
        *_extra_networks(data),
        "## By the choice of networks to finetune\n\n"
        "From the library's networks alone, each draw from the same first five.\n\n"
        + frame_markdown(tables.by_choice(data, first, draws)),
        "## By the metric of blocks (table 6)\n\n" + frame_markdown(tables.by_metric(data, first)),
        "## By the kind of predictor (table 8)\n\n" + frame_markdown(tables.by_family(data, first)),
        *_schemes(run, data, first),
        *_scratch_comparison(run),
    ]
    return "\n\n".join(parts) + "\n"


def comparison_markdown(comparison: PredictorComparison, title: str = "") -> str:
    """Return a predictor and its baselines on one set of networks as a table; title: of these networks."""
    lines = [
        f"## {comparison.networks} networks {title or ROLE_TITLES[comparison.role]}",
        "",
        f"Up to {comparison.seeds} finetunings each; top-1 has a standard deviation of {comparison.std_percent:.2f} points; "
        f"{comparison.pairs} pairs lie within 15 % of MACs. Intervals contain 95 % of resampled networks.",
        "",
        "| | Kendall tau | equal-cost pairs in order | MSE |",
        "|---|---|---|---|",
    ]
    for name, score in comparison.scores.items():
        mse = "-" if name == STITCHED else f"{score.mse:.3f}"
        lines.append(f"| {name} | {format_interval(score.kendall_tau)} | {format_interval(score.pairs)} | {mse} |")
    if comparison.ceiling is not None:
        lines.append(
            f"| noise ceiling | {format_interval(comparison.ceiling.kendall_tau)} | {format_interval(comparison.ceiling.pairs)} | - |"
        )
    lines += [
        "",
        f"- Kendall tau, predictor minus the best baseline ({comparison.best_baseline}): "
        f"{format_interval(comparison.gain_over_best, sign='+')}; "
        f"minus the best of each resample: {format_interval(comparison.gain_over_all, sign='+')}.",
        f"- Equal-cost pairs, predictor minus MACs: {format_interval(comparison.pairs_gain_over_macs, sign='+')}.",
    ]
    if comparison.ceiling is not None:
        lines.append(
            f"- Finetunings by other seeds differ by a standard deviation of {comparison.ceiling.seed_std_percent:.3f} points."
        )
    return "\n".join(lines)


def frame_markdown(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table; numbers have three decimal places, intervals their ends."""
    heads = [COLUMN_TITLES.get(str(column), str(column)) for column in frame.columns]
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows])


def format_interval(interval: BootstrapInterval, sign: str = "") -> str:
    """Return an interval in one line; sign: "+" shows the sign of positive numbers, too."""
    value, low, high = (format(number, f"{sign}.3f") for number in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"


def _cell(value: object) -> str:
    if isinstance(value, BootstrapInterval):
        return format_interval(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _extra_networks(data: StudyData) -> list[str]:
    """Return how the extra networks help, nothing where there are none."""
    if not data.extra_networks:
        return []
    lines = [
        f"## {data.extra_networks} extra networks",
        "",
        "Finetuned by one seed each after the first ones, the most informative ones about the weights of a linear predictor first. "
        "Baselines are fitted to the same networks.",
        "",
        frame_markdown(tables.by_extra_networks(data)),
    ]
    return ["\n".join(lines)]


def _schemes(run: Run, data: StudyData, role: str) -> list[str]:
    """Return Puzzle's decoupled training compared with the full library, nothing where a block that it needs has diverged."""
    try:
        frame = tables.by_scheme(data, run.space, role)
        agreements = compute_agreement(run.blocks, parse_metrics(data.metric)[0])
    except InsufficientDataError:
        return []
    if not any(agreement.blocks for agreement in agreements):  # all blocks were trained apart
        return []
    stages = "; ".join(f"{stage.stage} {stage.tau:.3f}, {stage.log_error:.2f}" for stage in agreements)
    lines = [
        "## Blocks trained one axis at a time (Puzzle's decoupled scheme)",
        "",
        "A block that differs from the reference on several axes is given the product of what each axis alone does to the quality.",
        "",
        frame_markdown(frame),
        "",
        f"Predicted against trained qualities of those blocks, Kendall tau and error of the logarithm by stage: {stages}.",
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
    epochs_by_name = tables.epochs_to_catch_up(scratch, long)
    lines = [
        "## Finetuning against training from scratch (figure 10)",
        "",
        f"Mean of {len(epochs_by_name)} networks; all start from the Block Library, or from random weights.",
        "",
        frame_markdown(frame),
        "",
        "As good as after all epochs from scratch: "
        + "; ".join(
            f"`{name}` after {'none' if epochs is None else epochs}" for name, epochs in epochs_by_name.items()
        ),
    ]
    return ["\n".join(lines)]


def _settings(run: Run, data: StudyData) -> list[str]:
    recipe = run.recipe
    groups = ", ".join(
        f"{len(group)} of role {role} by up to {group.by_seed.shape[1]} seeds" for role, group in data.groups.items()
    )
    return [
        f"- Command: `{run.command.replace('donna-hw run', 'donna-hw study predictor')}`; seed {recipe.seed}; {date.today().isoformat()}.",
        f"- Machine: {cpu_model()}; trained on {recipe.processes} processes of one thread.",
        f"- Space `{recipe.space}`, {run.space.size:,} networks; data {recipe.data.name}.",
        f"- Reference {data.teacher_percent:.2f} %. Blocks: {recipe.distill.epochs} epoch(s) of {recipe.distill.images or 'all'} images. "
        f"Networks: {recipe.finetune.epochs} epoch(s) of {recipe.finetune.images or 'all'} images; {groups}.",
        f"- Predictor `{data.kind}` on `{data.metric}`, fitted to role library.",
    ]
