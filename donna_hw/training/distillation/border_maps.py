"""The teacher's feature maps at every border between stages, by which blocks are trained and evaluated."""

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
    """Save what all blocks are trained and evaluated by.

    These are the teacher's feature maps at every border between stages (`train-0.npy` is the input of stage 1), the variance of their
    channels, the teacher's weights, and the labels and the teacher's logits of the held-out images.

    Args:
        space: The search space.
        teacher: The trained reference network.
        data: The images to train on and those held out.
        images: Number of train images, 0 for all.
        seed: Determines the sampled images and their augmentation.
        folder: The folder to write, which is emptied first.
        cached: Whether to save the maps of the train images. Otherwise the augmented images are saved instead of them, or only their
            places (`save_augmented_images`).
    """
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randperm(len(data.train), generator=generator)[: images or len(data.train)]
    source = AugmentedImages(data.train, indices, sample_augmentation(len(indices), data.augmentation, generator))
    shutil.rmtree(folder, ignore_errors=True)  # maps of another budget would be mistaken for these
    folder.mkdir(parents=True)
    if not cached:
        save_augmented_images(source, folder)
    for border, variance in enumerate(_save_train_maps(space, teacher, source, folder if cached else None)):
        np.save(folder / f"variance-{border}.npy", variance.numpy())
    for border, maps in enumerate(compute_border_maps(space, teacher, data.held_out.pixels)):
        save_map(folder, "held_out", border, maps)
    np.save(folder / "held_out-labels.npy", data.held_out.labels.numpy())
    np.save(folder / "held_out-logits.npy", compute_outputs(teacher, data.held_out.pixels).cpu().numpy())
    save_weights(teacher, folder / "teacher.safetensors")


def _save_train_maps(space: Space, teacher: GraphModule, source: AugmentedImages, folder: Path | None) -> list[Tensor]:
    """Write the teacher's maps of the train images, if there is a folder, and return each border's channel variance.

    Memory holds one chunk of images and maps; the variance is that of all images, as `channel_variance` would compute it.
    """
    moments: list[list[tuple[Tensor, Tensor]]] = []
    files: list[np.memmap] = []
    chunks = split_chunks(len(source))
    for indices in chunks:
        maps = compute_border_maps(space, teacher, source(indices))
        if folder is not None and not files:
            files = [create_map_file(folder, border, len(source), chunk_map) for border, chunk_map in enumerate(maps)]
        for file, chunk_map in zip(files, maps, strict=folder is not None):
            file[indices.numpy()] = channels_last(chunk_map).numpy()
        flat_maps = [flatten_channels(chunk_map.double()) for chunk_map in maps]
        moments.append([(flat.mean(0), flat.var(0, correction=0)) for flat in flat_maps])
    for file in files:
        file.flush()
    share = torch.tensor([len(indices) for indices in chunks], dtype=torch.float64)[:, None] / len(source)
    variances = []
    for border_moments in zip(*moments, strict=True):
        means, within = (torch.stack(values) for values in zip(*border_moments, strict=True))
        mean = (share * means).sum(0)
        variances.append((share * (within + (means - mean).square())).sum(0).float().clamp_min(1e-6))
    return variances


def compute_border_maps(space: Space, teacher: GraphModule, pixels: Tensor) -> list[Tensor]:
    """Return the teacher's feature maps at every border between stages.

    Args:
        space: The search space.
        teacher: The trained reference network.
        pixels: Images, float32 [n, channels, height, width].

    Returns:
        The map before the first stage (the images themselves if no part precedes it) and the map after each stage:
        [stages + 1][n, channels, height, width], or [n, tokens, channels].
    """
    last = _last_layers(space, teacher)
    outputs: dict[str, list[Tensor]] = {name: [] for name in last}
    hooks = [
        teacher.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: outputs[name].append(out.to("cpu", copy=True))
        )
        for name in last
    ]
    try:
        compute_outputs(teacher, pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return [*([] if space.before else [pixels]), *(torch.cat(outputs[name]) for name in last)]


def _last_layers(space: Space, teacher: GraphModule) -> list[str]:
    """Return the last layer's name of the part before the first stage, if there is one, and of each stage."""
    names = [*(name for name, _ in space.before[-1:]), *(stage.name for stage in space.stages)]
    return [[layer.name for layer in teacher.graph.layers if layer.name.startswith(f"{n}.")][-1] for n in names]
