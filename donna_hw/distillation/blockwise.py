"""Blockwise knowledge distillation (BKD, paper A.1): every block alone learns the teacher's output from the teacher's input."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from donna_hw.blocks.layers import layers_hash
from donna_hw.blocks.torch_module import GraphModule, to_torch
from donna_hw.data.images import Dataset, augmented
from donna_hw.distillation.pool import Workers
from donna_hw.distillation.quality import Quality, channel_variance, nsr, quality_of, rest_of_teacher
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
    space: Space, teacher: GraphModule, data: Dataset, bkd: Bkd, *, seed: int, folder: Path, pool: Workers
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
    for task, (quality, seconds) in track(pool.map(train_block, tasks), "distil blocks", total, total - len(todo)):
        stage = space.stage(task.stage)
        graph = space.block_graph(stage, task.number)
        library.journal.append(
            {
                "stage": stage.name,
                "block": stage.label(task.number),
                "layers_hash": layers_hash(graph),
                "status": "trained" if np.isfinite(quality.nsr) else "diverged",
                **{name: f"{value:.9g}" for name, value in asdict(quality).items()},
                "train_s": f"{seconds:.2f}",
            }
        )
    shutil.rmtree(maps)
    return library


def train_block(task: BlockTask) -> tuple[Quality, float]:
    """Train one block, save its weights, and return its quality on the held-out images and the seconds it took."""
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
    # all blocks see the images in one order, so that they differ by their layers alone, and can be trained together
    train(block, len(x), task.fit, task.seed, lambda _, indices: nsr(block(x[indices]), y[indices], variance))
    rest = rest_of_teacher(space, stage, Path(task.maps) / "teacher.safetensors")
    labels, logits = (
        torch.from_numpy(np.load(Path(task.maps) / f"held_out-{name}.npy")) for name in ("labels", "logits")
    )
    quality = quality_of(block, held_x, held_y, rest, (labels, logits))
    if np.isfinite(quality.nsr):
        save_weights(block, Path(task.weights))
    return quality, time.perf_counter() - started


def save_maps(space: Space, teacher: GraphModule, data: Dataset, images: int, *, seed: int, folder: Path) -> None:
    """Write what blocks learn from and are judged by, computed once: the teacher's feature maps at every border between stages
    (`train-0.npy` is stage 1's input), its weights, and the held-out images' labels and its answers to them.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.train), generator=generator)[: images or len(data.train)]
    train_pixels = augmented(data.train.pixels[chosen], data.augmentation, generator)
    folder.mkdir(parents=True, exist_ok=True)
    for part, pixels in (("train", train_pixels), ("held_out", data.held_out.pixels)):
        for place, maps in enumerate(border_maps(space, teacher, pixels)):
            np.save(folder / f"{part}-{place}.npy", maps.permute(0, 2, 3, 1).numpy())  # channels last, as trained
    np.save(folder / "held_out-labels.npy", data.held_out.labels.numpy())
    np.save(folder / "held_out-logits.npy", outputs(teacher, data.held_out.pixels).numpy())
    save_weights(teacher, folder / "teacher.safetensors")


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
