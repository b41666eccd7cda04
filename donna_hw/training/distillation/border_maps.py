"""The teacher's feature maps at every border between stages: what blocks learn from, and what they are judged by."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from donna_hw.graph.torch_module import GraphModule
from donna_hw.spaces.space import Space
from donna_hw.training.checkpoints import save_weights
from donna_hw.training.data.dataset import Dataset, sample_augmentation
from donna_hw.training.distillation.augmented_images import AugmentedImages, save_augmented_images, split_chunks
from donna_hw.training.distillation.block_evaluation import flatten_channels
from donna_hw.training.distillation.teacher_features import channels_last, create_map_file, save_map
from donna_hw.training.loop import compute_outputs


def save_maps(
    space: Space, teacher: GraphModule, data: Dataset, images: int, *, seed: int, folder: Path, cached: bool = True
) -> None:
    """Write what blocks learn from and are judged by, computed once: the teacher's feature maps at every border between stages
    (`train-0.npy` is stage 1's input), its weights, and the held-out images' labels and its answers to them.

    Not cached: the augmented images stand for the maps of the train set, or the folder where they lie (`save_augmented_images`).
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.train), generator=generator)[: images or len(data.train)]
    source = AugmentedImages(data.train, chosen, sample_augmentation(len(chosen), data.augmentation, generator))
    shutil.rmtree(folder, ignore_errors=True)  # maps of another budget would be taken for these
    folder.mkdir(parents=True)
    if not cached:
        save_augmented_images(source, folder)
    for place, variance in enumerate(_save_train_maps(space, teacher, source, folder if cached else None)):
        np.save(folder / f"variance-{place}.npy", variance.numpy())
    for place, maps in enumerate(compute_border_maps(space, teacher, data.held_out.pixels)):
        save_map(folder, "held_out", place, maps)
    np.save(folder / "held_out-labels.npy", data.held_out.labels.numpy())
    np.save(folder / "held_out-logits.npy", compute_outputs(teacher, data.held_out.pixels).cpu().numpy())
    save_weights(teacher, folder / "teacher.safetensors")


def _save_train_maps(space: Space, teacher: GraphModule, source: AugmentedImages, folder: Path | None) -> list[Tensor]:
    """Write the teacher's maps of the images to learn from, if there is a folder, and return each border's channel variance.

    Memory holds one chunk of images and maps; the variance is what `channel_variance` of the whole would be.
    """
    moments: list[list[tuple[Tensor, Tensor]]] = []
    kept: list[np.memmap] = []
    parts = split_chunks(len(source))
    for indices in parts:
        maps = compute_border_maps(space, teacher, source(indices))
        if folder is not None and not kept:
            kept = [create_map_file(folder, place, len(source), each) for place, each in enumerate(maps)]
        for file, each in zip(kept, maps, strict=folder is not None):
            file[indices.numpy()] = channels_last(each).numpy()
        flat = [flatten_channels(each.double()) for each in maps]
        moments.append([(each.mean(0), each.var(0, correction=0)) for each in flat])
    for file in kept:
        file.flush()
    share = torch.tensor([len(part) for part in parts], dtype=torch.float64)[:, None] / len(source)
    found = []
    for border in zip(*moments, strict=True):
        means, within = (torch.stack(each) for each in zip(*border, strict=True))
        middle = (share * means).sum(0)
        found.append((share * (within + (means - middle).square())).sum(0).float().clamp_min(1e-6))
    return found


def compute_border_maps(space: Space, teacher: GraphModule, pixels: Tensor) -> list[Tensor]:
    """Return the teacher's output before the first stage, the images where nothing stands there, and after each stage.

    They are [stages + 1][n, channels, height, width], or [n, tokens, channels].
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
        compute_outputs(teacher, pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return [*([] if space.before else [pixels]), *(torch.cat(kept[name]) for name in last)]


def _last_layers(space: Space, teacher: GraphModule) -> list[str]:
    """Return the name of the last layer of the part before the first stage, if there is one, and of each stage."""
    names = [*(name for name, _ in space.before[-1:]), *(stage.name for stage in space.stages)]
    return [[layer.name for layer in teacher.graph.layers if layer.name.startswith(f"{n}.")][-1] for n in names]
