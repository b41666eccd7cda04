"""Images with labels in three disjoint parts, and their augmentation."""

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
        """All images at once, float32 [n, channels, height, width], normalized."""

    @property
    def labels(self) -> Tensor:
        """The classes, int64 [n]."""

    def __len__(self) -> int: ...

    def take(self, indices: Tensor) -> Tensor:
        """Return the pixels of the images at int64 [k] indices, float32 [k, channels, height, width]."""


@dataclass(frozen=True)
class Images:
    """Images in memory.

    Args:
        pixels: Float32 [n, channels, height, width], normalized.
        labels: The classes, int64 [n].
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> Tensor:
        """Return the pixels of the images at int64 [k] indices."""
        return self.pixels[indices]


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of training images: a shift of up to `crop` pixels each way, and mirroring of half of the images."""

    crop: int = 0
    flip: bool = False


@dataclass(frozen=True)
class Dataset:
    """Images in three disjoint parts.

    Args:
        name: The dataset's name.
        train: The images to train on.
        held_out: Images left out of train, for block qualities.
        test: The images for accuracies.
        source: Where the images come from, in words.
        augmentation: The augmentation of training images.
    """

    name: str
    train: ImageSet
    held_out: Images
    test: ImageSet
    source: str
    augmentation: Augmentation = Augmentation()


def split_indices(images: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Split images at random into those to train on and those held out.

    Args:
        images: Number of all images.
        count: Number of held-out images.
        seed: Determines the split.

    Returns:
        (indices of the images to train on, indices of the held-out images), int64 each.

    Raises:
        ConfigError: When `count` is not in 1..images - 1.
    """
    if not 0 < count < images:
        raise ConfigError(f"the number of held-out images must be in 1..{images - 1} for {images} images", got=count)
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    return order[count:], order[:count]


def split_images(images: Images, count: int, seed: int) -> tuple[Images, Images]:
    """Return (the images to train on, `count` held-out images), split at random by `seed` as `split_indices` does."""
    rest, held = split_indices(len(images), count, seed)
    return Images(images.pixels[rest], images.labels[rest]), Images(images.pixels[held], images.labels[held])


def normalize(pixels: Tensor, mean: float, std: float) -> Tensor:
    """Return gray pixels [n, height, width] as float32 [n, 1, height, width], less the mean and divided by the standard deviation."""
    return ((pixels.float() - mean) / std).unsqueeze(1).contiguous()


@dataclass(frozen=True)
class AugmentationParams:
    """The sampled augmentation of each of n images; None for a step that the augmentation does not have.

    Args:
        crop: Pixels by which an image is padded each way before it is cropped.
        mirror: Whether each image is mirrored, bool [n].
        top: First row of each crop in the padded image, int64 [n].
        left: First column of each crop in the padded image, int64 [n].
    """

    crop: int = 0
    mirror: Tensor | None = None
    top: Tensor | None = None
    left: Tensor | None = None

    def apply(self, pixels: Tensor, indices: Tensor) -> Tensor:
        """Return images augmented; a shift repeats the border, which is background.

        Args:
            pixels: Float32 [k, channels, height, width].
            indices: Which of the n images these are, int64 [k].
        """
        _, depth, height, width = pixels.shape
        if self.mirror is not None:
            pixels = torch.where(self.mirror[indices][:, None, None, None], pixels.flip(3), pixels)
        if self.top is not None and self.left is not None:
            padded = f.pad(pixels, (self.crop,) * 4, mode="replicate")
            rows = (self.top[indices][:, None] + torch.arange(height))[:, None, :, None]
            columns = (self.left[indices][:, None] + torch.arange(width))[:, None, None, :]
            channels = torch.arange(depth)[None, :, None, None]
            pixels = padded[torch.arange(len(pixels))[:, None, None, None], channels, rows, columns]
        return pixels


def sample_augmentation(count: int, augmentation: Augmentation, generator: torch.Generator) -> AugmentationParams:
    """Sample the augmentation of `count` images."""
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
