"""The 1,797 real 8x8 digits that come with scikit-learn."""

from __future__ import annotations

import torch

from donna_hw.training.data.dataset import Dataset, Images, normalize, split_images

TEST_IMAGES = 797


def load_digits(held_out: int, seed: int) -> Dataset:
    """Return the digits: 797 to test on (always the same), `held_out` drawn by seed, and the rest to train on."""
    from sklearn import datasets

    pixels, labels = datasets.load_digits(return_X_y=True)
    raw = torch.from_numpy(pixels).reshape(-1, 8, 8)
    images = Images(normalize(raw, float(raw.mean()), float(raw.std())), torch.from_numpy(labels).long())
    rest, test = split_images(images, TEST_IMAGES, seed=0)
    train, held = split_images(rest, held_out, seed)
    return Dataset(
        "digits", train, held, test, "scikit-learn load_digits (UCI Optical Recognition of Handwritten Digits)"
    )
