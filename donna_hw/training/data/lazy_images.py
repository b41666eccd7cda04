"""FolderImages: images of a folder that are decoded on demand, since all of them might not fit in memory."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from donna_hw._core.progress import track
from donna_hw.errors import ConfigError

GIB = 2**30
CHUNK = 500  # images between two updates of the progress bar


@dataclass(frozen=True)
class FolderImages:
    """Images of one part of a user's folder.

    Args:
        folder: The user's folder.
        dataset: torchvision's ImageFolder of the part.
        indices: Which of its images, int64 [n].
        shape: (channels, height, width) of a decoded image.
    """

    folder: str
    dataset: Any
    indices: Tensor
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def labels(self) -> Tensor:
        """The classes, int64 [n]."""
        return torch.tensor(self.dataset.targets)[self.indices]

    @property
    def pixels(self) -> Tensor:
        """All images, decoded, float32 [n, channels, height, width]; raises `ConfigError` when they do not fit in memory."""
        validate_fits_in_memory(self.folder, len(self), self.shape)
        pixels = torch.empty(len(self), *self.shape)
        chunks = torch.split(torch.arange(len(self)), CHUNK)
        for indices in track(chunks, f"decode {Path(self.dataset.root).name}", len(chunks)):
            pixels[indices] = self.take(indices)
        return pixels

    def take(self, indices: Tensor) -> Tensor:
        """Return the images at int64 [k] indices, decoded on all cores; float32 [k, channels, height, width]."""
        pixels = torch.empty(len(indices), *self.shape)

        def decode(position: int, number: int) -> None:
            pixels[position] = self.dataset[number][0]

        with ThreadPoolExecutor() as threads:  # Pillow decodes without Python's lock
            list(threads.map(decode, range(len(indices)), self.indices[indices].tolist()))
        return pixels


def fits_in_memory(images: int, shape: tuple[int, ...]) -> bool:
    """Return whether this number of decoded images fills no more than half of the memory that is available now.

    The limit is half, since splitting off the held-out part copies the images.
    """
    return bool(_decoded_bytes(images, shape) <= psutil.virtual_memory().available / 2)


def validate_fits_in_memory(folder: str, images: int, shape: tuple[int, ...]) -> None:
    """Raise `ConfigError` when this number of decoded images does not fit in memory, as `fits_in_memory` decides."""
    if not fits_in_memory(images, shape):
        limit = psutil.virtual_memory().available / 2
        raise ConfigError(
            f"the decoded images of {folder} need {_decoded_bytes(images, shape) / GIB:.1f} GiB ({images} images of {shape}), more than "
            f"half of the available memory, {limit / GIB:.1f} GiB, from which training by Adam reads them",
            hint='use fewer images, a smaller resolution (space = NAME@<n>px), or method = "paper", which reads them from the disk',
        )


def _decoded_bytes(images: int, shape: tuple[int, ...]) -> int:
    return images * math.prod(shape) * 4
