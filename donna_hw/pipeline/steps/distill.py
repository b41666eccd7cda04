"""Blockwise distillation of a run: the blocks are trained by processes on CPU cores, or by one process for each GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from donna_hw.errors import UnavailableError
from donna_hw.pipeline.recipe_schema import ReferenceConfig
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.extend import copy_base_run
from donna_hw.pipeline.steps.reference import train_reference
from donna_hw.training.data.image_folder import validate_dataset_size
from donna_hw.training.distillation.blockwise import distill
from donna_hw.training.executors import Executor, ProcessExecutor
from donna_hw.training.large_scale.config import PaperTrainingConfig
from donna_hw.training.libraries import BlockLibrary
from donna_hw.training.quantization.blocks import quantize_blocks
from donna_hw.training.ray_executor import RayExecutor, prefer_gpu

CPU = ("cpu",)


def distill_blocks(run: Run) -> BlockLibrary:
    """Train the reference, then every block of the space to imitate it, then quantize the 8-bit blocks.

    A run that extends another trains only the blocks that the other run lacks.

    Args:
        run: An open run; what its folder already holds is not trained again.

    Returns:
        The Block Library, every block trained.

    Raises:
        ConfigError: The images do not fit into memory, or the extended run has other settings.
        FileFormatError: The extended run has not reached its predictor.
        UnavailableError: The recipe asks for a GPU and there is none.
    """
    validate_images(run)
    if run.recipe.extends is not None:
        copy_base_run(run)
    recipe, teacher = run.recipe, train_reference(run)
    with _open_executor(run) as (executor, devices):
        teacher_device = (*(gpus() if devices != CPU else ()), *CPU)[0]
        config = replace(recipe.distill.block_distill_config(devices), teacher_device=teacher_device)
        library = distill(
            run.space, teacher, run.data, config, seed=recipe.seed, folder=run.blocks.folder, pool=executor
        )
    quantization = recipe.quantize.quantization_config()
    quantize_blocks(run.space, teacher, run.data, quantization, seed=recipe.seed, library=library, pool=run.executor)
    return library


def validate_images(run: Run) -> None:
    """Raise, before the reference is trained, what reading all images into memory would raise.

    Training as the paper does reads images as a stream and has no such limit.
    """
    recipe = run.recipe
    streamed = not isinstance(recipe.reference, ReferenceConfig) and isinstance(recipe.finetune, PaperTrainingConfig)
    if recipe.data.name == "image_folder" and not streamed:
        validate_dataset_size(recipe.data.folder, run.space)


def gpus() -> tuple[str, ...]:
    """Return the GPUs of this machine that torch can use, by torch's names for them."""
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count())) if torch.cuda.is_available() else ()


@contextmanager
def _open_executor(run: Run) -> Iterator[tuple[Executor, tuple[str, ...]]]:
    """Yield the executor that trains blocks, and the devices of its workers, as each worker names its own."""
    device = run.recipe.distill.device
    if device == "cpu":
        yield run.executor, CPU
        return
    needs = None if run.cluster is None else prefer_gpu(run.cluster)
    devices = gpus() if needs is None else ("cuda",) * bool(needs.gpus)
    if not devices and device == "cuda":
        raise UnavailableError("distill.device = 'cuda' needs a GPU that torch can use", got="none", hint="use 'auto'")
    if not devices:
        yield run.executor, CPU
        return
    executor = ProcessExecutor(len(devices)) if run.cluster is None else RayExecutor(run.cluster, run.folder, needs)
    try:
        yield executor, devices
    finally:
        executor.close()
