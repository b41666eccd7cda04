"""Blockwise knowledge distillation (BKD, paper A.1): every block alone learns the teacher's output from the teacher's input."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from donna_hw.blocks.layers import layers_hash
from donna_hw.blocks.torch_module import GraphModule, to_torch
from donna_hw.data.images import Dataset, augmented
from donna_hw.distillation.pool import Pool
from donna_hw.distillation.training import Fit, outputs, train
from donna_hw.distillation.weights import save_weights
from donna_hw.libraries import BlockLibrary
from donna_hw.progress import track
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Stage


@dataclass(frozen=True)
class Bkd:
    """How blocks are trained. images: of one epoch (0 for all), drawn and augmented once for all blocks and epochs."""

    fit: Fit
    images: int = 0


@dataclass(frozen=True)
class BlockTask:
    """What a worker needs to train one block; maps are files, so that all workers share one copy in memory."""

    space: str
    stage: str
    number: int
    maps: str
    fit: Fit
    seed: int
    weights: str


def distill(
    space: Space, teacher: GraphModule, data: Dataset, bkd: Bkd, *, seed: int, folder: Path, pool: Pool
) -> BlockLibrary:
    """Train every different block of the space for the teacher and return the library in `folder`.

    Blocks that are done are not trained again. A block's result depends on `seed` and its layers only, not on the order of the work.
    """
    library = BlockLibrary(folder, space)
    done = library.finished()
    jobs: dict[tuple[str, str], tuple[Stage, int]] = {}
    for stage in space.stages:
        for m in range(stage.size):
            jobs.setdefault((stage.name, layers_hash(space.block_graph(stage, m))), (stage, m))
    todo = {key: job for key, job in jobs.items() if key not in done}
    maps = folder / "maps"
    if not todo:
        shutil.rmtree(maps, ignore_errors=True)
        return library
    save_maps(space, teacher, data, bkd.images, seed=seed, folder=maps)
    tasks = [
        BlockTask(
            space.address or space.name, stage.name, m, str(maps), bkd.fit, seed, str(library.weights_path(stage, m))
        )
        for stage, m in todo.values()
    ]
    tasks.sort(key=lambda task: -space.block_graph(space.stage(task.stage), task.number).macs)  # longest first
    total = len(jobs)
    for task, (nsr, seconds) in track(pool.map(train_block, tasks), "distil blocks", total, total - len(todo)):
        stage = space.stage(task.stage)
        graph = space.block_graph(stage, task.number)
        library.journal.append(
            {
                "stage": stage.name,
                "block": stage.label(task.number),
                "layers_hash": layers_hash(graph),
                "status": "trained" if np.isfinite(nsr) else "diverged",
                "nsr": f"{nsr:.9g}",
                "train_s": f"{seconds:.2f}",
            }
        )
    shutil.rmtree(maps)
    return library


def nsr(output: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    """Return the noise-to-signal power ratio (paper, equation 1), a scalar, lower is better.

    The mean over channels of the squared error, itself a mean over images and positions, divided by the channel's variance in the
    teacher's output. output, target: [n, channels, height, width]; variance: [channels].
    """
    return ((output - target).square().mean((0, 2, 3)) / variance).mean()


def channel_variance(target: Tensor) -> Tensor:
    """Return the variance of each channel of the teacher's output, [channels]; a constant channel counts with 1e-6."""
    return target.transpose(0, 1).flatten(1).var(1, correction=0).clamp_min(1e-6)


def train_block(task: BlockTask) -> tuple[float, float]:
    """Train one block, save its weights, and return its NSR on the held-out images and the seconds it took."""
    space = load_space(task.space)
    stage = space.stage(task.stage)
    graph = space.block_graph(stage, task.number)
    place = [s.name for s in space.stages].index(stage.name)
    x, y = (_map(task.maps, "train", place + side) for side in (0, 1))
    held_x, held_y = (_map(task.maps, "held_out", place + side) for side in (0, 1))
    started = time.perf_counter()
    seed = (task.seed << 32) ^ int(layers_hash(graph)[:8], 16)
    block = to_torch(graph, seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    variance = channel_variance(y)
    train(block, len(x), task.fit, seed, lambda _, indices: nsr(block(x[indices]), y[indices], variance))
    quality = float(nsr(outputs(block, held_x), held_y, channel_variance(held_y)))
    if np.isfinite(quality):
        save_weights(block, Path(task.weights))
    return quality, time.perf_counter() - started


def save_maps(space: Space, teacher: GraphModule, data: Dataset, images: int, *, seed: int, folder: Path) -> None:
    """Write the teacher's feature maps at every border between stages, computed once: `train-0.npy` is stage 1's input."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.train), generator=generator)[: images or len(data.train)]
    train_pixels = augmented(data.train.pixels[chosen], data.augmentation, generator)
    folder.mkdir(parents=True, exist_ok=True)
    for part, pixels in (("train", train_pixels), ("held_out", data.held_out.pixels)):
        for place, maps in enumerate(border_maps(space, teacher, pixels)):
            np.save(folder / f"{part}-{place}.npy", maps.permute(0, 2, 3, 1).numpy())  # channels last, as trained


def border_maps(space: Space, teacher: GraphModule, pixels: Tensor) -> list[Tensor]:
    """Return the teacher's output before the first stage, the images where nothing stands there, and after each stage.

    They are [stages + 1][n, channels, height, width].
    """
    last = _last_layers(space, teacher)
    kept: dict[str, list[Tensor]] = {name: [] for name in last}
    hooks = [
        teacher.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: kept[name].append(out.clone()))
        for name in last
    ]
    try:
        outputs(teacher, pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return [*([] if space.before else [pixels]), *(torch.cat(kept[name]) for name in last)]


def _last_layers(space: Space, teacher: GraphModule) -> list[str]:
    """Return the name of the last layer of the part before the first stage, if there is one, and of each stage."""
    names = [*(name for name, _ in space.before[-1:]), *(stage.name for stage in space.stages)]
    return [[layer.name for layer in teacher.graph.layers if layer.name.startswith(f"{n}.")][-1] for n in names]


def _map(folder: str, part: str, place: int) -> Tensor:
    """Return one border's maps from a memory-mapped file, [n, channels, height, width], channels last in memory."""
    return torch.from_numpy(np.load(Path(folder) / f"{part}-{place}.npy", mmap_mode="c")).permute(0, 3, 1, 2)
