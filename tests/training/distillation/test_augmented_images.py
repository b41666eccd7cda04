"""Training images of blocks are equal in memory, in a file, and in a folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from small_space import untrained_teacher

from donna_hw.errors import FileFormatError
from donna_hw.spaces import load_space
from donna_hw.training.data import load_dataset
from donna_hw.training.data.dataset import Augmentation, Dataset, augment, sample_augmentation
from donna_hw.training.data.lazy_images import FolderImages
from donna_hw.training.distillation import augmented_images as sources
from donna_hw.training.distillation.augmented_images import (
    AugmentedImages,
    load_augmented_images,
    save_augmented_images,
)
from donna_hw.training.distillation.border_maps import save_maps
from donna_hw.training.distillation.teacher_features import StreamedFeatures, load_train_features

SPACE = load_space("small_32px@16px@2classes")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Dataset, Dataset]:
    """The same noise in memory and on the disk: 20 images to train on, 4 held out."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 1)):
        for name in ("a", "b"):
            (tmp_path / "images" / part / name).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(noise).save(tmp_path / "images" / part / name / f"{number}.png")
    datasets = [load_dataset("image_folder", 4, str(tmp_path / "images"), 0, SPACE)]
    memory = psutil.virtual_memory()
    with monkeypatch.context() as patched:
        patched.setattr(psutil, "virtual_memory", lambda: memory._replace(available=2 * 20 * 3 * 16 * 16 * 4))
        datasets.append(load_dataset("image_folder", 4, str(tmp_path / "images"), 0, SPACE))
    assert isinstance(datasets[1].train, FolderImages)
    in_memory, on_disk = (replace(dataset, augmentation=Augmentation(2, flip=True)) for dataset in datasets)
    return in_memory, on_disk


def test_some_images_are_augmented_as_in_the_whole_set() -> None:
    pixels, augmentation = torch.randn(9, 3, 6, 6), Augmentation(1, flip=True)
    params = sample_augmentation(9, augmentation, torch.Generator().manual_seed(4))
    whole = augment(pixels, augmentation, torch.Generator().manual_seed(4))
    indices = torch.tensor([8, 2, 2, 5])
    assert torch.equal(params.apply(pixels[indices], indices), whole[indices])
    assert not torch.equal(whole, pixels)


@pytest.mark.parametrize("cached", [True, False])
def test_maps_of_images_on_the_disk_are_those_of_images_in_memory(
    data: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    monkeypatch.setattr(sources, "CHUNK", 7)
    teacher, folders = untrained_teacher(SPACE), [tmp_path / "memory", tmp_path / "disk"]
    for dataset, folder in zip(data, folders, strict=True):
        save_maps(SPACE, teacher, dataset, 16, seed=1, folder=folder, cached=cached)
    for border in range(len(SPACE.stages) + 1):
        expected, variance = (np.load(folder / f"variance-{border}.npy") for folder in folders)
        np.testing.assert_array_equal(variance, expected)
    indices = torch.tensor([5, 0, 15, 7])
    for stage in SPACE.stages:
        in_memory, on_disk = (load_train_features(SPACE, stage, folder) for folder in folders)
        assert len(in_memory) == len(on_disk) == 16
        assert isinstance(on_disk, StreamedFeatures) != cached
        for x, y in zip(in_memory.pair(indices), on_disk.pair(indices), strict=True):
            assert torch.equal(x, y)
    assert (folders[1] / "train-images.npy").exists() is False


def test_a_folder_that_lost_images_is_refused(data: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    source = AugmentedImages(
        data[1].train, torch.arange(20), sample_augmentation(20, Augmentation(), torch.Generator())
    )
    save_augmented_images(source, tmp_path)
    pixels, count = load_augmented_images(tmp_path, SPACE)
    assert count == 20
    assert torch.equal(pixels(torch.tensor([1, 3])), data[0].train.take(torch.tensor([1, 3])))
    for number in range(11):
        (tmp_path / "images" / "train" / "a" / f"{number}.png").unlink()
    with pytest.raises(FileFormatError, match=r"only 13 images are left of those that the run began with"):
        load_augmented_images(tmp_path, SPACE)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(FileFormatError):
        load_augmented_images(tmp_path, SPACE)
