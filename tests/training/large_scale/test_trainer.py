"""One step of a training, its parts added up, and its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from image_folders import PLAIN
from torch import Tensor

from donna_hw._core import torchvision_compat
from donna_hw.errors import FileFormatError
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces import load_space
from donna_hw.training.large_scale.config import PaperTrainingConfig
from donna_hw.training.large_scale.distributed import DistributedContext
from donna_hw.training.large_scale.seeding import seeded_rng
from donna_hw.training.large_scale.trainer import Trainer

torchvision_compat.patch_torchvision()


def create_trainer(folder: Path, **settings: float) -> Trainer:
    """Return the network without batch-norm, in training, in double precision."""
    path = folder / "space.py"
    path.write_text(PLAIN)
    space = load_space(f"{path}:plain")
    network = to_torch(space.network_graph(space.reference), seed=1).double()
    return Trainer(network, PaperTrainingConfig(**settings), DistributedContext())  # type: ignore[arg-type]


def batch(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 16, 16, generator=generator).double(), torch.randint(
        0, 3, (count,), generator=generator
    )


def test_gradients_of_parts_add_up_to_those_of_the_whole_batch(tmp_path: Path) -> None:
    whole, parts = (create_trainer(tmp_path, dropout=0, stochastic_depth=0) for _ in range(2))
    images, labels = batch(12)
    for trainer in (whole, parts):
        trainer.start_epoch(5)
    loss = whole.step([(images, labels)])
    losses = parts.step(list(zip(images.split(4), labels.split(4), strict=True)))
    torch.testing.assert_close(losses, loss)
    for expected, weights in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        torch.testing.assert_close(weights.grad, expected.grad, rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(weights, expected, rtol=1e-10, atol=1e-13)


def test_a_training_resumes_from_its_checkpoint_to_the_same_bits(tmp_path: Path) -> None:
    def some_steps(trainer: Trainer, epochs: range) -> None:
        for epoch in epochs:
            trainer.start_epoch(epoch)
            with seeded_rng(0, epoch):
                trainer.step([batch(8, epoch)])

    alone, first, second = (create_trainer(tmp_path) for _ in range(3))
    some_steps(alone, range(6))
    some_steps(first, range(4))
    first.save(tmp_path / "checkpoint.pt", [{"epoch": 3.0}])
    assert second.restore(tmp_path / "checkpoint.pt") == [{"epoch": 3.0}]
    some_steps(second, range(4, 6))
    for resumed, expected in ((second.network, alone.network), (second.ema_network, alone.ema_network)):
        for key, value in expected.state_dict().items():
            assert torch.equal(resumed.state_dict()[key], value), key


def test_without_a_checkpoint_a_training_starts_from_the_beginning(tmp_path: Path) -> None:
    assert create_trainer(tmp_path).restore(tmp_path / "checkpoint.pt") == []


@pytest.mark.parametrize("length", [0, 10, 1000, -1])
def test_a_corrupt_checkpoint_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "checkpoint.pt"
    create_trainer(tmp_path).save(path, [])
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(FileFormatError, match=r"checkpoint\.pt: not a checkpoint of this training.*delete it"):
        create_trainer(tmp_path).restore(path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    space, path = load_space("small_8px"), tmp_path / "checkpoint.pt"
    Trainer(to_torch(space.network_graph(space.reference)), PaperTrainingConfig(), DistributedContext()).save(path, [])
    with pytest.raises(FileFormatError, match="not a checkpoint of this training"):
        create_trainer(tmp_path).restore(path)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    """Pickle can call any function when it is read; only tensors and plain values are."""
    path = tmp_path / "checkpoint.pt"
    torch.save({"network": Path.cwd}, path)
    with pytest.raises(FileFormatError, match="not a checkpoint of this training"):
        create_trainer(tmp_path).restore(path)


def test_drawing_is_by_its_numbers_and_leaves_no_trace() -> None:
    import random

    import numpy as np

    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    torch.manual_seed(3)
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[union-attr,index]
    with seeded_rng(1, 2, 3):
        numbers = draws()
    after = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[union-attr,index]
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    draws()
    with seeded_rng(1, 2, 3):
        assert draws() == numbers
    with seeded_rng(1, 2, 4):
        assert not set(draws()) & set(numbers)
