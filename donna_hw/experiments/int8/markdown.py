"""The page of a quantized Block Library in Markdown: an unchanged predictor on INT8 networks (paper, appendix D, figure 14)."""

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
from donna_hw.experiments.transfer import ROLE, WITHIN_FIT, select_test_networks, side_by_side_markdown
from donna_hw.measurement.environment import cpu_model
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.extend import base_run
from donna_hw.pipeline.steps.quantize import quantize_test_networks
from donna_hw.predictors.serialization import load_predictor
from donna_hw.spaces.mixed_precision import PRECISION_AXIS

EVAL_IMAGES = 2000  # images that ways of quantization are compared on
WHOLE, MIXED = "INT8 from the first layer to the last", "each block in float32 or INT8, at random"


def int8_markdown(run: Run, networks: int = 10) -> str:
    """Return the page of a run that extends another by 8-bit blocks, its networks quantized.

    networks: how many of them are quantized without each step of the method, too.
    """
    base, mixed = base_run(run), load_study_data(run)
    whole = replace(mixed, groups=mixed.groups | {ROLE: to_run_space(run, quantize_test_networks(run))})
    comparisons = {"float32": compare(load_study_data(base), ROLE)}
    for name, data in ((WHOLE, whole), (MIXED, mixed)):
        comparisons[name] = compare(data, ROLE)
        comparisons |= _compare_within_fit(run, data, name)
    parts = [
        f"# {run.recipe.title}",
        "\n".join(_settings(run, base.recipe.title, whole, mixed)),
        side_by_side_markdown(comparisons, "The same predictor on float32 and INT8 networks"),
        comparison_markdown(comparisons[WHOLE], WHOLE),
        comparison_markdown(comparisons[MIXED], MIXED),
        _accuracy_drop(run, {WHOLE: whole.groups[ROLE], MIXED: mixed.groups[ROLE]}),
        _ablation(run, networks),
        _noise(run),
        _layers(run),
        *latency_markdown(run),
    ]
    return "\n\n".join(parts) + "\n"


def validate_int8(run: Run) -> None:
    """Raise `ConfigError`, before anything is trained, for a recipe whose space has no 8-bit blocks to choose."""
    if not all(PRECISION_AXIS in stage.axes for stage in run.space.stages):
        raise ConfigError(
            "an INT8 study needs a space with 8-bit blocks next to the float32 ones",
            got=run.recipe.space,
            hint=f"name such a space: {run.recipe.space}@precision",
        )


def _compare_within_fit(run: Run, data: StudyData, name: str) -> dict[str, PredictorComparison]:
    inside = ~load_predictor(run.folder / "predictor.toml").extrapolates(data.quality(ROLE))
    if inside.all() or inside.sum() < MIN_NETWORKS:
        return {}
    return {f"{name}; {WITHIN_FIT}": compare(select_test_networks(data, inside), ROLE)}


def _settings(run: Run, base: str, whole: StudyData, mixed: StudyData) -> list[str]:
    config, command = run.recipe.quantize, run.command.replace("donna-hw run", "donna-hw study int8")
    steps = [
        step
        for step, is_taken in (
            ("cross-layer equalization", config.equalize),
            ("absorption of high biases", config.absorb_bias),
            ("bias correction", config.correct_bias),
        )
        if is_taken
    ]
    ranges = "batch-norms" if config.ranges == "batch_norm" else f"{config.images} images"
    return [
        f"- Command: `{command}`; seed {run.recipe.seed}; {date.today().isoformat()}.",
        f"- Machine: {cpu_model()}; {run.recipe.processes} processes of one thread.",
        f"- Space `{run.recipe.space}`; data {run.recipe.data.name}; reference {whole.teacher_percent:.2f} %.",
        f"- 8-bit weights ({'a grid a channel' if config.per_channel else 'a grid a layer'}) and activations, without training: "
        f"{', '.join(steps) or 'no further steps'}; ranges from {ranges}.",
        f"- Reference, float32 blocks, {len(whole.groups['library'])} finetuned networks and the predictor `{whole.kind}` on "
        f'`{whole.metric}`, unchanged, are those of "{base}"; so are the {len(whole.groups[ROLE])} test networks, finetuned in float32 and '
        f"then quantized.",
        f'- "{MIXED}": {len(mixed.groups[ROLE])} of the same networks, one block in INT8 at least; stem, tail and classifier in float32.',
    ]


def _accuracy_drop(run: Run, groups: dict[str, NetworkGroup]) -> str:
    lines = [
        "## What the networks lose",
        "",
        "Points of top-1 on the test images, float32 minus quantized, the mean over a network's seeds.",
        "",
        "| | networks | mean | standard error | median | most | least |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, group in groups.items():
        drop = accuracy_drop_percent(run, group)
        lines.append(
            f"| {name} | {len(drop)} | {drop.mean():+.3f} | {_standard_error(drop):.3f} | {np.median(drop):+.3f} | {drop.max():+.2f} "
            f"| {drop.min():+.2f} |"
        )
    return "\n".join(lines)


def _ablation(run: Run, networks: int) -> str:
    images = min(EVAL_IMAGES, len(run.data.test))
    results = ablation(run, networks, images)
    lines = [
        "## Without each step",
        "",
        f"The first {len(results[0].drop_percent)} test networks, INT8 throughout: points of top-1 lost on {images} test images.",
        "",
        "| | mean | standard error | most |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {result.name} | {result.drop_percent.mean():+.3f} | {_standard_error(result.drop_percent):.3f} "
        f"| {result.drop_percent.max():+.2f} |"
        for result in results
    ]
    return "\n".join(lines)


def _noise(run: Run) -> str:
    lines = [
        "## What quantization adds to a block's noise",
        "",
        "NSR on held-out images (equation 1) of each block in float32 and in INT8.",
        "",
        "| stage | blocks | median, float32 | median, INT8 | INT8 over float32, median | most |",
        "|---|---|---|---|---|---|",
    ]
    for stage, float32, int8 in nsr_by_precision(run):
        ratio = int8 / float32
        lines.append(
            f"| {stage} | {len(float32)} | {np.median(float32):.4f} | {np.median(int8):.4f} | {np.median(ratio):.3f} | {ratio.max():.3f} |"
        )
    return "\n".join(lines)


def _layers(run: Run) -> str:
    counts = count_equalized_layers(run.space)
    lines = [
        "## Layers that are equalized with the next one, and those that are not",
        "",
        "Of all 8-bit blocks.",
        "",
        "| layer | | layers |",
        "|---|---|---|",
    ]
    order = sorted(counts.items(), key=lambda item: (item[0][0], item[0][1] != EQUALIZED, -item[1]))
    return "\n".join([*lines, *(f"| {kind} | {outcome} | {count} |" for (kind, outcome), count in order)])


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
