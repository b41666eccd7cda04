"""The images that blocks learn from: drawn and augmented once for all blocks, in memory, in one file, or in the user's own folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from donna_hw._core.toml_files import read_toml, write_toml
from donna_hw.errors import FileFormatError
from donna_hw.spaces.space import Space
from donna_hw.training.data.dataset import AugmentationParams, ImageSet
from donna_hw.training.data.lazy_images import FolderImages

PixelLoader = Callable[[Tensor], Tensor]  # indices of images -> float32 [n, channels, height, width]
CHUNK = 500  # images at a time where all of them need not be in memory
PARAM_NAMES = ("mirror", "top", "left")


@dataclass(frozen=True)
class AugmentedImages:
    """chosen: the numbers of the images in the train set, int64 [n]; draws: what chance did with each of them."""

    images: ImageSet
    indices: Tensor
    params: AugmentationParams

    def __len__(self) -> int:
        return len(self.indices)

    def __call__(self, indices: Tensor) -> Tensor:
        """Return some of the chosen images, augmented; the same each time."""
        return self.params.apply(self.images.take(self.indices[indices]), indices)


def split_chunks(count: int) -> tuple[Tensor, ...]:
    """Return the numbers of so many images, a chunk at a time."""
    return torch.split(torch.arange(count), CHUNK)


def save_augmented_images(source: AugmentedImages, folder: Path) -> None:
    """Write what `load_augmented_images` reads: the augmented images, or where they lie if that is a folder too large for memory."""
    images = source.images
    if isinstance(images, FolderImages):
        np.save(folder / "source-numbers.npy", images.indices[source.indices].numpy())
        for name in PARAM_NAMES:
            values = getattr(source.params, name)
            if values is not None:
                np.save(folder / f"source-{name}.npy", values.numpy())
        write_toml(folder / "source.toml", {"folder": str(Path(images.folder).resolve()), "crop": source.params.crop})
        return
    first = source(torch.arange(1))
    _, channels, height, width = first.shape
    shape = (len(source), height, width, channels)
    kept = np.lib.format.open_memmap(folder / "train-images.npy", "w+", np.float32, shape)
    for indices in split_chunks(len(source)):
        kept[indices.numpy()] = source(indices).permute(0, 2, 3, 1).numpy()
    kept.flush()


def load_augmented_images(folder: Path, space: Space) -> tuple[PixelLoader, int]:
    """Return the images that `save_augmented_images` kept, and how many there are; raises `FileFormatError` when their folder has changed."""
    kept = folder / "train-images.npy"
    if kept.exists():
        pixels = torch.from_numpy(np.load(kept, mmap_mode="c")).permute(0, 3, 1, 2)
        return pixels.__getitem__, len(pixels)
    from donna_hw.training.data.image_folder import open_image_folders

    settings = read_toml(folder / "source.toml")
    part, _ = open_image_folders(settings["folder"], space)
    numbers = torch.from_numpy(np.load(folder / "source-numbers.npy"))
    if int(numbers.max()) >= len(part):
        raise FileFormatError(
            f"{settings['folder']} must hold the images that the run began with", got=f"{len(part)} images"
        )
    files = {name: folder / f"source-{name}.npy" for name in PARAM_NAMES}
    draws = {name: torch.from_numpy(np.load(file)) if file.exists() else None for name, file in files.items()}
    images = FolderImages(settings["folder"], part, numbers, tuple(space.input_shape))
    return AugmentedImages(images, torch.arange(len(numbers)), AugmentationParams(settings["crop"], **draws)), len(
        numbers
    )
