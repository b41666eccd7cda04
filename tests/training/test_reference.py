"""The reference network: trained once, read back, repeatable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_space import few_digits

from donna_hw.errors import FileFormatError
from donna_hw.spaces import load_space
from donna_hw.training.data.dataset import augment
from donna_hw.training.loop import OptimConfig, compute_outputs, evaluate_top1
from donna_hw.training.reference import read_reference_top1, train_or_load_reference

SPACE, OPTIM = load_space("small_8px"), OptimConfig(2, 16, 0.005, 1000)


def test_the_reference_is_repeatable_saved_and_read_back(tmp_path: Path) -> None:
    data, threads = few_digits(), torch.get_num_threads()
    first = train_or_load_reference(SPACE, data, OPTIM, seed=1, threads=1, folder=tmp_path / "one")
    train_or_load_reference(SPACE, data, OPTIM, seed=1, threads=1, folder=tmp_path / "two")
    weights = [tmp_path / name / "weights.safetensors" for name in ("one", "two")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    before = weights[0].stat().st_mtime_ns
    again = train_or_load_reference(SPACE, data, OPTIM, seed=1, threads=1, folder=tmp_path / "one")
    assert weights[0].stat().st_mtime_ns == before
    assert torch.equal(compute_outputs(first, data.test.pixels), compute_outputs(again, data.test.pixels))
    assert read_reference_top1(tmp_path / "one") == evaluate_top1(again, data.test)
    assert not again.training
    assert torch.get_num_threads() == threads


def test_a_killed_training_resumes_to_the_same_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, optim, calls = few_digits(), OptimConfig(3, 16, 0.005, 1000), []

    def dying(*arguments: Any) -> torch.Tensor:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return augment(*arguments)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_or_load_reference(SPACE, data, optim, seed=1, threads=1, folder=whole)
    monkeypatch.setattr("donna_hw.training.reference.augment", dying)
    with pytest.raises(KeyboardInterrupt):
        train_or_load_reference(SPACE, data, optim, seed=1, threads=1, folder=killed)
    assert [path.name for path in killed.iterdir()] == ["checkpoint.pt"]
    train_or_load_reference(SPACE, data, optim, seed=1, threads=1, folder=killed)
    assert len(calls) == 4  # only the last epoch was left
    assert (killed / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert not (killed / "checkpoint.pt").exists()


def test_a_corrupt_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"corrupt")
    with pytest.raises(FileFormatError, match=r"checkpoint\.pt: not a checkpoint of this training.*delete it"):
        train_or_load_reference(SPACE, few_digits(), OPTIM, seed=1, threads=1, folder=tmp_path)


def test_another_seed_is_another_reference(tmp_path: Path) -> None:
    for seed in (1, 2):
        train_or_load_reference(SPACE, few_digits(), OPTIM, seed=seed, threads=1, folder=tmp_path / str(seed))
    first, second = ((tmp_path / str(seed) / "weights.safetensors").read_bytes() for seed in (1, 2))
    assert first != second


def test_a_reference_without_its_facts_has_no_accuracy(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"reference\.toml"):
        read_reference_top1(tmp_path)
