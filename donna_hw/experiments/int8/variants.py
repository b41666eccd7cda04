"""What quantising does to finetuned networks: in float32 and in INT8, whole or block by block, and without each step of the method."""

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
EQUALIZED = "equalised"


@dataclass(frozen=True)
class Variant:
    """A way of quantising, and by how many points each of n networks is then worse than in float32, float [n]."""

    name: str
    drop_percent: np.ndarray


def to_run_space(run: Run, library: ArchitectureLibrary) -> NetworkGroup:
    """Return the networks of a library in INT8 throughout as rows of the run's space, whose blocks they are made of."""
    found, base = load_group(library, "test"), library.space
    labels = [base.labels(base.architecture(row)) for row in found.rows]
    rows = np.array([run.space.row(run.space.architecture_from_labels(each)) for each in labels])
    return replace(found, rows=int8_counterparts(run.space, rows))


def accuracy_drop_percent(run: Run, group: NetworkGroup) -> np.ndarray:
    """Return the points of top-1 that each network of a group lost by being quantised, the mean over its seeds, float [n]."""
    base = base_run(run)
    whole = {
        tuple(run.space.row(run.space.architecture_from_labels(base.space.labels(network)))): top1
        for network, (top1, _) in base.architectures.mean_top1("test").items()
    }
    twins = float_counterparts(run.space, group.rows)
    return np.asarray(np.array([whole[tuple(row)] for row in twins.tolist()]) - group.top1_percent)


def variants(how: BlockQuantizationConfig) -> dict[str, BlockQuantizationConfig]:
    """Return the recipe's way of quantising, and ways that differ from it in one thing, or in all."""
    method = how.config
    plain = QuantizationConfig(equalize=False, absorb_bias=False, correct_bias=False, range_stds=method.range_stds)
    return {
        "as the recipe says": how,
        "without equalisation": replace(how, config=replace(method, equalize=False)),
        "without absorption": replace(how, config=replace(method, absorb_bias=False)),
        "without bias correction": replace(how, config=replace(method, correct_bias=False)),
        "none of the three": replace(how, config=replace(plain, per_channel=method.per_channel)),
        "per tensor" if method.per_channel else "per channel": replace(
            how, config=replace(method, per_channel=not method.per_channel)
        ),
        "none of the three, per channel": replace(how, config=replace(plain, per_channel=True)),
        f"ranges observed on {RANGE_IMAGES} images": replace(how, images=RANGE_IMAGES),
        f"ranges observed on {RANGE_IMAGES} images, none of the three": BlockQuantizationConfig(plain, RANGE_IMAGES),
        "ranges of 4 deviations": replace(how, config=replace(method, range_stds=4.0)),
    }


def ablation(run: Run, networks: int, eval_images: int) -> list[Variant]:
    """Quantise the first test networks, from the first layer to the last, in each of `variants`; judged on the first test images."""
    base = base_run(run)
    space = load_space(f"{base.recipe.space}@int8")
    of_seed = [found for found in base.architectures.networks("test") if found.seed == base.recipe.seed][:networks]
    tasks, ways = [], variants(run.recipe.quantize.quantization_config())
    for found in of_seed:
        path = base.architectures.weights_path(found.architecture, found.seed)
        task = replace(
            quantization_job(run, space.load_name, found.architecture, path, seed=found.seed), eval_images=eval_images
        )
        tasks += [replace(task, space=base.recipe.space), *(replace(task, config=how) for how in ways.values())]
    known = {_job_key(task): top1 for task, (top1, _) in run.executor.map(evaluate_quantized, tasks)}
    found_top1 = np.array([known[_job_key(task)] for task in tasks]).reshape(len(of_seed), 1 + len(ways))
    lost = found_top1[:, :1] - found_top1[:, 1:]
    return [Variant(name, lost[:, number]) for number, name in enumerate(ways)]


def _job_key(task: QuantizationJob) -> tuple[str, Architecture, BlockQuantizationConfig]:
    return task.space, task.architecture, task.config


def count_equalized_layers(space: Space) -> Mapping[tuple[str, str], int]:
    """Return {(kind of layer, `EQUALIZED` or why it is skipped): layers} of all 8-bit blocks; a kind is a layer's name without number."""
    found: Counter[tuple[str, str]] = Counter()
    for stage in space.stages:
        for m in range(stage.size):
            pairs, skipped = find_pairs(space.block_graph(stage, m))
            found.update((_kind(pair.first.name), EQUALIZED) for pair in pairs)
            found.update((_kind(name), reason) for name, reason in skipped.items())
    return found


def nsr_by_precision(run: Run) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (stage, NSR of each float32 block, NSR of its 8-bit twin), those of diverged blocks left out."""
    found = []
    for stage, values in zip(run.space.stages, run.blocks.qualities("nsr"), strict=True):
        twins = np.array([float_block_number(stage, m) for m in range(stage.size)])
        eight = twins != np.arange(stage.size)
        plain, held = values[twins[eight]], values[eight]
        known = np.isfinite(plain) & np.isfinite(held)
        found.append((stage.name, plain[known], held[known]))
    return found


def _kind(name: str) -> str:
    return re.sub(r"[0-9]+_", "", name)
