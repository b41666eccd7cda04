"""The reference network: trained once, read back, repeatable."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import few_digits

from donna_hw.distillation.reference import reference_top1, trained_reference
from donna_hw.distillation.training import Fit, outputs, top1_percent
from donna_hw.errors import BadFile
from donna_hw.spaces import load_space

SPACE, FIT = load_space("small_8px"), Fit(2, 16, 0.005, 1000)


def test_the_reference_is_repeatable_kept_and_read_back(tmp_path: Path) -> None:
    data, threads = few_digits(), torch.get_num_threads()
    one = trained_reference(SPACE, data, FIT, seed=1, threads=1, folder=tmp_path / "one")
    trained_reference(SPACE, data, FIT, seed=1, threads=1, folder=tmp_path / "two")
    weights = [tmp_path / name / "weights.safetensors" for name in ("one", "two")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    before = weights[0].stat().st_mtime_ns
    again = trained_reference(SPACE, data, FIT, seed=1, threads=1, folder=tmp_path / "one")
    assert weights[0].stat().st_mtime_ns == before
    assert torch.equal(outputs(one, data.test.pixels), outputs(again, data.test.pixels))
    assert reference_top1(tmp_path / "one") == top1_percent(again, data.test)
    assert not again.training
    assert torch.get_num_threads() == threads


def test_another_seed_is_another_reference(tmp_path: Path) -> None:
    for seed in (1, 2):
        trained_reference(SPACE, few_digits(), FIT, seed=seed, threads=1, folder=tmp_path / str(seed))
    one, other = ((tmp_path / str(seed) / "weights.safetensors").read_bytes() for seed in (1, 2))
    assert one != other


def test_a_reference_without_its_facts_has_no_accuracy(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"reference\.toml"):
        reference_top1(tmp_path)
