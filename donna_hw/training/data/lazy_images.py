"""FolderImages: images of a folder that are decoded when they are asked for, where all of them would not fit in memory."""

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
CHUNK = 500  # images between two looks at the progress


@dataclass(frozen=True)
class FolderImages:
    """Images of one part of a user's folder. part: torchvision's ImageFolder; numbers: which of its images, int64 [n]."""

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
        """All images, decoded, float32 [n, channels, height, width]; raises `ConfigError` where memory cannot hold them."""
        validate_fits_in_memory(self.folder, len(self), self.shape)
        found = torch.empty(len(self), *self.shape)
        parts = torch.split(torch.arange(len(self)), CHUNK)
        for numbers in track(parts, f"decode {Path(self.dataset.root).name}", len(parts)):
            found[numbers] = self.take(numbers)
        return found

    def take(self, numbers: Tensor) -> Tensor:
        """Return some of the images, decoded by all cores; float32 [n, channels, height, width]."""
        found = torch.empty(len(numbers), *self.shape)

        def decode(place: int, number: int) -> None:
            found[place] = self.dataset[number][0]

        with ThreadPoolExecutor() as threads:  # Pillow decodes without Python's lock
            list(threads.map(decode, range(len(numbers)), self.indices[numbers].tolist()))
        return found


def fits_in_memory(images: int, shape: tuple[int, ...]) -> bool:
    """Return whether so many decoded images fill no more than half of the memory that is available now.

    Half, since splitting off the held-out part copies them.
    """
    return bool(_bytes(images, shape) <= psutil.virtual_memory().available / 2)


def validate_fits_in_memory(folder: str, images: int, shape: tuple[int, ...]) -> None:
    """Raise `ConfigError` when so many decoded images do not `fits_in_memory`."""
    if not fits_in_memory(images, shape):
        limit = psutil.virtual_memory().available / 2
        raise ConfigError(
            f"the decoded images of {folder} must fit in half of the available memory, {limit / GIB:.1f} GiB, since training by Adam "
            "reads them from memory",
            got=f"{_bytes(images, shape) / GIB:.1f} GiB ({images} images of {shape})",
            hint="use fewer images, a smaller resolution (space = NAME@<n>px), or train as the paper does, from the disk",
        )


def _bytes(images: int, shape: tuple[int, ...]) -> int:
    return images * math.prod(shape) * 4
