"""The training images of blocks, sampled and augmented once for all blocks: in memory, in one file, or in the user's folder."""

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
    """Some images of the train set, each with its sampled augmentation.

    Args:
        images: The train set.
        indices: Which of its images, int64 [n].
        params: The sampled augmentation of each of the n images.
    """

    images: ImageSet
    indices: Tensor
    params: AugmentationParams

    def __len__(self) -> int:
        return len(self.indices)

    def __call__(self, indices: Tensor) -> Tensor:
        """Return the augmented images at int64 [k] indices, equal in every call; float32 [k, channels, height, width]."""
        return self.params.apply(self.images.take(self.indices[indices]), indices)


def split_chunks(count: int) -> tuple[Tensor, ...]:
    """Return the indices of `count` images, split into chunks."""
    return torch.split(torch.arange(count), CHUNK)


def save_augmented_images(source: AugmentedImages, folder: Path) -> None:
    """Save the augmented images, or only their places and augmentations if they are in a folder that is too large for memory."""
    images = source.images
    if isinstance(images, FolderImages):
        np.save(folder / "source-numbers.npy", images.indices[source.indices].numpy())
        for name in PARAM_NAMES:
            values = getattr(source.params, name)
            if values is not None:
                np.save(folder / f"source-{name}.npy", values.numpy())
        write_toml(folder / "source.toml", {"folder": str(Path(images.folder).resolve()), "crop": source.params.crop})
        return
    _, channels, height, width = source(torch.arange(1)).shape
    shape = (len(source), height, width, channels)
    file = np.lib.format.open_memmap(folder / "train-images.npy", "w+", np.float32, shape)
    for indices in split_chunks(len(source)):
        file[indices.numpy()] = source(indices).permute(0, 2, 3, 1).numpy()
    file.flush()


def load_augmented_images(folder: Path, space: Space) -> tuple[PixelLoader, int]:
    """Load what `save_augmented_images` saved.

    Args:
        folder: The folder that it was saved in.
        space: The search space that gives the size of the images.

    Returns:
        (a function from int64 [k] indices to float32 [k, channels, height, width], the number of images).

    Raises:
        FileFormatError: When the user's folder of images has changed.
    """
    path = folder / "train-images.npy"
    if path.exists():
        pixels = torch.from_numpy(np.load(path, mmap_mode="c")).permute(0, 3, 1, 2)
        return pixels.__getitem__, len(pixels)
    from donna_hw.training.data.image_folder import open_image_folders

    settings = read_toml(folder / "source.toml")
    dataset, _ = open_image_folders(settings["folder"], space)
    indices = torch.from_numpy(np.load(folder / "source-numbers.npy"))
    if int(indices.max()) >= len(dataset):
        raise FileFormatError(
            f"{settings['folder']}: only {len(dataset)} images are left of those that the run began with",
            hint="restore the removed images",
        )
    files = {name: folder / f"source-{name}.npy" for name in PARAM_NAMES}
    tensors = {name: torch.from_numpy(np.load(file)) if file.exists() else None for name, file in files.items()}
    images = FolderImages(settings["folder"], dataset, indices, tuple(space.input_shape))
    params = AugmentationParams(settings["crop"], **tensors)
    return AugmentedImages(images, torch.arange(len(indices)), params), len(indices)
