"""Images with labels, in three parts that share none, and their augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as f

from donna_hw.errors import BadSetting


@dataclass(frozen=True)
class Images:
    """pixels: float32 [n, channels, height, width], normalised; labels: int64 [n]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Augmentation:
    """What training images go through: a shift of up to `crop` pixels each way, and a mirroring of half of them."""

    crop: int = 0
    flip: bool = False


@dataclass(frozen=True)
class Dataset:
    """train: what is trained on. held_out: taken out of train, for block qualities. test: for accuracies. source: where it is from."""

    name: str
    train: Images
    held_out: Images
    test: Images
    source: str
    augmentation: Augmentation = Augmentation()


def split(images: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the numbers of (the rest, `count` held out) of so many images, drawn at random by `seed`."""
    if not 0 < count < images:
        raise BadSetting(f"the part held out of {images} images must be 1..{images - 1}", found=count)
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    return order[count:], order[:count]


def split_off(images: Images, count: int, seed: int) -> tuple[Images, Images]:
    """Return (the rest, `count` images drawn at random by `seed`)."""
    rest, held = split(len(images), count, seed)
    return Images(images.pixels[rest], images.labels[rest]), Images(images.pixels[held], images.labels[held])


def normalised(pixels: Tensor, mean: float, std: float) -> Tensor:
    """Return grey pixels [n, height, width] as float32 [n, 1, height, width] with the train set's mean 0 and deviation 1."""
    return ((pixels.float() - mean) / std).unsqueeze(1).contiguous()


def augmented(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Return the images [n, channels, height, width] augmented; a shift repeats the border's pixels, which are background."""
    count, _, height, width = pixels.shape
    crop, flip = augmentation.crop, augmentation.flip
    if flip:
        mirror = torch.rand(count, generator=generator) < 0.5
        pixels = torch.where(mirror[:, None, None, None], pixels.flip(3), pixels)
    if crop:
        padded = f.pad(pixels, (crop,) * 4, mode="replicate")
        top = torch.randint(0, 2 * crop + 1, (count,), generator=generator)
        left = torch.randint(0, 2 * crop + 1, (count,), generator=generator)
        rows = (top[:, None] + torch.arange(height))[:, None, :, None]
        columns = (left[:, None] + torch.arange(width))[:, None, None, :]
        channels = torch.arange(pixels.shape[1])[None, :, None, None]
        pixels = padded[torch.arange(count)[:, None, None, None], channels, rows, columns]
    return pixels
