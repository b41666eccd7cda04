"""Blocks on a GPU; where there is none, nothing here runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_space import block_task

from donna_hw.pipeline.steps.distill import gpus
from donna_hw.training.distillation.block_trainer import BlockGroup, train_block, train_group

NUMBERS = (3, 7, 0, 11)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_blocks_trained_together_on_a_gpu_are_as_good_as_on_the_cpu(tmp_path: Path) -> None:
    tasks = tuple(block_task(tmp_path, number=m, name=f"gpu{m}") for m in NUMBERS)
    together = [quality for quality, _ in train_group(BlockGroup(tasks, gpus()[0]))]
    alone = [train_group(BlockGroup((task,), gpus()[0]))[0][0] for task in tasks]
    on_cpu = [train_block(block_task(tmp_path, number=m, name=f"cpu{m}"))[0] for m in NUMBERS]
    assert [quality.nsr for quality in together] == pytest.approx([quality.nsr for quality in alone], rel=1e-2)
    assert [quality.nsr for quality in together] == pytest.approx([quality.nsr for quality in on_cpu], rel=5e-2)


def test_a_machine_without_a_gpu_lists_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpus() == ()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert gpus() == ("cuda:0", "cuda:1")
