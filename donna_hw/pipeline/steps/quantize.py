"""Networks with 8-bit blocks: finetuned in float32, then quantised, and worth what they then get right (paper, appendix D)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from donna_hw._core.files import write_atomic
from donna_hw._core.imagenet import IMAGENET_MEAN, IMAGENET_STD
from donna_hw._core.progress import track
from donna_hw.errors import FileFormatError
from donna_hw.graph.graph import with_dtype
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.pipeline.run_directory import RunFolder
from donna_hw.pipeline.steps.extend import base_run
from donna_hw.pipeline.steps.finetune import train_networks
from donna_hw.spaces import load_space
from donna_hw.spaces.mixed_precision import float_counterparts, is_int8
from donna_hw.spaces.space import Architecture, Rows
from donna_hw.training.checkpoints import load_weights, save_weights
from donna_hw.training.data.dataset import split_indices
from donna_hw.training.finetuning.targets import read_images, save_images
from donna_hw.training.large_scale.config import PaperTrainingConfig
from donna_hw.training.large_scale.distributed import DistributedContext, distributed_context
from donna_hw.training.libraries import ArchitectureLibrary, FinetunedNetwork
from donna_hw.training.loop import evaluate_top1
from donna_hw.training.quantization.blocks import BlockQuantizationConfig, compute_input_stats
from donna_hw.training.quantization.channel_stats import ChannelStats
from donna_hw.training.quantization.data_free import quantize

FLOAT_COUNTERPART = "float_counterpart"  # the role of networks that are finetuned for the sake of their quantised form


@dataclass(frozen=True)
class QuantizationJob:
    """What a worker needs to quantise one finetuned network; images: the folder of `save_images`, whose test images judge it, or the first
    `judged_on` of them.

    weights: where the quantised network is kept; "": nowhere.
    """

    space: str
    architecture: Architecture
    float_weights: str
    input_stats: ChannelStats
    config: BlockQuantizationConfig
    images: str
    seed: int
    weights: str = ""
    eval_images: int = 0


def train_or_quantize(run: RunFolder, rows: Rows, role: str, seeds: int | None = None) -> None:
    """Finetune networks, int [n, stages]; those with 8-bit blocks in float32, before they are quantised.

    Networks that the Architecture Library holds by a seed, or that the run which this one extends has finetuned, are not finetuned again.
    """
    eight = np.array([is_int8(run.space, network) for network in run.networks(rows)], bool)
    train_networks(run, rows[~eight], role, seeds)
    if not eight.any():
        return
    twins = float_counterparts(run.space, rows[eight])
    repeats = seeds or run.recipe.finetune.repeats
    wanted = range(run.recipe.seed, run.recipe.seed + repeats)
    lacking = [any(find_finetuned_weights(run, twin, seed) is None for seed in wanted) for twin in run.networks(twins)]
    train_networks(run, twins[lacking], FLOAT_COUNTERPART, seeds)
    tasks, known = [], run.architectures.recorded_networks(role)
    for network, twin in zip(run.networks(rows[eight]), run.networks(twins), strict=True):
        for seed in wanted:
            if (network, seed) not in known:
                path = find_finetuned_weights(run, twin, seed)
                assert path is not None  # noqa: S101  it has been trained just now
                weights = str(run.architectures.weights_path(network, seed))
                tasks.append(quantization_job(run, run.space.load_name, network, path, seed=seed, weights=weights))
    quantize_and_record(run, run.architectures, role, tasks)


def find_finetuned_weights(run: RunFolder, network: Architecture, seed: int) -> Path | None:
    """Return the weights of a float32 network finetuned by a seed, in this run or in the one that it extends, if there are any."""
    libraries = [run.architectures]
    if run.recipe.extends is not None:
        libraries.append(ArchitectureLibrary(base_run(run).architectures.folder, run.space))
    paths = (library.weights_path(network, seed) for library in libraries)
    return next((path for path in paths if path.exists()), None)


def quantization_job(
    run: RunFolder, space: str, network: Architecture, float_weights: Path, *, seed: int, weights: str = ""
) -> QuantizationJob:
    """Return what quantises one network of a space as the run's recipe says, by images that are prepared where they are not."""
    folder = run.folder / "distill_batches" / "images"
    if not isinstance(run.recipe.finetune, PaperTrainingConfig) and not (folder / "complete").exists():
        save_images(run.data, folder)
        write_atomic(folder / "complete", "")
    how = run.recipe.quantize.quantization_config()
    return QuantizationJob(
        space, network, str(float_weights.resolve()), _input_stats(run), how, str(folder), seed, weights
    )


