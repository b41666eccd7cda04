"""Image data sets by name: train, a part held out of train, and test."""

from __future__ import annotations

from donna_hw.errors import UnknownNameError
from donna_hw.spaces.space import Space
from donna_hw.training.data.dataset import Dataset, Images

__all__ = ["DATASETS", "Dataset", "Images", "load_dataset"]

DATASETS = ("digits", "fashion_mnist", "image_folder")


def load_dataset(name: str, held_out: int, folder: str = "", seed: int = 0, space: Space | None = None) -> Dataset:
    """Return a data set with `held_out` images kept out of its train part; raises `UnknownNameError`.

    A folder of images is decoded to the resolution of `space`, whose classes it must have; the others have a size of their own.
    """
    if name == "digits":
        from donna_hw.training.data.digits import load_digits

        return load_digits(held_out, seed)
    if name == "fashion_mnist":
        from donna_hw.training.data.fashion_mnist import load_fashion_mnist

        return load_fashion_mnist(held_out, folder, seed)
    if name == "image_folder" and space is not None:
        from donna_hw.training.data.image_folder import load_image_folder

        return load_image_folder(folder, held_out, seed, space)
    raise UnknownNameError("a data set must be a known one", got=name, choices=DATASETS)
