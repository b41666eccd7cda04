"""Schedules and batches that every training shares."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from donna_hw.pipeline.recipe_schema import DistillConfig
from donna_hw.training.data.dataset import Images, ImageSet
from donna_hw.training.loop import OptimConfig, compute_outputs, cosine_factor, evaluate_top1, sample_batches, train


def test_the_papers_twenty_steps_are_twenty_falling_rates_from_one() -> None:
    rates = [cosine_factor(step, 4690, 20) for step in range(4690)]
    levels = list(dict.fromkeys(rates))
    assert levels == [pytest.approx(0.5 * (1 + math.cos(math.pi * k / 20))) for k in range(20)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == 1
    assert rates == sorted(rates, reverse=True)


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 1000))
def test_rates_start_at_one_never_rise_and_stay_above_zero(total: int, levels: int) -> None:
    rates = [cosine_factor(step, total, levels) for step in range(total)]
    assert rates[0] == 1
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0
    assert len(set(rates)) == min(total, levels)


def test_the_recipes_defaults_are_the_papers() -> None:
    """A.1: one epoch, batch 256, Adam with an initial rate of 0.01 that a cosine lowers in 20 steps; all images."""
    config = DistillConfig().block_distill_config()
    assert config.optim == OptimConfig(epochs=1, batch=256, learning_rate=0.01, cosine_steps=20)
    assert config.images == 0


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(2, 64), st.integers(0, 100))
def test_batches_share_no_image_and_leave_out_half_a_batch_at_most(count: int, batch: int, seed: int) -> None:
    batches = list(sample_batches(count, batch, torch.Generator().manual_seed(seed)))
    seen = [i for indices in batches for i in indices.tolist()]
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(count))
    assert count - len(seen) <= batch // 2
    assert all(batch // 2 < len(indices) <= batch for indices in batches)


def test_training_is_adam_with_the_cosine_on_the_batches_in_order() -> None:
    """The loop against the same steps written out by hand."""
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    y = x @ torch.tensor([1.0, -2.0, 0.5])

    def module() -> nn.Linear:
        linear = nn.Linear(3, 1)
        nn.init.constant_(linear.weight, 0.1)
        nn.init.zeros_(linear.bias)
        return linear

    def loss(m: nn.Linear, indices: torch.Tensor) -> torch.Tensor:
        return (m(x[indices])[:, 0] - y[indices]).square().mean()

    trained, expected = module(), module()
    train(trained, 10, OptimConfig(2, 4, 0.1, 3), 7, lambda _, indices: loss(trained, indices))
    generator = torch.Generator().manual_seed(7)
    orders = [torch.randperm(10, generator=generator) for _ in range(2)]
    # the last two of each order are half a batch, which is left out
    steps = [order[start : start + 4] for order in orders for start in (0, 4)]
    optimizer = torch.optim.Adam(expected.parameters(), lr=0.1)
    for indices, level in zip(steps, (0, 0, 1, 2), strict=True):  # four steps on three levels
        optimizer.param_groups[0]["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * level / 3))
        optimizer.zero_grad()
        loss(expected, indices).backward()
        optimizer.step()
    assert torch.equal(trained.weight, expected.weight)
    assert not trained.training


def test_outputs_do_not_depend_on_the_batch_and_leave_batch_norm_alone() -> None:
    norm = nn.BatchNorm2d(2).train()
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    pixels = torch.randn(7, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(compute_outputs(norm, pixels, batch=3), compute_outputs(norm, pixels))
    assert all(torch.equal(before[key], value) for key, value in norm.state_dict().items())


def test_top1_is_the_share_of_right_images() -> None:
    logits = torch.eye(4)[:, :, None, None]
    labels = torch.tensor([0, 1, 2, 0])
    assert evaluate_top1(nn.Flatten(), Images(logits, labels)) == 75.0
    many = torch.arange(1203) % 4  # more than are read at once

    class OnDisk:
        pixels = property(lambda self: pytest.fail("all images at once"))
        labels = torch.tensor([0, 1, 2, 0])[many]

        def __len__(self) -> int:
            return len(many)

        def take(self, indices: torch.Tensor) -> torch.Tensor:
            assert len(indices) <= 500
            return logits[many[indices]]

    on_disk: ImageSet = OnDisk()
    assert evaluate_top1(nn.Flatten(), on_disk) == pytest.approx(100 * float((many != 3).double().mean()))
