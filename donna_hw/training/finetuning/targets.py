"""What whole networks learn from: augmented images, labels and the teacher's logits, prepared once for all or made epoch by epoch."""

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

Lesson = tuple[Tensor, Tensor, Tensor | None]  # an epoch's images, labels, and the teacher's logits if they are needed
Lessons = Callable[[int], Lesson]  # epoch -> lesson


def save_distill_batches(
    teacher: GraphModule, data: Dataset, epochs: int, *, images: int = 0, seed: int = 0, folder: Path
) -> None:
    """Write what `load_distill_batches` reads: each epoch's augmented images, labels and the teacher's logits; images 0: all of them.

    Also the images that accuracies are of: test and held-out ones.
    """
    for epoch in range(epochs):
        chosen, generator = _sample_images(data.train, images, seed, epoch)
        pixels = augment(chosen.pixels, data.augmentation, generator)
        _save(folder, f"epoch{epoch}", Images(pixels, chosen.labels))
        np.save(folder / f"epoch{epoch}-logits.npy", compute_outputs(teacher, pixels).numpy())
    _save(folder, "test", data.test)
    _save(folder, "held_out", data.held_out)


def save_images(data: Dataset, folder: Path) -> None:
    """Write what `stream_distill_batches` reads: the images, each once, so that long trainings need no more of the disk than short ones."""
    _save(folder, "train", data.train)
    _save(folder, "test", data.test)
    _save(folder, "held_out", data.held_out)


def load_distill_batches(folder: Path) -> Lessons:
    """Return the lessons that `save_distill_batches` wrote, as memory maps that all processes share."""

    @lru_cache(maxsize=1)
    def lesson(epoch: int) -> Lesson:
        found = read_images(folder, f"epoch{epoch}")
        return found.pixels, found.labels, torch.from_numpy(np.load(folder / f"epoch{epoch}-logits.npy"))

    return lesson


def stream_distill_batches(
    folder: Path, augmentation: Augmentation, teacher: GraphModule | None, *, images: int = 0, seed: int = 0
) -> Lessons:
    """Return lessons as `save_distill_batches` would write them, made of `save_images`' images when their epoch comes.

    Without a teacher there are no logits.
    """
    train = read_images(folder, "train")

    @lru_cache(maxsize=1)
    def lesson(epoch: int) -> Lesson:
        chosen, generator = _sample_images(train, images, seed, epoch)
        pixels = augment(chosen.pixels.contiguous(), augmentation, generator)
        logits = None if teacher is None else compute_outputs(teacher, pixels)
        return pixels.contiguous(memory_format=torch.channels_last), chosen.labels, logits

    return lesson


def read_images(folder: Path, name: str) -> Images:
    """Return one part, as a memory map, channels last."""
    pixels = torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c")).permute(0, 3, 1, 2)
    return Images(pixels, torch.from_numpy(np.load(folder / f"{name}-labels.npy")))


def _sample_images(train: ImageSet, images: int, seed: int, epoch: int) -> tuple[Images, torch.Generator]:
    """Return an epoch's images in its random order, and the generator that augments them."""
    generator = torch.Generator().manual_seed((seed << 16) + epoch)
    numbers = torch.randperm(len(train), generator=generator)[: min(images or len(train), len(train))]
    return Images(train.take(numbers), train.labels[numbers]), generator


def _save(folder: Path, name: str, images: ImageSet) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", images.pixels.permute(0, 2, 3, 1).numpy())
    np.save(folder / f"{name}-labels.npy", images.labels.numpy())
