"""The teacher's maps, from files or computed again, teach the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_space import FIT, InProcess, few_digits, untrained_teacher

from donna_hw.spaces import load_space
from donna_hw.training.distillation.block_evaluation import channel_variance
from donna_hw.training.distillation.blockwise import BlockDistillConfig, distill
from donna_hw.training.distillation.border_maps import compute_border_maps, save_maps
from donna_hw.training.distillation.teacher_features import (
    CachedFeatures,
    StreamedFeatures,
    load_train_features,
    map_bytes,
    read_map,
)

SPACE = load_space("small_8px")


def test_cached_and_streamed_features_are_equal(tmp_path: Path) -> None:
    for name, cached in (("cached", True), ("streamed", False)):
        save_maps(SPACE, untrained_teacher(SPACE), few_digits(), 0, seed=1, folder=tmp_path / name, cached=cached)
    indices = torch.tensor([5, 0, 31, 7])
    for stage in SPACE.stages:
        one, other = (load_train_features(SPACE, stage, tmp_path / name) for name in ("cached", "streamed"))
        assert isinstance(one, CachedFeatures)
        assert isinstance(other, StreamedFeatures)
        assert len(one) == len(other) == 48
        for x, y in zip(one.pair(indices), other.pair(indices), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-5)


def test_maps_and_variances_in_chunks_are_those_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("donna_hw.training.distillation.augmented_images.CHUNK", 20)
    teacher, data = untrained_teacher(SPACE), few_digits()
    save_maps(SPACE, teacher, data, 0, seed=1, folder=tmp_path / "m")
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(1))
    for place, maps in enumerate(compute_border_maps(SPACE, teacher, data.train.pixels[order])):
        torch.testing.assert_close(read_map(tmp_path / "m", "train", place), maps, rtol=1e-5, atol=1e-5)
        variance = torch.from_numpy(np.load(tmp_path / "m" / f"variance-{place}.npy"))
        torch.testing.assert_close(variance, channel_variance(maps), rtol=1e-4, atol=1e-6)


def test_bytes_are_those_of_the_files(tmp_path: Path) -> None:
    save_maps(SPACE, untrained_teacher(SPACE), few_digits(), 0, seed=1, folder=tmp_path / "m")
    files = list((tmp_path / "m").glob("train-*.npy"))
    assert sum(file.stat().st_size - 128 for file in files) == map_bytes(SPACE, 48)  # 128: the header of .npy


@pytest.mark.long
def test_beyond_the_budget_the_library_is_the_same_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = []
    for name, budget in (("cached", float("inf")), ("streamed", 0.0)):
        bkd, pool = BlockDistillConfig(FIT, cache_bytes=budget), InProcess()
        library = distill(
            SPACE,
            untrained_teacher(SPACE),
            few_digits(),
            bkd,
            seed=1,
            folder=tmp_path / name,
            pool=pool,  # type: ignore[arg-type]
        )
        assert ("distill.cache_gib" in caplog.text) == (name == "streamed")
        found.append(library.qualities())
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(torch.from_numpy(one), torch.from_numpy(other), rtol=1e-2, atol=0)
