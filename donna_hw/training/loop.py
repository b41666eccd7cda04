"""What all trainings share: schedules, batches, accuracy and reproducible randomness."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from donna_hw.training.checkpoints import open_checkpoint, save_checkpoint
from donna_hw.training.data.dataset import Images, ImageSet


@dataclass(frozen=True)
class OptimConfig:
    """Training by Adam with a cosine learning rate that falls to zero in `cosine_steps` equal steps.

    Args:
        epochs: Number of epochs.
        batch: Images in a batch.
        learning_rate: The initial learning rate.
        cosine_steps: Number of equal intervals on which the learning rate is constant.
    """

    epochs: int
    batch: int
    learning_rate: float
    cosine_steps: int


def cosine_factor(step: int, total: int, levels: int) -> float:
    """Return the factor of the initial learning rate at a step.

    Args:
        step: The step's number, from 0.
        total: Number of all steps.
        levels: Number of equal intervals of the half cosine, on each of which the factor is constant.
    """
    level = min(step * levels // total, levels - 1)
    return 0.5 * (1 + math.cos(math.pi * level / levels))


def sample_batches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield index batches of one epoch in random order, without a last one too small for batch-norm."""
    for indices in torch.split(torch.randperm(count, generator=generator), batch):
        if len(indices) > batch // 2:
            yield indices


def plan_batches(count: int, optim: OptimConfig, seed: int) -> list[list[tuple[Tensor, float]]]:
    """Plan the batches of a whole training.

    Args:
        count: Number of training examples.
        optim: Epochs, batch size and learning rate.
        seed: Determines the order of the examples in each epoch.

    Returns:
        For each epoch its batches, as (indices int64 [batch], learning rate).
    """
    generator = torch.Generator().manual_seed(seed)
    orders = [list(sample_batches(count, optim.batch, generator)) for _ in range(optim.epochs)]
    total, steps = sum(len(order) for order in orders), itertools.count()
    rates = ((optim.learning_rate * cosine_factor(number, total, optim.cosine_steps)) for number in steps)
    return [[(indices, next(rates)) for indices in order] for order in orders]


def train_step(optimizer: torch.optim.Optimizer, rate: float, loss: Callable[[], Tensor]) -> None:
    """Take one optimizer step on a loss at this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss().backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def train(
    module: nn.Module,
    count: int,
    optim: OptimConfig,
    seed: int,
    loss: Callable[[int, Tensor], Tensor],
    *,
    after_epoch: Callable[[], None] = lambda: None,
    checkpoint: Path | None = None,
) -> float:
    """Train a module by Adam with a cosine schedule.

    Args:
        module: The module to train, in place.
        count: Number of training examples.
        optim: Epochs, batch size and learning rate.
        seed: Determines the order of the examples.
        loss: From (epoch, indices int64 [batch]) to the mean loss of that batch.
        after_epoch: Called after each epoch, with the module in evaluation mode.
        checkpoint: File that is written after each epoch. A killed training resumes from it and ends with the same weights. The caller
            deletes it when it is no longer needed.

    Returns:
        Seconds that the training took, including those of `after_epoch`.

    Raises:
        FileFormatError: When the checkpoint belongs to another training.
    """
    started = time.perf_counter()
    optimizer = torch.optim.Adam(module.parameters(), lr=optim.learning_rate)
    first_epoch, earlier_s = 0, 0.0
    if checkpoint is not None and checkpoint.exists():
        with open_checkpoint(checkpoint) as state:
            module.load_state_dict(state["module"])
            optimizer.load_state_dict(state["optimizer"])
            first_epoch, earlier_s = state["epochs"], state["seconds"]
    for epoch, order in enumerate(plan_batches(count, optim, seed)[first_epoch:], start=first_epoch):
        module.train()
        for indices, rate in order:
            train_step(optimizer, rate, partial(loss, epoch, indices))
        module.eval()
        after_epoch()
        if checkpoint is not None:
            states = {"module": module.state_dict(), "optimizer": optimizer.state_dict()}
            seconds = earlier_s + time.perf_counter() - started
            save_checkpoint(checkpoint, states | {"epochs": epoch + 1, "seconds": seconds})
    return earlier_s + time.perf_counter() - started


def compute_outputs(module: nn.Module, pixels: Tensor, batch: int = 500) -> Tensor:
    """Return a module's outputs in evaluation mode, computed batch by batch on the module's device."""
    module.eval()
    device = next((weights.device for weights in module.parameters()), pixels.device)
    with torch.inference_mode():
        return torch.cat([module(part.to(device)) for part in torch.split(pixels, batch)]).clone()


def evaluate_top1(module: nn.Module, images: ImageSet) -> float:
    """Return the top-1 accuracy in per cent; images on the disk are read part by part."""
    if isinstance(images, Images):
        classes = compute_outputs(module, images.pixels).argmax(1)
    else:
        parts = torch.split(torch.arange(len(images)), 500)
        classes = torch.cat([compute_outputs(module, images.take(indices)).argmax(1) for indices in parts])
    return 100 * float((classes == images.labels).double().mean())
