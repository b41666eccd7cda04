"""Image datasets by name, each in three parts: train, held out of train, and test."""

from __future__ import annotations

from donna_hw.errors import UnknownNameError
from donna_hw.spaces.space import Space
from donna_hw.training.data.dataset import Dataset, Images

__all__ = ["DATASETS", "Dataset", "Images", "load_dataset"]

DATASETS = ("digits", "fashion_mnist", "image_folder")


def load_dataset(name: str, held_out: int, folder: str = "", seed: int = 0, space: Space | None = None) -> Dataset:
    """Return a dataset with `held_out` images left out of its train part.

    Args:
        name: A name in `DATASETS`.
        held_out: Number of train images that are held out for block qualities.
        folder: The folder (or zip file) of images, or of the files of Fashion-MNIST.
        seed: Determines which images are held out.
        space: For `image_folder` only: images are decoded to the resolution of this space, and must have its classes.

    Raises:
        UnknownNameError: For an unknown name, or `image_folder` without a space.
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
    raise UnknownNameError("unknown dataset", got=name, choices=DATASETS)
