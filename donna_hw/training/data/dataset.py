"""Images with labels, in three parts that share none, and their augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as f

from donna_hw.errors import ConfigError


class ImageSet(Protocol):
    """Images with labels int64 [n], in memory (`Images`) or on the disk (`FolderImages`)."""

    @property
    def pixels(self) -> Tensor:
        """All images at once, float32 [n, channels, height, width], normalised."""

    @property
    def labels(self) -> Tensor:
        """The classes."""

    def __len__(self) -> int: ...

    def take(self, numbers: Tensor) -> Tensor:
        """Return the pixels of some images, float32 [k, channels, height, width]."""


@dataclass(frozen=True)
class Images:
    """pixels: float32 [n, channels, height, width], normalised; labels: int64 [n]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, numbers: Tensor) -> Tensor:
        """Return the pixels of some images."""
        return self.pixels[numbers]


@dataclass(frozen=True)
class Augmentation:
    """What training images go through: a shift of up to `crop` pixels each way, and a mirroring of half of them."""

    crop: int = 0
    flip: bool = False


@dataclass(frozen=True)
class Dataset:
    """train: what is trained on. held_out: taken out of train, for block qualities. test: for accuracies. source: where it is from."""

    name: str
    train: ImageSet
    held_out: Images
    test: ImageSet
    source: str
    augmentation: Augmentation = Augmentation()


def split_indices(images: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the numbers of (the rest, `count` held out) of so many images, drawn at random by `seed`."""
    if not 0 < count < images:
        raise ConfigError(f"the part held out of {images} images must be 1..{images - 1}", got=count)
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    return order[count:], order[:count]


def split_images(images: Images, count: int, seed: int) -> tuple[Images, Images]:
    """Return (the rest, `count` images drawn at random by `seed`)."""
    rest, held = split_indices(len(images), count, seed)
    return Images(images.pixels[rest], images.labels[rest]), Images(images.pixels[held], images.labels[held])


def normalize(pixels: Tensor, mean: float, std: float) -> Tensor:
    """Return grey pixels [n, height, width] as float32 [n, 1, height, width] with the train set's mean 0 and deviation 1."""
    return ((pixels.float() - mean) / std).unsqueeze(1).contiguous()


@dataclass(frozen=True)
class AugmentationParams:
    """What chance did with each of n images: mirror bool [n]; top, left int64 [n], the corner in the image grown by `crop` each way.

    None where the augmentation has no such step.
    """

    crop: int = 0
    mirror: Tensor | None = None
    top: Tensor | None = None
    left: Tensor | None = None

    def apply(self, pixels: Tensor, numbers: Tensor) -> Tensor:
        """Return the images of these numbers, [k, channels, height, width], augmented; a shift repeats the border, which is background."""
        _, depth, height, width = pixels.shape
        if self.mirror is not None:
            pixels = torch.where(self.mirror[numbers][:, None, None, None], pixels.flip(3), pixels)
        if self.top is not None and self.left is not None:
            padded = f.pad(pixels, (self.crop,) * 4, mode="replicate")
            rows = (self.top[numbers][:, None] + torch.arange(height))[:, None, :, None]
            columns = (self.left[numbers][:, None] + torch.arange(width))[:, None, None, :]
            channels = torch.arange(depth)[None, :, None, None]
            pixels = padded[torch.arange(len(pixels))[:, None, None, None], channels, rows, columns]
        return pixels


def sample_augmentation(count: int, augmentation: Augmentation, generator: torch.Generator) -> AugmentationParams:
    """Return what chance does with so many images."""
    crop, mirror, top, left = augmentation.crop, None, None, None
    if augmentation.flip:
        mirror = torch.rand(count, generator=generator) < 0.5
    if crop:
        top = torch.randint(0, 2 * crop + 1, (count,), generator=generator)
        left = torch.randint(0, 2 * crop + 1, (count,), generator=generator)
    return AugmentationParams(crop, mirror, top, left)


def augment(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Return the images [n, channels, height, width] augmented."""
    return sample_augmentation(len(pixels), augmentation, generator).apply(pixels, torch.arange(len(pixels)))
