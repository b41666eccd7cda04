"""Splits share nothing; augmentation only shifts and mirrors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as f

from donna_hw.errors import ConfigError
from donna_hw.training.data.dataset import Augmentation, Images, augment, normalize, split_images


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some(count: int = 40, channels: int = 2) -> Tensor:
    return torch.randn(count, channels, 6, 5, generator=seeded(9))


def numbered(count: int) -> Images:
    """Images that carry their own number as their label and as each of their pixels."""
    labels = torch.arange(count)
    return Images(labels.float().reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2), labels)


def test_a_split_shares_no_image_and_loses_none() -> None:
    rest, held = split_images(numbered(50), 20, seed=3)
    assert (len(rest), len(held)) == (30, 20)
    assert sorted([*rest.labels.tolist(), *held.labels.tolist()]) == list(range(50))
    for part in (rest, held):
        assert (part.pixels[:, 0, 0, 0] == part.labels).all()


def test_a_split_repeats_with_its_seed_and_differs_with_another() -> None:
    first, again, other = (split_images(numbered(50), 20, seed)[1].labels.tolist() for seed in (3, 3, 4))
    assert first == again
    assert sorted(first) != sorted(other)


@pytest.mark.parametrize("count", [0, -1, 50, 51])
def test_a_split_that_leaves_a_part_empty_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=rf"must be in 1\.\.49 for 50 images; got {count}"):
        split_images(numbered(50), count, seed=0)


def test_normalized_pixels_have_mean_0_and_deviation_1() -> None:
    raw = torch.randint(0, 256, (30, 4, 4), generator=seeded(), dtype=torch.uint8)
    pixels = normalize(raw, float(raw.float().mean()), float(raw.float().std()))
    assert pixels.shape == (30, 1, 4, 4)
    assert pixels.dtype == torch.float32
    assert abs(float(pixels.mean())) < 1e-5
    assert abs(float(pixels.std()) - 1) < 1e-5


def test_no_augmentation_is_the_identity() -> None:
    pixels = some()
    assert torch.equal(augment(pixels, Augmentation(), seeded()), pixels)


def test_a_flip_twice_is_the_identity_and_flips_about_half() -> None:
    pixels = some(400)
    once = augment(pixels, Augmentation(flip=True), seeded(5))
    assert torch.equal(augment(once, Augmentation(flip=True), seeded(5)), pixels)
    flipped = [torch.equal(after, before.flip(2)) for before, after in zip(pixels, once, strict=True)]
    same = [torch.equal(after, before) for before, after in zip(pixels, once, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert abs(sum(flipped) - 200) < 6 * 10  # binomial(400, 1/2): six deviations of 10


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("crop", [1, 2])
def test_every_augmented_image_is_a_shift_of_the_padded_original(crop: int, flip: bool) -> None:
    pixels = some(300)
    _, _, height, width = pixels.shape
    augmented = augment(pixels, Augmentation(crop, flip), seeded(1))
    assert augmented.shape == pixels.shape
    seen = set()
    for before, after in zip(pixels, augmented, strict=True):
        choices = {
            (top, left, mirrored): f.pad(before.flip(2) if mirrored else before, (crop,) * 4, mode="replicate")[
                :, top : top + height, left : left + width
            ]
            for top in range(2 * crop + 1)
            for left in range(2 * crop + 1)
            for mirrored in {False, flip}
        }
        matches = [key for key, choice in choices.items() if torch.equal(choice, after)]
        assert len(matches) == 1
        seen.add(matches[0])
    # of at most 50 shifts drawn 300 times one is missed with probability below 50 * 0.98^300 = 0.12; the seed is fixed
    assert len(seen) == (2 * crop + 1) ** 2 * (2 if flip else 1)


def test_augmentation_repeats_with_its_generators_seed() -> None:
    pixels, both = some(), Augmentation(1, True)
    assert torch.equal(augment(pixels, both, seeded(2)), augment(pixels, both, seeded(2)))
    assert not torch.equal(augment(pixels, both, seeded(2)), augment(pixels, both, seeded(3)))
