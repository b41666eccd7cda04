"""A folder of images laid out as ImageNet: `train/` and `val/` (or `test/`), each with a folder of images for every class.

It may be inside a zip file, `data.folder = "images.zip"`, which is then read in place.

It requires torchvision, from the extra `timm`.
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
    """Return torchvision's ImageFolder of `train/` and of `val/`, whose images are cropped for evaluation to the size of the space.

    Args:
        folder: The folder or zip file that holds `train/` and `val/`.
        space: The search space that gives the size of the images and the number of classes.

    Raises:
        UnavailableError: Without torchvision.
        FileFormatError: When a part is missing, or the parts have different classes.
        ConfigError: When the space's images do not have 3 channels, or its classifier has another number of classes.
    """
    torchvision_compat.require_torchvision("images from a folder")
    channels = space.input_shape[0]
    if channels != 3:
        raise ConfigError(
            f"images from a folder have 3 channels, which the input of space {space.name} must have too", got=channels
        )
    if not folder:
        raise ConfigError(
            "data.folder is missing, which data.name = 'image_folder' needs",
            hint="set it to the folder that holds train/ and val/",
        )
    train, val = (_open_split(path, create_eval_transform(space.input_shape)) for path in _split_folders(Path(folder)))
    if train.classes != val.classes:
        unmatched = sorted(set(train.classes) ^ set(val.classes))[0]
        raise FileFormatError(
            f"{folder}: train/ and {Path(val.root).name}/ must have the same classes, but {unmatched} is in one of them only"
        )
    classes = space.network_graph(space.reference).output_shape[0]
    if classes != len(train.classes):
        name = re.sub(r"@\d+classes$", "", space.load_name or space.name)
        raise ConfigError(
            f"the classifier of {space.name} must have {len(train.classes)} classes, as many as {folder}/train has folders",
            got=classes,
            hint=f'set space = "{name}@{len(train.classes)}classes"',
        )
    return train, val


def create_eval_transform(shape: tuple[int, ...]) -> Callable[[Any], torch.Tensor]:
    """Return the transform of images for evaluation: shorter side resized, center cropped, channels normalized; float32 of `shape`.

    An image that already has the target height and width is neither resized nor cropped.
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
    """A picklable transform to the center of an image: `CROP_RATIO` of its shorter side, as height x width pixels."""

    height: int
    width: int

    def __call__(self, image: Any) -> Any:
        """Return a PIL image of the target size."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as t

        if image.size == (self.width, self.height):
            return image
        shorter = math.floor(max(self.height, self.width) / CROP_RATIO)
        return t.center_crop(t.resize(image, shorter, InterpolationMode.BICUBIC), [self.height, self.width])


def validate_dataset_size(folder: str, space: Space) -> None:
    """Raise `ConfigError` when all decoded images would fill more than half of the memory that is available now."""
    validate_fits_in_memory(folder, sum(len(part) for part in open_image_folders(folder, space)), space.input_shape)


def load_image_folder(folder: str, held_out: int, seed: int, space: Space) -> Dataset:
    """Return a folder of images as a dataset; all images are in memory if they fit, otherwise only those held out.

    Args:
        folder: The folder or zip file that holds `train/` and `val/`.
        held_out: Number of images of `train/` that are held out.
        seed: Determines which images are held out.
        space: The search space that gives the size of the images and the number of classes.

    Raises:
        UnavailableError, FileFormatError, ConfigError: As `open_image_folders`.
    """
    shape = tuple(space.input_shape)
    train_images, test = (
        FolderImages(folder, part, torch.arange(len(part)), shape) for part in open_image_folders(folder, space)
    )
    source = f"images of {folder}"
    if fits_in_memory(len(train_images) + len(test), shape):
        train, held = split_images(Images(train_images.pixels, train_images.labels), held_out, seed)
        return Dataset("image_folder", train, held, Images(test.pixels, test.labels), source)
    rest, held_images = (
        replace(train_images, indices=indices) for indices in split_indices(len(train_images), held_out, seed)
    )
    return Dataset("image_folder", rest, Images(held_images.pixels, held_images.labels), test, source)


def read_image(path: str) -> Any:
    """Return an image file as a PIL image of three channels; raises `FileFormatError` when it is not a readable image."""
    from PIL import Image

    try:
        with open_image(path) as file:
            return Image.open(file).convert("RGB")
    except DonnaError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileFormatError(f"{path}: not a readable image", got=str(error), hint="restore or remove it") from None


def open_image(path: str) -> IO[bytes]:
    """Open an image file for reading, on the disk or in a zip file."""
    if ".zip/" in path.lower() and not Path(path).exists():
        from donna_hw.training.data.image_zip import open_member

        return open_member(path)
    return Path(path).open("rb")


def _split_folders(folder: Path) -> tuple[Path, Path]:
    """Return the folders of the images to train and to test on; `test/` is used where there is no `val/`."""
    if folder.is_file():
        from donna_hw.training.data.image_zip import list_folders

        names = list_folders(folder)
    else:
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return folder / "train", folder / ("test" if "test" in names and "val" not in names else "val")


def _open_split(folder: Path, transform: Callable[[Any], torch.Tensor]) -> Any:
    try:
        if folder.parent.is_file():
            from donna_hw.training.data.image_zip import ZippedImages

            return ZippedImages(str(folder), transform, loader=read_image)
        from torchvision.datasets import ImageFolder

        return ImageFolder(str(folder), transform, loader=read_image)
    except FileNotFoundError as error:  # no such folder, or a class without images
        raise FileFormatError(
            f"{folder}: no folder with images for every class",
            got=str(error),
            hint="data.folder must hold train/ and val/",
        ) from None
