"""Networks with 8-bit blocks: finetuned in float32, quantized, then evaluated on the test images (paper, appendix D)."""

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
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.extend import base_run
from donna_hw.pipeline.steps.train import train_float_networks
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

FLOAT_COUNTERPART = "float_counterpart"  # the role of networks that are finetuned only to be quantized


@dataclass(frozen=True)
class QuantizationJob:
    """What a worker needs to quantize one finetuned network.

    Attributes:
        space: What `load_space` is given.
        architecture: The network.
        float_weights: The file of its finetuned float32 weights.
        input_stats: Statistics of the images by channel.
        config: How it is quantized.
        images: The folder of `save_images`, on whose test images it is evaluated.
        seed: Of the finetuning, and of the choice of images for the ranges.
        weights: Where the quantized network is saved; "" saves nothing.
        eval_images: On how many of the test images it is evaluated, the first ones; 0: on all.
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


def train_networks(run: Run, rows: Rows, role: str, seeds: int | None = None) -> None:
    """Finetune networks; those with 8-bit blocks are finetuned in float32, then quantized.

    Networks that the Architecture Library holds by a seed, or that the extended run has finetuned, are not finetuned again.

    Args:
        run: An open run.
        rows: The networks, int [n, stages].
        role: Their role in the Architecture Library.
        seeds: How many seeds; by default as many as the recipe asks for.
    """
    int8 = np.array([is_int8(run.space, network) for network in run.networks(rows)], bool)
    train_float_networks(run, rows[~int8], role, seeds)
    if not int8.any():
        return
    float_rows = float_counterparts(run.space, rows[int8])
    repeats = seeds or run.recipe.finetune.repeats
    all_seeds = range(run.recipe.seed, run.recipe.seed + repeats)
    missing = [
        any(find_finetuned_weights(run, network, seed) is None for seed in all_seeds)
        for network in run.networks(float_rows)
    ]
    train_float_networks(run, float_rows[missing], FLOAT_COUNTERPART, seeds)
    jobs, recorded = [], run.architectures.recorded_networks(role)
    for network, float_network in zip(run.networks(rows[int8]), run.networks(float_rows), strict=True):
        for seed in all_seeds:
            if (network, seed) not in recorded:
                path = find_finetuned_weights(run, float_network, seed)
                assert path is not None  # noqa: S101  it has been trained just now
                weights = str(run.architectures.weights_path(network, seed))
                jobs.append(quantization_job(run, run.space.load_name, network, path, seed=seed, weights=weights))
    quantize_and_record(run, run.architectures, role, jobs)


def find_finetuned_weights(run: Run, network: Architecture, seed: int) -> Path | None:
    """Return the weights of a float32 network finetuned by a seed, in this run or the one that it extends; None without any."""
    libraries = [run.architectures]
    if run.recipe.extends is not None:
        libraries.append(ArchitectureLibrary(base_run(run).architectures.folder, run.space))
    paths = (library.weights_path(network, seed) for library in libraries)
    return next((path for path in paths if path.exists()), None)


def quantization_job(
    run: Run, space: str, network: Architecture, float_weights: Path, *, seed: int, weights: str = ""
) -> QuantizationJob:
    """Return the job that quantizes one network of a space by the run's recipe; prepares the images where they are missing."""
    folder = run.folder / "distill_batches" / "images"
    if not isinstance(run.recipe.finetune, PaperTrainingConfig) and not (folder / "complete").exists():
        save_images(run.data, folder)
        write_atomic(folder / "complete", "")
    config = run.recipe.quantize.quantization_config()
    return QuantizationJob(
        space, network, str(float_weights.resolve()), _input_stats(run), config, str(folder), seed, weights
    )


def _input_stats(run: Run) -> ChannelStats:
    """Return statistics of a run's images by channel; those of a folder of images are known without reading it."""
    if run.recipe.data.name != "image_folder":
        return compute_input_stats(run.data.held_out.pixels)
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ChannelStats(torch.zeros(3).double(), torch.ones(3).double(), -mean / std, (1 - mean) / std)


