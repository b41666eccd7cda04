"""Quantized variants of finetuned networks: in INT8 from the first layer to the last, or block by block, and without each step."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from donna_hw.experiments.predictor_study.data import NetworkGroup, load_group
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.extend import base_run
from donna_hw.pipeline.steps.quantize import QuantizationJob, evaluate_quantized, quantization_job
from donna_hw.spaces import load_space
from donna_hw.spaces.mixed_precision import float_block_number, float_counterparts, int8_counterparts
from donna_hw.spaces.space import Architecture, Space
from donna_hw.training.libraries import ArchitectureLibrary
from donna_hw.training.quantization.blocks import BlockQuantizationConfig
from donna_hw.training.quantization.data_free import QuantizationConfig
from donna_hw.training.quantization.equalization import find_pairs

RANGE_IMAGES = 512  # images that ranges are observed on, where a variant observes them
EQUALIZED = "equalized"


@dataclass(frozen=True)
class Variant:
    """A way of quantization, and by how many points of top-1 each of n networks is then worse than in float32, float [n]."""

    name: str
    drop_percent: np.ndarray


def to_run_space(run: Run, library: ArchitectureLibrary) -> NetworkGroup:
    """Return the networks of a library in INT8 throughout as rows of the run's space, whose blocks they are made of."""
    group, int8_space = load_group(library, "test"), library.space
    labels = [int8_space.labels(int8_space.architecture(row)) for row in group.rows]
    rows = np.array([run.space.row(run.space.architecture_from_labels(network)) for network in labels])
    return replace(group, rows=int8_counterparts(run.space, rows))


def accuracy_drop_percent(run: Run, group: NetworkGroup) -> np.ndarray:
    """Return the points of top-1 that each network of a group lost by quantization, the mean over its seeds, float [n]."""
    base = base_run(run)
    float_top1 = {
        tuple(run.space.row(run.space.architecture_from_labels(base.space.labels(network)))): top1
        for network, (top1, _) in base.architectures.mean_top1("test").items()
    }
    float_rows = float_counterparts(run.space, group.rows)
    return np.asarray(np.array([float_top1[tuple(row)] for row in float_rows.tolist()]) - group.top1_percent)


def variants(config: BlockQuantizationConfig) -> dict[str, BlockQuantizationConfig]:
    """Return the recipe's quantization, and others that differ from it in one setting, or in all."""
    method = config.config
    plain = QuantizationConfig(equalize=False, absorb_bias=False, correct_bias=False, range_stds=method.range_stds)
    return {
        "as in the recipe": config,
        "without equalization": replace(config, config=replace(method, equalize=False)),
        "without absorption": replace(config, config=replace(method, absorb_bias=False)),
        "without bias correction": replace(config, config=replace(method, correct_bias=False)),
        "none of the three": replace(config, config=replace(plain, per_channel=method.per_channel)),
        "per tensor" if method.per_channel else "per channel": replace(
            config, config=replace(method, per_channel=not method.per_channel)
        ),
        "none of the three, per channel": replace(config, config=replace(plain, per_channel=True)),
        f"ranges observed on {RANGE_IMAGES} images": replace(config, images=RANGE_IMAGES),
        f"ranges observed on {RANGE_IMAGES} images, none of the three": BlockQuantizationConfig(plain, RANGE_IMAGES),
        "ranges of 4 standard deviations": replace(config, config=replace(method, range_stds=4.0)),
    }


def ablation(run: Run, networks: int, eval_images: int) -> list[Variant]:
    """Quantize the first test networks from the first layer to the last by each of `variants`, and evaluate them.

    Args:
        run: A run that extends another, whose test networks are quantized.
        networks: How many of them, by the first seed.
        eval_images: How many of the test images they are evaluated on, the first ones.
    """
    base = base_run(run)
    space = load_space(f"{base.recipe.space}@int8")
    finetuned = [network for network in base.architectures.networks("test") if network.seed == base.recipe.seed]
    finetuned = finetuned[:networks]
    jobs, configs = [], variants(run.recipe.quantize.quantization_config())
    for network in finetuned:
        path = base.architectures.weights_path(network.architecture, network.seed)
        job = quantization_job(run, space.load_name, network.architecture, path, seed=network.seed)
        job = replace(job, eval_images=eval_images)
        jobs += [replace(job, space=base.recipe.space), *(replace(job, config=config) for config in configs.values())]
    top1_by_job = {_job_key(job): top1 for job, (top1, _) in run.executor.map(evaluate_quantized, jobs)}
    top1 = np.array([top1_by_job[_job_key(job)] for job in jobs]).reshape(len(finetuned), 1 + len(configs))
    drops = top1[:, :1] - top1[:, 1:]
    return [Variant(name, drops[:, number]) for number, name in enumerate(configs)]


def _job_key(job: QuantizationJob) -> tuple[str, Architecture, BlockQuantizationConfig]:
    return job.space, job.architecture, job.config


def count_equalized_layers(space: Space) -> Mapping[tuple[str, str], int]:
    """Return {(kind of layer, `EQUALIZED` or why it is skipped): layers} of all 8-bit blocks; a kind is a layer's name without number."""
    counts: Counter[tuple[str, str]] = Counter()
    for stage in space.stages:
        for m in range(stage.size):
            pairs, skipped = find_pairs(space.block_graph(stage, m))
            counts.update((_kind(pair.first.name), EQUALIZED) for pair in pairs)
            counts.update((_kind(name), reason) for name, reason in skipped.items())
    return counts


def nsr_by_precision(run: Run) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (stage, NSR of each float32 block, NSR of its 8-bit counterpart) without diverged blocks."""
    by_stage = []
    for stage, values in zip(run.space.stages, run.blocks.qualities("nsr"), strict=True):
        float_numbers = np.array([float_block_number(stage, m) for m in range(stage.size)])
        is_int8 = float_numbers != np.arange(stage.size)
        float32, int8 = values[float_numbers[is_int8]], values[is_int8]
        known = np.isfinite(float32) & np.isfinite(int8)
        by_stage.append((stage.name, float32[known], int8[known]))
    return by_stage


def _kind(name: str) -> str:
    return re.sub(r"[0-9]+_", "", name)
