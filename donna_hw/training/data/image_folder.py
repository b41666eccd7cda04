"""A folder of images, as ImageNet's usually lies: `train/` and `val/` (or `test/`), in each a folder of images for every class.

It may lie in a zip file, `data.folder = "images.zip"`, and is then read from there.

What it needs is torchvision, from the extra `timm`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import torch

from donna_hw._core import torchvision_compat
from donna_hw._core.imagenet import IMAGENET_MEAN, IMAGENET_STD
from donna_hw.errors import ConfigError, DonnaError, FileFormatError
from donna_hw.spaces.space import Space
from donna_hw.training.data.dataset import Dataset, Images, split_images, split_indices
from donna_hw.training.data.lazy_images import FolderImages, fits_in_memory, validate_fits_in_memory

CROP_RATIO = 0.875  # of the shorter side, as usual for ImageNet


def open_image_folders(folder: str, space: Space) -> tuple[Any, Any]:
    """Return torchvision's ImageFolder of `train/` and of `val/`, whose images are cut for evaluation and fit the space.

    Raises `UnavailableError` without torchvision, `FileFormatError` when a part is missing or the parts have other classes, `ConfigError` when
    the space's images have not 3 channels or its classifier has other classes.
    """
    torchvision_compat.require_torchvision("images from a folder")
    channels = space.input_shape[0]
    if channels != 3:
        raise ConfigError(f"images from a folder have 3 channels; those of space {space.name}", got=channels)
    if not folder:
        raise ConfigError(
            "images from a folder need data.folder", hint="set it to the folder that holds train/ and val/"
        )
    train, val = (_open_split(path, create_eval_transform(space.input_shape)) for path in _split_folders(Path(folder)))
    if train.classes != val.classes:
        one = sorted(set(train.classes) ^ set(val.classes))[0]
        raise FileFormatError(
            f"{folder}: train/ and {Path(val.root).name}/ must have the same classes",
            got=f"{one} in one of them only",
        )
    classes = space.network_graph(space.reference).output_shape[0]
    if classes != len(train.classes):
        name = re.sub(r"@\d+classes$", "", space.load_name or space.name)
        raise ConfigError(
            f"the classifier of {space.name} must have as many classes as {folder}/train has folders, {len(train.classes)}",
            got=classes,
            hint=f'space = "{name}@{len(train.classes)}classes"',
        )
    return train, val


def create_eval_transform(shape: tuple[int, ...]) -> Callable[[Any], torch.Tensor]:
    """Return what an image goes through to be classified: shorter side resized, centre cut out, channels normalised; float32 `shape`.

    An image that has the wanted height and width already is taken whole.
    """
    from torchvision import transforms

    steps = [
        ResizeCenterCrop(shape[-2], shape[-1]),
        transforms.ToTensor(),
        transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ]
    return transforms.Compose(steps)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class ResizeCenterCrop:
    """The middle of an image: `CROP_RATIO` of its shorter side, height x width pixels; a picklable transform."""

    height: int
    width: int

    def __call__(self, image: Any) -> Any:
        """Return a PIL image of the wanted size."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as t

        if image.size == (self.width, self.height):
            return image
        shorter = math.floor(max(self.height, self.width) / CROP_RATIO)
        return t.center_crop(t.resize(image, shorter, InterpolationMode.BICUBIC), [self.height, self.width])


def validate_dataset_size(folder: str, space: Space) -> None:
    """Raise `ConfigError` when all images, decoded, would fill more than half of the memory that is available now."""
    validate_fits_in_memory(folder, sum(len(part) for part in open_image_folders(folder, space)), space.input_shape)


def load_image_folder(folder: str, held_out: int, seed: int, space: Space) -> Dataset:
    """Return `train/` less `held_out` by seed, and `val/` to test; raises as `open_image_folders`.

    All images are in memory where they fit (`on_disk.fit`), else only those held out.
    """
    shape = tuple(space.input_shape)
    everything, test = (
        FolderImages(folder, part, torch.arange(len(part)), shape) for part in open_image_folders(folder, space)
    )
    source = f"images of {folder}"
    if fits_in_memory(len(everything) + len(test), shape):
        train, held = split_images(Images(everything.pixels, everything.labels), held_out, seed)
        return Dataset("image_folder", train, held, Images(test.pixels, test.labels), source)
    rest, apart = (replace(everything, indices=numbers) for numbers in split_indices(len(everything), held_out, seed))
    return Dataset("image_folder", rest, Images(apart.pixels, apart.labels), test, source)


def read_image(path: str) -> Any:
    """Return an image file as a PIL image of three channels; raises `FileFormatError` when it is torn or none."""
    from PIL import Image

    try:
        with open_image(path) as file:
            return Image.open(file).convert("RGB")
    except DonnaError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileFormatError(f"{path} must be an image", got=str(error), hint="restore or remove it") from None


def open_image(path: str) -> IO[bytes]:
    """Open an image file for reading, on the disk or in a zip."""
    if ".zip/" in path.lower() and not Path(path).exists():
        from donna_hw.training.data.image_zip import open_member

        return open_member(path)
    return Path(path).open("rb")


def _split_folders(folder: Path) -> tuple[Path, Path]:
    """Return where the images to train and to test on lie; `test/` counts where there is no `val/`."""
    if folder.is_file():
        from donna_hw.training.data.image_zip import list_folders

        there = list_folders(folder)
    else:
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return folder / "train", folder / ("test" if "test" in there and "val" not in there else "val")


def _open_split(folder: Path, transform: Callable[[Any], torch.Tensor]) -> Any:
    try:
        if folder.parent.is_file():
            from donna_hw.training.data.image_zip import ZippedImages

            return ZippedImages(str(folder), transform, loader=read_image)
        from torchvision.datasets import ImageFolder

        return ImageFolder(str(folder), transform, loader=read_image)
    except FileNotFoundError as error:  # no such folder, or a class without images
        raise FileFormatError(
            f"{folder} must hold a folder of images for every class",
            got=str(error),
            hint="data.folder must hold train/ and val/",
        ) from None
