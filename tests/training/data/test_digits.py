"""The digits of scikit-learn in three parts."""

from __future__ import annotations

import pytest
import torch
from sklearn import datasets

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.training.data import load_dataset


def test_the_parts_have_their_sizes_and_together_are_all_images() -> None:
    data = load_dataset("digits", held_out=200)
    assert [len(part) for part in (data.train, data.held_out, data.test)] == [800, 200, 797]
    raw, labels = datasets.load_digits(return_X_y=True)
    raw = torch.from_numpy(raw).float()
    pixels = (raw - raw.mean()) / raw.std()
    parts = [data.train, data.held_out, data.test]
    images = torch.cat([part.pixels.reshape(len(part), 64) for part in parts])
    all_labels = torch.cat([part.labels for part in parts])
    # each original occurs once: the parts are disjoint in index, not only in number
    nearest = torch.cdist(images.double(), pixels.double()).min(dim=1)
    assert float(nearest.values.max()) < 1e-3
    assert sorted(nearest.indices.tolist()) == list(range(1797))
    assert (torch.from_numpy(labels)[nearest.indices] == all_labels).all()


def test_the_test_part_is_the_same_for_every_seed_and_the_held_out_part_is_not() -> None:
    first, second = (load_dataset("digits", held_out=300, seed=seed) for seed in (0, 1))
    assert torch.equal(first.test.pixels, second.test.pixels)
    assert not torch.equal(first.held_out.pixels, second.held_out.pixels)
    assert torch.equal(first.held_out.pixels, load_dataset("digits", held_out=300, seed=0).held_out.pixels)


@pytest.mark.parametrize("held_out", [0, 1000])
def test_too_many_or_no_held_out_images_are_refused(held_out: int) -> None:
    with pytest.raises(ConfigError, match=r"must be in 1\.\.999 for 1000 images"):
        load_dataset("digits", held_out)


def test_an_unknown_dataset_is_reported_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown dataset 'digit'; expected digits, fashion_mnist or image_folder"
    ):
        load_dataset("digit", 10)
