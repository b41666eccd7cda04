"""Who trains the blocks of a run: processes on the cores of the CPU, or one for each GPU; of this machine or of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from donna_hw.errors import UnavailableError
from donna_hw.pipeline.run_directory import RunFolder
from donna_hw.pipeline.steps.reference import load_or_train_reference
from donna_hw.training.distillation.blockwise import distill
from donna_hw.training.executors import Executor, ProcessExecutor
from donna_hw.training.libraries import BlockLibrary
from donna_hw.training.quantization.blocks import quantize_blocks
from donna_hw.training.ray_executor import RayExecutor, prefer_gpu

CPU = ("cpu",)


def distill_blocks(run: RunFolder) -> BlockLibrary:
    """Train every block of a run's space for its reference, then quantise its 8-bit ones.

    Raises `UnavailableError` where the recipe asks for a GPU and there is none.
    """
    recipe, teacher = run.recipe, load_or_train_reference(run)
    with _workers(run) as (pool, devices):
        library = distill(
            run.space,
            teacher,
            run.data,
            replace(
                recipe.distill.block_distill_config(devices),
                teacher_device=(*(gpus() if devices != CPU else ()), *CPU)[0],
            ),
            seed=recipe.seed,
            folder=run.blocks.folder,
            pool=pool,
        )
    how = recipe.quantize.quantization_config()
    quantize_blocks(run.space, teacher, run.data, how, seed=recipe.seed, library=library, pool=run.pool)
    return library


def gpus() -> tuple[str, ...]:
    """Return the GPUs of this machine that torch can use, by its names for them."""
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count())) if torch.cuda.is_available() else ()


@contextmanager
def _workers(run: RunFolder) -> Iterator[tuple[Executor, tuple[str, ...]]]:
    """Give who trains blocks, and the devices that they train them on, as each of them names its own."""
    wanted = run.recipe.distill.device
    if wanted == "cpu":
        yield run.pool, CPU
        return
    needs = None if run.cluster is None else prefer_gpu(run.cluster)
    devices = gpus() if needs is None else ("cuda",) * bool(needs.gpus)
    if not devices and wanted == "cuda":
        raise UnavailableError("distill.device = 'cuda' needs a GPU that torch can use", got="none", hint="use 'auto'")
    if not devices:
        yield run.pool, CPU
        return
    pool = ProcessExecutor(len(devices)) if run.cluster is None else RayExecutor(run.cluster, run.folder, needs)
    try:
        yield pool, devices
    finally:
        pool.close()
