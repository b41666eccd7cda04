"""Distill batches: the augmented images, labels and teacher's logits of each epoch, saved once for all networks or computed on demand."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from donna_hw.graph.torch_module import GraphModule
from donna_hw.training.data.dataset import Augmentation, Dataset, Images, ImageSet, augment
from donna_hw.training.loop import compute_outputs

DistillBatch = tuple[
    Tensor, Tensor, Tensor | None
]  # an epoch's images, labels, and the teacher's logits if they are needed
DistillBatches = Callable[[int], DistillBatch]  # epoch -> its distill batch


def save_distill_batches(
    teacher: GraphModule, data: Dataset, epochs: int, *, images: int = 0, seed: int = 0, folder: Path
) -> None:
    """Save each epoch's augmented images, labels and teacher's logits, and the test and held-out images.

    Args:
        teacher: The trained network that gives the logits.
        data: The images.
        epochs: Number of epochs.
        images: Number of train images of an epoch, 0 for all.
        seed: Determines each epoch's images and their augmentation.
        folder: The folder to write, which `load_distill_batches` and `read_images` read.
    """
    for epoch in range(epochs):
        sampled, generator = _sample_images(data.train, images, seed, epoch)
        pixels = augment(sampled.pixels, data.augmentation, generator)
        _save_images(folder, f"epoch{epoch}", Images(pixels, sampled.labels))
        np.save(folder / f"epoch{epoch}-logits.npy", compute_outputs(teacher, pixels).numpy())
    _save_images(folder, "test", data.test)
    _save_images(folder, "held_out", data.held_out)


def save_images(data: Dataset, folder: Path) -> None:
    """Save each image once for `stream_distill_batches`, so that long trainings need no more disk space than short ones."""
    _save_images(folder, "train", data.train)
    _save_images(folder, "test", data.test)
    _save_images(folder, "held_out", data.held_out)


def load_distill_batches(folder: Path) -> DistillBatches:
    """Return the distill batches that `save_distill_batches` saved, as memory maps that all processes share."""

    @lru_cache(maxsize=1)
    def load_batch(epoch: int) -> DistillBatch:
        images = read_images(folder, f"epoch{epoch}")
        return images.pixels, images.labels, torch.from_numpy(np.load(folder / f"epoch{epoch}-logits.npy"))

    return load_batch


def stream_distill_batches(
    folder: Path, augmentation: Augmentation, teacher: GraphModule | None, *, images: int = 0, seed: int = 0
) -> DistillBatches:
    """Return the distill batches that `save_distill_batches` would save, computed when their epoch begins.

    Args:
        folder: The folder that `save_images` wrote.
        augmentation: The augmentation of train images.
        teacher: The trained network that gives the logits; without it there are none.
        images: Number of train images of an epoch, 0 for all.
        seed: Determines each epoch's images and their augmentation.
    """
    train = read_images(folder, "train")

    @lru_cache(maxsize=1)
    def compute_batch(epoch: int) -> DistillBatch:
        sampled, generator = _sample_images(train, images, seed, epoch)
        pixels = augment(sampled.pixels.contiguous(), augmentation, generator)
        logits = None if teacher is None else compute_outputs(teacher, pixels)
        return pixels.contiguous(memory_format=torch.channels_last), sampled.labels, logits

    return compute_batch


def read_images(folder: Path, name: str) -> Images:
    """Return the saved images `name` (`train`, `test`, `held_out` or `epoch<n>`) as a memory map, channels last in memory."""
    pixels = torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c")).permute(0, 3, 1, 2)
    return Images(pixels, torch.from_numpy(np.load(folder / f"{name}-labels.npy")))


def _sample_images(train: ImageSet, images: int, seed: int, epoch: int) -> tuple[Images, torch.Generator]:
    """Return an epoch's images in its random order, and the generator that augments them."""
    generator = torch.Generator().manual_seed((seed << 16) + epoch)
    indices = torch.randperm(len(train), generator=generator)[: min(images or len(train), len(train))]
    return Images(train.take(indices), train.labels[indices]), generator


def _save_images(folder: Path, name: str, images: ImageSet) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", images.pixels.permute(0, 2, 3, 1).numpy())
    np.save(folder / f"{name}-labels.npy", images.labels.numpy())
