"""The page of a quantised Block Library: what an unchanged predictor says of INT8 networks (paper, appendix D, figure 14)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from donna_hw.errors import ConfigError
from donna_hw.experiments.int8.latency import latency_markdown
from donna_hw.experiments.int8.variants import (
    EQUALIZED,
    ablation,
    accuracy_drop_percent,
    count_equalized_layers,
    nsr_by_precision,
    to_run_space,
)
from donna_hw.experiments.predictor_study.comparison import MIN_NETWORKS, PredictorComparison, compare
from donna_hw.experiments.predictor_study.data import NetworkGroup, StudyData, load_study_data
from donna_hw.experiments.predictor_study.markdown import comparison_markdown
from donna_hw.experiments.transfer import ROLE, select_test_networks, side_by_side_markdown
from donna_hw.measurement.environment import cpu_model
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.extend import base_run
from donna_hw.pipeline.steps.quantize import quantize_test_networks
from donna_hw.predictors.serialization import load_predictor
from donna_hw.spaces.mixed_precision import PRECISION_AXIS

EVAL_IMAGES = 2000  # images that ways of quantising are compared on
WHOLE, MIXED = "INT8 from the first layer to the last", "each block in float32 or INT8, by chance"
WITHIN = "of these, every block's quality within the range of the fit"


def int8_markdown(run: Run, networks: int = 10) -> str:
    """Return the page of a run that extends another by 8-bit blocks, its networks quantised; `networks`: of the comparison of methods."""
    base, mixed = base_run(run), load_study_data(run)
    whole = replace(mixed, groups=mixed.groups | {ROLE: to_run_space(run, quantize_test_networks(run))})
    sets = {"float32": compare(load_study_data(base), ROLE)}
    for name, found in ((WHOLE, whole), (MIXED, mixed)):
        sets[name] = compare(found, ROLE)
        sets |= _within(run, found, name)
    parts = [
        f"# {run.recipe.title}",
        "\n".join(_settings(run, base.recipe.title, whole, mixed)),
        side_by_side_markdown(sets, "The same predictor on float32 and INT8 networks"),
        comparison_markdown(sets[WHOLE]).replace("drawn uniformly", WHOLE),
        comparison_markdown(sets[MIXED]).replace("drawn uniformly", MIXED),
        _accuracy_drop(run, {WHOLE: whole.groups[ROLE], MIXED: mixed.groups[ROLE]}),
        _ablation(run, networks),
        _noise(run),
        _layers(run),
        *latency_markdown(run),
    ]
    return "\n\n".join(parts) + "\n"


def validate_int8(run: Run) -> None:
    """Raise, before anything is trained, that a recipe's space has no 8-bit blocks to choose."""
    if not all(PRECISION_AXIS in stage.axes for stage in run.space.stages):
        rule, cure = (
            "what is quantised beside its float32 blocks is a space @precision",
            f"such as {run.recipe.space}@precision",
        )
        raise ConfigError(rule, got=run.recipe.space, hint=cure)


def _within(run: Run, found: StudyData, name: str) -> dict[str, PredictorComparison]:
    inside = ~load_predictor(run.folder / "predictor.toml").extrapolates(found.quality(ROLE))
    if inside.all() or inside.sum() < MIN_NETWORKS:
        return {}
    return {f"{name}; {WITHIN}": compare(select_test_networks(found, inside), ROLE)}


def _settings(run: Run, base: str, whole: StudyData, mixed: StudyData) -> list[str]:
    part, command = run.recipe.quantize, run.command.replace("donna-hw run", "donna-hw quantise")
    steps = [
        word
        for word, taken in (
            ("cross-layer equalisation", part.equalize),
            ("absorption of high biases", part.absorb_bias),
            ("bias correction", part.correct_bias),
        )
        if taken
    ]
    ranges = "batch-norms" if part.ranges == "batch_norm" else f"{part.images} images"
    return [
        f"- Command: `{command}`; seed {run.recipe.seed}; {date.today().isoformat()}.",
        f"- Machine: {cpu_model()}; {run.recipe.processes} processes of one thread.",
        f"- Space `{run.recipe.space}`; data {run.recipe.data.name}; reference {whole.teacher_percent:.2f} %.",
        f"- 8-bit weights ({'a grid a channel' if part.per_channel else 'a grid a layer'}) and activations, without training: "
        f"{', '.join(steps) or 'no further steps'}; ranges from {ranges}.",
        f"- Reference, float32 blocks, {len(whole.groups['library'])} finetuned networks and the predictor `{whole.kind}` on "
        f'`{whole.metric}`, unchanged, are those of "{base}"; so are the {len(whole.groups[ROLE])} test networks, finetuned in float32 and '
        f"then quantised.",
        f'- "{MIXED}": {len(mixed.groups[ROLE])} of the same networks, one block in INT8 at least; stem, tail and classifier in float32.',
    ]


def _accuracy_drop(run: Run, groups: dict[str, NetworkGroup]) -> str:
    lines = [
        "## What the networks lose",
        "",
        "Points of top-1 on the test images, float32 less quantised, the mean over a network's seeds.",
        "",
        "| | networks | mean | standard error | median | most | least |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, group in groups.items():
        lost = accuracy_drop_percent(run, group)
        lines.append(
            f"| {name} | {len(lost)} | {lost.mean():+.3f} | {_standard_error(lost):.3f} | {np.median(lost):+.3f} | {lost.max():+.2f} "
            f"| {lost.min():+.2f} |"
        )
    return "\n".join(lines)


def _ablation(run: Run, networks: int) -> str:
    judged = min(EVAL_IMAGES, len(run.data.test))
    found = ablation(run, networks, judged)
    lines = [
        "## Without each step",
        "",
        f"The first {len(found[0].drop_percent)} test networks, INT8 throughout: points of top-1 lost on {judged} test images.",
        "",
        "| | mean | standard error | most |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {each.name} | {each.drop_percent.mean():+.3f} | {_standard_error(each.drop_percent):.3f} | {each.drop_percent.max():+.2f} |"
        for each in found
    ]
    return "\n".join(lines)


def _noise(run: Run) -> str:
    lines = [
        "## What quantising adds to a block's noise",
        "",
        "NSR on held-out images (equation 1) of each block in float32 and in INT8.",
        "",
        "| stage | blocks | median, float32 | median, INT8 | INT8 over float32, median | most |",
        "|---|---|---|---|---|---|",
    ]
    for stage, plain, held in nsr_by_precision(run):
        ratio = held / plain
        lines.append(
            f"| {stage} | {len(plain)} | {np.median(plain):.4f} | {np.median(held):.4f} | {np.median(ratio):.3f} | {ratio.max():.3f} |"
        )
    return "\n".join(lines)


def _layers(run: Run) -> str:
    found = count_equalized_layers(run.space)
    lines = [
        "## Layers that are equalised with the next one, and those that are not",
        "",
        "Of all 8-bit blocks.",
        "",
        "| layer | | layers |",
        "|---|---|---|",
    ]
    order = sorted(found.items(), key=lambda item: (item[0][0], item[0][1] != EQUALIZED, -item[1]))
    return "\n".join([*lines, *(f"| {kind} | {what} | {count} |" for (kind, what), count in order)])


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
