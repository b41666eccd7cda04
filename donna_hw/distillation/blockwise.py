"""Blockwise knowledge distillation (BKD, paper A.1): every block alone learns the teacher's output from the teacher's input."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from donna_hw.blocks.layers import layers_hash
from donna_hw.blocks.torch_module import GraphModule
from donna_hw.data.images import Dataset, augmented
from donna_hw.distillation.features import GIB, map_bytes, save_map
from donna_hw.distillation.pool import Workers
from donna_hw.distillation.quality import Quality, channel_variance
from donna_hw.distillation.together import BlockTask, Group, train_group
from donna_hw.distillation.training import Fit, outputs
from donna_hw.distillation.weights import save_weights
from donna_hw.libraries import BlockLibrary
from donna_hw.progress import track
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Stage


@dataclass(frozen=True)
class Bkd:
    """How blocks are trained. images: of one epoch (0 for all), drawn and augmented once for all blocks and epochs.

    cache_bytes: what the teacher's maps of these images may take on the disk; beyond it every worker computes them anew, batch by batch.
    devices: torch devices that groups of `together` blocks take turns on. teacher_device: of this process, computes the maps.
    """

    fit: Fit
    images: int = 0
    cache_bytes: float = math.inf
    devices: tuple[str, ...] = ("cpu",)
    together: int = 1
    teacher_device: str = "cpu"


def distill(
    space: Space, teacher: GraphModule, data: Dataset, bkd: Bkd, *, seed: int, folder: Path, pool: Workers
) -> BlockLibrary:
    """Train every different block of the space for the teacher and return the library in `folder`.

    Blocks that are done are not trained again. A block's result depends on `seed`, its layers and the kind of device only, not on the
    order of the work or its group.
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
    need = map_bytes(space, bkd.images or len(data.train))
    if need > bkd.cache_bytes:
        print(
            f"the teacher's maps would take {need / GIB:.1f} GiB, more than distill.cache_gib = {bkd.cache_bytes / GIB:.1f}: "
            "they are computed again for every block",
            file=sys.stderr,
        )
    save_maps(
        space,
        teacher.to(bkd.teacher_device),
        data,
        bkd.images,
        seed=seed,
        folder=maps,
        cached=need <= bkd.cache_bytes,
    )
    teacher.to("cpu")
    tasks = [
        BlockTask(
            space.address or space.name, stage.name, m, str(maps), bkd.fit, seed, str(library.weights_path(stage, m))
        )
        for stage, m in todo.values()
    ]
    tasks.sort(key=lambda task: -space.block_graph(space.stage(task.stage), task.number).macs)  # longest first
    total = len(jobs)
    for task, (quality, seconds) in track(_trained(pool, tasks, bkd), "distil blocks", total, total - len(todo)):
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


def _trained(pool: Workers, tasks: Sequence[BlockTask], bkd: Bkd) -> Iterator[tuple[BlockTask, tuple[Quality, float]]]:
    """Yield each task with its result, as groups of them finish."""
    for group, results in pool.map(train_group, groups(tasks, bkd.together, bkd.devices)):
        yield from zip(group.tasks, results, strict=True)


def groups(tasks: Sequence[BlockTask], together: int, devices: Sequence[str]) -> list[Group]:
    """Return tasks in groups of one stage and at most `together` blocks, in their order, the devices in turn."""
    stages: dict[str, list[BlockTask]] = {}
    for task in tasks:
        stages.setdefault(task.stage, []).append(task)
    parts = [tuple(same[i : i + together]) for same in stages.values() for i in range(0, len(same), together)]
    parts.sort(key=lambda part: tasks.index(part[0]))
    return [Group(part, device) for part, device in zip(parts, cycle(devices), strict=False)]


def save_maps(
    space: Space, teacher: GraphModule, data: Dataset, images: int, *, seed: int, folder: Path, cached: bool = True
) -> None:
    """Write what blocks learn from and are judged by, computed once: the teacher's feature maps at every border between stages
    (`train-0.npy` is stage 1's input), its weights, and the held-out images' labels and its answers to them.

    Not cached: the augmented images stand for the maps of the train set (`train-images.npy`), and the maps pass by in chunks.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.train), generator=generator)[: images or len(data.train)]
    train_pixels = augmented(data.train.pixels[chosen], data.augmentation, generator)
    shutil.rmtree(folder, ignore_errors=True)  # maps of another budget would be taken for these
    folder.mkdir(parents=True)
    if cached:
        for place, maps in enumerate(border_maps(space, teacher, train_pixels)):
            save_map(folder, "train", place, maps)
            np.save(folder / f"variance-{place}.npy", channel_variance(maps).numpy())
    else:
        save_map(folder, "train", "images", train_pixels)
        for place, variance in enumerate(_variances(space, teacher, train_pixels)):
            np.save(folder / f"variance-{place}.npy", variance.numpy())
    for place, maps in enumerate(border_maps(space, teacher, data.held_out.pixels)):
        save_map(folder, "held_out", place, maps)
    np.save(folder / "held_out-labels.npy", data.held_out.labels.numpy())
    np.save(folder / "held_out-logits.npy", outputs(teacher, data.held_out.pixels).cpu().numpy())
    save_weights(teacher, folder / "teacher.safetensors")


def _variances(space: Space, teacher: GraphModule, pixels: Tensor, chunk: int = 500) -> list[Tensor]:
    """Return the channel variance of every border's maps as `channel_variance` of the whole would, holding one chunk of maps."""
    means: list[list[Tensor]] = []
    squares: list[list[Tensor]] = []
    sizes = []
    for part in torch.split(pixels, chunk):
        maps = [m.double() for m in border_maps(space, teacher, part)]
        means.append([m.mean((0, 2, 3)) for m in maps])
        squares.append([m.var((0, 2, 3), correction=0) for m in maps])
        sizes.append(len(part))
    share = torch.tensor(sizes, dtype=torch.float64)[:, None] / len(pixels)
    found = []
    for mean, within in zip(zip(*means, strict=True), zip(*squares, strict=True), strict=True):
        middle = (share * torch.stack(mean)).sum(0)
        total = (share * (torch.stack(within) + (torch.stack(mean) - middle).square())).sum(0)
        found.append(total.float().clamp_min(1e-6))
    return found


def border_maps(space: Space, teacher: GraphModule, pixels: Tensor) -> list[Tensor]:
    """Return the teacher's output before the first stage, the images where nothing stands there, and after each stage.

    They are [stages + 1][n, channels, height, width].
    """
    last = _last_layers(space, teacher)
    kept: dict[str, list[Tensor]] = {name: [] for name in last}
    hooks = [
        teacher.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: kept[name].append(out.to("cpu", copy=True))
        )
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
