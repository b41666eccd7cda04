"""Images that remain on the disk equal those that would be in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from donna_hw.errors import ConfigError
from donna_hw.spaces import load_space
from donna_hw.training.data import load_dataset
from donna_hw.training.data.dataset import Images
from donna_hw.training.data.lazy_images import FolderImages

SPACE = load_space("mobilenetv3_1.0@16px@2classes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Noise, ten images a class to train and two to test."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 10), ("val", 2)):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(noise).save(tmp_path / part / name / f"{number}.png")
    return tmp_path


def small_memory(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """Leave memory for `images` decoded images of 3 x 16 x 16."""
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=2 * images * 3 * 16 * 16 * 4))


def test_what_does_not_fit_in_memory_stays_on_the_disk_and_is_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_dataset("image_folder", 5, str(folder), 3, SPACE)
    small_memory(monkeypatch, 23)  # of 24
    data = load_dataset("image_folder", 5, str(folder), 3, SPACE)
    assert isinstance(whole.train, Images)
    assert isinstance(data.train, FolderImages)
    assert (len(data.train), len(data.held_out), len(data.test)) == (15, 5, 4)
    for name in ("train", "held_out", "test"):
        in_memory, on_disk = getattr(whole, name), getattr(data, name)
        assert torch.equal(in_memory.labels, on_disk.labels)
        assert torch.equal(in_memory.pixels, on_disk.pixels)
        indices = torch.tensor([3, 0, 3])
        assert torch.equal(in_memory.take(indices), on_disk.take(indices))


def test_all_at_once_are_refused_where_memory_cannot_hold_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_memory(monkeypatch, 14)
    data = load_dataset("image_folder", 5, str(folder), 3, SPACE)
    with pytest.raises(
        ConfigError, match=r"15 images of \(3, 16, 16\)\), more than half of the available memory, 0\.0 GiB"
    ):
        _ = data.train.pixels
    assert data.train.take(torch.arange(15)).shape == (15, 3, 16, 16)  # the caller decides how many at a time
    small_memory(monkeypatch, 4)
    with pytest.raises(ConfigError, match="5 images"):
        load_dataset("image_folder", 5, str(folder), 3, SPACE)