def _input_stats(run: RunFolder) -> ChannelStats:
    """Return what is known of a run's images; those of a folder need not be read for it."""
    if run.recipe.data.name != "image_folder":
        return compute_input_stats(run.data.held_out.pixels)
    mean, deviation = (torch.tensor(values, dtype=torch.float64) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ChannelStats(torch.zeros(3).double(), torch.ones(3).double(), -mean / deviation, (1 - mean) / deviation)


def quantize_and_record(
    run: RunFolder, library: ArchitectureLibrary, role: str, tasks: Sequence[QuantizationJob]
) -> None:
    """Quantise and judge networks, and record them under a role; in place of a curve and the stitched accuracy stand its own.

    Each of the processes that torch's launcher started must call this; each judges its share of the images, the first one records.
    """
    if not tasks:
        return
    streamed = isinstance(run.recipe.finetune, PaperTrainingConfig)
    with distributed_context() if streamed else nullcontext(DistributedContext()) as processes:
        processes.barrier()  # before anything is recorded, all must have seen what there is to do
        found = (
            ((task, evaluate_quantized_streamed(run, task, processes)) for task in tasks)
            if streamed
            else run.pool.map(evaluate_quantized, tasks)
        )
        for task, (top1, seconds) in track(found, f"quantise {role}", len(tasks)) if processes.is_main else found:
            if processes.is_main:
                library.add(FinetunedNetwork(role, task.architecture, task.seed, top1, float("nan"), (top1,), seconds))


def evaluate_quantized(task: QuantizationJob) -> tuple[float, float]:
    """Quantise a network, keep it, and return its top-1 in per cent on the prepared images and the seconds it took."""
    started = time.perf_counter()
    folder = Path(task.images)
    calibration = read_images(folder, "train").pixels if task.config.images else None
    module = quantize_network(
        task, None if calibration is None else _sample_images(calibration, task.config.images, task.seed)
    )
    images = read_images(folder, "test")
    if task.eval_images:
        images = type(images)(images.pixels[: task.eval_images], images.labels[: task.eval_images])
    return evaluate_top1(module, images), time.perf_counter() - started


def evaluate_quantized_streamed(
    run: RunFolder, task: QuantizationJob, processes: DistributedContext
) -> tuple[float, float]:
    """Do as `evaluate_quantized` does, with the images of a folder too large for memory, in several processes; the first one keeps the network."""
    from donna_hw.training.data.image_folder import open_image_folders
    from donna_hw.training.large_scale.epochs import evaluate_networks
    from donna_hw.training.large_scale.loaders import create_subset_loader, create_test_loader

    started, settings, data = time.perf_counter(), run.recipe.finetune, run.recipe.data
    assert isinstance(settings, PaperTrainingConfig)  # noqa: S101  asked for such a method alone
    train, test = open_image_folders(data.folder, run.space)
    calibration = None
    if task.config.images:
        rest, _ = split_indices(len(train), data.held_out, run.recipe.seed)
        loader = create_subset_loader(train, rest[: task.config.images].tolist(), settings, settings.batch)
        calibration = torch.cat([images for images, _ in loader])
    module = quantize_network(task if processes.is_main else replace(task, weights=""), calibration)
    (top1,) = evaluate_networks([module.to(processes.device)], create_test_loader(test, settings, processes), processes)
    return top1, time.perf_counter() - started


def quantize_network(task: QuantizationJob, images: Tensor | None) -> GraphModule:
    """Return the network of a task, kept where it says; raises `FileFormatError` where its finetuned weights are another's."""
    space = load_space(task.space)
    graph = space.network_graph(task.architecture)
    trained = to_torch(with_dtype(graph, "float32"))
    load_weights(trained, Path(task.float_weights))
    module = quantize(trained.eval(), graph, task.input_stats, task.config.config, images).module
    if task.weights:
        save_weights(module, Path(task.weights))
    return module


def int8_library(run: RunFolder) -> ArchitectureLibrary:
    """Return the networks of the run that is extended in INT8 from the first layer to the last: its test networks, quantised.

    Their weights lie among those of the run's own networks, where `donna-hw export` finds them. Raises `FileFormatError` where that run has none.
    """
    base = base_run(run)
    space = load_space(f"{base.recipe.space}@int8")
    library, kept = (ArchitectureLibrary(run.folder / name, space) for name in ("int8_library", "architecture_library"))
    tested, known = base.architectures.networks("test"), library.recorded_networks("test")
    if not tested:
        rule = f"{base.folder} must hold finetuned test networks, which are quantised"
        raise FileFormatError(rule, got="none", hint="name a recipe with library.test_networks")
    tasks = []
    for network in tested:
        if (network.architecture, network.seed) not in known:
            path = base.architectures.weights_path(network.architecture, network.seed)
            weights = str(kept.weights_path(network.architecture, network.seed))
            tasks.append(
                quantization_job(run, space.load_name, network.architecture, path, seed=network.seed, weights=weights)
            )
    quantize_and_record(run, library, "test", tasks)
    return library


def _sample_images(pixels: Tensor, count: int, seed: int) -> Tensor:
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(seed))
    return pixels[order[:count]].contiguous()