def quantize_and_record(run: Run, library: ArchitectureLibrary, role: str, jobs: Sequence[QuantizationJob]) -> None:
    """Quantize networks, evaluate them, and record their top-1 under a role.

    Their learning curve is that top-1 alone, and they have no stitched accuracy. Each of the processes that torchrun started must call
    this: each evaluates its share of the images, and the first one records.
    """
    if not jobs:
        return
    streamed = isinstance(run.recipe.finetune, PaperTrainingConfig)
    with distributed_context() if streamed else nullcontext(DistributedContext()) as processes:
        processes.barrier()  # before anything is recorded, all must have seen what there is to do
        results = (
            ((job, evaluate_quantized_streamed(run, job, processes)) for job in jobs)
            if streamed
            else run.executor.map(evaluate_quantized, jobs)
        )
        if processes.is_main:
            results = track(results, f"quantize {role}", len(jobs))
        for job, (top1, seconds) in results:
            if processes.is_main:
                library.add(FinetunedNetwork(role, job.architecture, job.seed, top1, float("nan"), (top1,), seconds))


def evaluate_quantized(job: QuantizationJob) -> tuple[float, float]:
    """Quantize a network, save it, and return its top-1 in per cent on the prepared test images and the seconds it took."""
    started = time.perf_counter()
    folder = Path(job.images)
    range_images = None
    if job.config.images:
        range_images = _sample_images(read_images(folder, "train").pixels, job.config.images, job.seed)
    module = quantize_network(job, range_images)
    images = read_images(folder, "test")
    if job.eval_images:
        images = type(images)(images.pixels[: job.eval_images], images.labels[: job.eval_images])
    return evaluate_top1(module, images), time.perf_counter() - started


def evaluate_quantized_streamed(run: Run, job: QuantizationJob, processes: DistributedContext) -> tuple[float, float]:
    """Do what `evaluate_quantized` does in several processes, with a folder of images that is too large for memory.

    The first process saves the network.
    """
    from donna_hw.training.data.image_folder import open_image_folders
    from donna_hw.training.large_scale.epochs import evaluate_networks
    from donna_hw.training.large_scale.loaders import create_subset_loader, create_test_loader

    started, config, data = time.perf_counter(), run.recipe.finetune, run.recipe.data
    assert isinstance(config, PaperTrainingConfig)  # noqa: S101  called for such a method only
    train, test = open_image_folders(data.folder, run.space)
    range_images = None
    if job.config.images:
        train_indices, _ = split_indices(len(train), data.held_out, run.recipe.seed)
        loader = create_subset_loader(train, train_indices[: job.config.images].tolist(), config, config.batch)
        range_images = torch.cat([images for images, _ in loader])
    module = quantize_network(job if processes.is_main else replace(job, weights=""), range_images)
    (top1,) = evaluate_networks([module.to(processes.device)], create_test_loader(test, config, processes), processes)
    return top1, time.perf_counter() - started


def quantize_network(job: QuantizationJob, images: Tensor | None) -> GraphModule:
    """Quantize the network of a job and save it at the path that the job names.

    Args:
        job: The network and how it is quantized.
        images: Images that the ranges of activations are observed on, float [n, channels, height, width]; None takes the ranges from
            batch-norms.

    Returns:
        The quantized network.

    Raises:
        FileFormatError: The finetuned weights are those of another network.
    """
    space = load_space(job.space)
    graph = space.network_graph(job.architecture)
    float_module = to_torch(with_dtype(graph, "float32"))
    load_weights(float_module, Path(job.float_weights))
    module = quantize(float_module.eval(), graph, job.input_stats, job.config.config, images).module
    if job.weights:
        save_weights(module, Path(job.weights))
    return module


def quantize_test_networks(run: Run) -> ArchitectureLibrary:
    """Quantize the test networks of the extended run from the first layer to the last, and return their library.

    Their weights are saved among those of the run's own networks, where `donna-hw export` finds them.

    Raises:
        FileFormatError: The extended run has no finetuned test networks.
    """
    base = base_run(run)
    space = load_space(f"{base.recipe.space}@int8")
    library, weights_library = (
        ArchitectureLibrary(run.folder / name, space) for name in ("int8_library", "architecture_library")
    )
    test_networks, recorded = base.architectures.networks("test"), library.recorded_networks("test")
    if not test_networks:
        raise FileFormatError(
            f"{base.folder} holds no finetuned test networks to quantize",
            hint="name a recipe with library.test_networks",
        )
    jobs = []
    for network in test_networks:
        if (network.architecture, network.seed) not in recorded:
            path = base.architectures.weights_path(network.architecture, network.seed)
            weights = str(weights_library.weights_path(network.architecture, network.seed))
            jobs.append(
                quantization_job(run, space.load_name, network.architecture, path, seed=network.seed, weights=weights)
            )
    quantize_and_record(run, library, "test", jobs)
    return library


def _sample_images(pixels: Tensor, count: int, seed: int) -> Tensor:
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(seed))
    return pixels[order[:count]].contiguous()
