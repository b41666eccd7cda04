"""The 8-bit blocks of a Block Library: each is quantized from its trained float32 counterpart and evaluated like trained blocks."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from donna_hw._core.progress import track
from donna_hw.graph.graph import INPUT, Graph, graph_dtypes, layers_hash, with_dtype
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces import load_space
from donna_hw.spaces.mixed_precision import float_block_number
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Stage
from donna_hw.training.checkpoints import load_weights, save_weights
from donna_hw.training.data.dataset import Dataset
from donna_hw.training.distillation.block_evaluation import Quality, evaluate_block, load_teacher_tail
from donna_hw.training.distillation.border_maps import save_maps
from donna_hw.training.distillation.teacher_features import read_map
from donna_hw.training.executors import Executor
from donna_hw.training.libraries import BlockLibrary
from donna_hw.training.quantization.bn_folding import fold_batch_norms, read_bn_stats
from donna_hw.training.quantization.channel_stats import ChannelStats
from donna_hw.training.quantization.data_free import QuantizationConfig, quantize
from donna_hw.training.quantization.range_estimation import propagate


@dataclass(frozen=True)
class BlockQuantizationConfig:
    """How the blocks and networks of a run become INT8.

    Args:
        config: The steps of the quantization.
        images: Number of images on which ranges are observed, 0 for none.
    """

    config: QuantizationConfig
    images: int = 0


@dataclass(frozen=True)
class Int8Task:
    """What a worker needs to quantize one block; maps are files, as in `BlockTask`."""

    space: str
    stage: str
    number: int
    maps: str
    config: QuantizationConfig
    observe_ranges: bool
    input_stats: ChannelStats
    float_weights: str
    weights: str


def quantize_blocks(
    space: Space,
    teacher: GraphModule,
    data: Dataset,
    quantization: BlockQuantizationConfig,
    *,
    seed: int,
    library: BlockLibrary,
    pool: Executor,
) -> None:
    """Quantize and evaluate every 8-bit block of the space that the library lacks, and record it.

    The float32 counterpart of each must be in the library; if that has diverged, the 8-bit block is recorded as diverged.

    Args:
        space: The search space.
        teacher: The trained reference network.
        data: The images to observe ranges on, and those held out for the evaluation.
        quantization: How blocks are quantized.
        seed: Determines the images that ranges are observed on.
        library: The Block Library.
        pool: What runs the blocks.

    Raises:
        UnknownNameError: For a space whose 8-bit blocks have no float32 counterparts.
    """
    missing = find_missing_blocks(library)
    if not missing:
        return
    maps = library.folder / "maps"
    save_maps(space, teacher, data, quantization.images or 1, seed=seed, folder=maps)
    border_stats = compute_border_stats(
        space, teacher, compute_input_stats(data.held_out.pixels), quantization.config.range_stds
    )
    diverged = {
        (record["stage"], record["layers_hash"])
        for record in library.journal.records()
        if record["status"] == "diverged"
    }
    tasks = []
    for stage, m in missing:
        counterpart = float_block_number(stage, m)
        if (stage.name, layers_hash(space.block_graph(stage, counterpart))) in diverged:
            library.add(stage, m, asdict(Quality(*[float("nan")] * 5)), 0.0)
            continue
        paths = (str(library.weights_path(stage, number)) for number in (counterpart, m))
        tasks.append(
            Int8Task(
                space.load_name or space.name,
                stage.name,
                m,
                str(maps),
                quantization.config,
                quantization.images > 0,
                border_stats[stage.name],
                *paths,
            )
        )
    for task, (quality, seconds) in track(pool.map(quantize_block, tasks), "quantize blocks", len(tasks)):
        library.add(space.stage(task.stage), task.number, asdict(quality), seconds)
    shutil.rmtree(maps)


def find_missing_blocks(library: BlockLibrary) -> list[tuple[Stage, int]]:
    """Return the different 8-bit blocks that a library lacks, as (stage, number)."""
    recorded = library.recorded_blocks()
    missing: dict[tuple[str, str], tuple[Stage, int]] = {}
    for stage in library.space.stages:
        for m in range(stage.size):
            graph = library.space.block_graph(stage, m)
            key = (stage.name, layers_hash(graph))
            if "int8" in graph_dtypes(graph) and key not in recorded:
                missing.setdefault(key, (stage, m))
    return list(missing.values())


def quantize_block(task: Int8Task) -> tuple[Quality, float]:
    """Quantize one block, save it, and return (quality on the held-out images, seconds)."""
    started = time.perf_counter()
    space, maps = load_space(task.space), Path(task.maps)
    stage = space.stage(task.stage)
    border, graph = space.stages.index(stage), space.block_graph(stage, task.number)
    trained = to_torch(with_dtype(graph, "float32"))
    load_weights(trained, Path(task.float_weights))
    images = read_map(maps, "train", border) if task.observe_ranges else None
    block = quantize(trained.eval(), graph, task.input_stats, task.config, images).module
    tail = load_teacher_tail(space, stage, maps / "teacher.safetensors")
    x, y = (read_map(maps, "held_out", border + side) for side in (0, 1))
    labels, logits = (torch.from_numpy(np.load(maps / f"held_out-{name}.npy")) for name in ("labels", "logits"))
    quality = evaluate_block(block, x, y, tail, (labels, logits))
    if np.isfinite(quality.nsr):
        save_weights(block, Path(task.weights))
    return quality, time.perf_counter() - started


def compute_input_stats(pixels: Tensor) -> ChannelStats:
    """Return the statistics of normalized images [n, channels, height, width]: mean 0, deviation 1, and the range of their pixels."""
    channels = pixels.shape[1]
    limits = (pixels.amin((0, 2, 3)), pixels.amax((0, 2, 3)))
    return ChannelStats(*(values.double() for values in (torch.zeros(channels), torch.ones(channels), *limits)))


def compute_border_stats(
    space: Space, teacher: GraphModule, input_stats: ChannelStats, range_stds: float
) -> dict[str, ChannelStats]:
    """Return the statistics of the input of each stage of the reference, propagated from its batch-norms.

    Args:
        space: The search space.
        teacher: The trained reference network.
        input_stats: The statistics of the images.
        range_stds: Standard deviations from the mean that ranges extend to.

    Returns:
        {stage: statistics of its input}.
    """
    known = read_bn_stats(teacher, range_stds)
    _, reached = propagate(teacher.graph, fold_batch_norms(teacher), input_stats, known, range_stds)
    outputs = {name: reached[_last_layer(teacher.graph, name)] for name, _ in space.named_blocks(space.reference)}
    names = [name for name, _ in space.named_blocks(space.reference)]
    inputs = {}
    for stage in space.stages:
        position = names.index(stage.name)
        inputs[stage.name] = outputs[names[position - 1]] if position else input_stats
    return inputs


def _last_layer(graph: Graph, part: str) -> str:
    """Return the name of a part's last layer, or that of the input for a part without layers."""
    return [INPUT, *(layer.name for layer in graph.layers if layer.name.startswith(f"{part}."))][-1]
