"""What all trainings share: schedules, batches, accuracy, and repeatable randomness."""

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
    """How long and how fast: Adam with a cosine learning rate that falls to zero in `cosine_steps` equal steps."""

    epochs: int
    batch: int
    learning_rate: float
    cosine_steps: int


def cosine_factor(step: int, total: int, levels: int) -> float:
    """Return the share of the initial learning rate at a step: a half cosine held constant on each of `levels` stretches."""
    level = min(step * levels // total, levels - 1)
    return 0.5 * (1 + math.cos(math.pi * level / levels))


def sample_batches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield index batches of one epoch in random order; a last one too small for batch-norm is left out."""
    for indices in torch.split(torch.randperm(count, generator=generator), batch):
        if len(indices) > batch // 2:
            yield indices


def plan_batches(count: int, optim: OptimConfig, seed: int) -> list[list[tuple[Tensor, float]]]:
    """Return each epoch's batches of `count` examples in an order that `seed` rules: their indices and the learning rate."""
    generator = torch.Generator().manual_seed(seed)
    orders = [list(sample_batches(count, optim.batch, generator)) for _ in range(optim.epochs)]
    total, steps = sum(len(order) for order in orders), itertools.count()
    rates = ((optim.learning_rate * cosine_factor(number, total, optim.cosine_steps)) for number in steps)
    return [[(indices, next(rates)) for indices in order] for order in orders]


def train_step(optimizer: torch.optim.Optimizer, rate: float, loss: Callable[[], Tensor]) -> None:
    """Move the weights once, at this learning rate, down the slope of a loss."""
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
    """Train on `count` examples, whose order `seed` rules, and return the seconds it took, those of `after_epoch` included.

    `loss(epoch, indices)` gives a batch's mean loss; `after_epoch()` finds the module in evaluation mode. With a `checkpoint` each epoch
    ends by writing one, from which a killed training goes on to the same end; who needs it no more deletes it. Raises `BadFile` on
    another training's.
    """
    started = time.perf_counter()
    optimiser = torch.optim.Adam(module.parameters(), lr=optim.learning_rate)
    done, before_s = 0, 0.0
    if checkpoint is not None and checkpoint.exists():
        with open_checkpoint(checkpoint) as state:
            module.load_state_dict(state["module"])
            optimiser.load_state_dict(state["optimizer"])
            done, before_s = state["epochs"], state["seconds"]
    for epoch, order in enumerate(plan_batches(count, optim, seed)[done:], start=done):
        module.train()
        for indices, rate in order:
            train_step(optimiser, rate, partial(loss, epoch, indices))
        module.eval()
        after_epoch()
        if checkpoint is not None:
            states = {"module": module.state_dict(), "optimizer": optimiser.state_dict()}
            seconds = before_s + time.perf_counter() - started
            save_checkpoint(checkpoint, states | {"epochs": epoch + 1, "seconds": seconds})
    return before_s + time.perf_counter() - started


def compute_outputs(module: nn.Module, pixels: Tensor, batch: int = 500) -> Tensor:
    """Return a module's outputs in evaluation mode, batch by batch, on the device that it lies on."""
    module.eval()
    device = next((weights.device for weights in module.parameters()), pixels.device)
    with torch.inference_mode():
        return torch.cat([module(part.to(device)) for part in torch.split(pixels, batch)]).clone()


def evaluate_top1(module: nn.Module, images: ImageSet) -> float:
    """Return the share of images that are classified right, in per cent; images on the disk are read part by part."""
    if isinstance(images, Images):
        classes = compute_outputs(module, images.pixels).argmax(1)
    else:
        parts = torch.split(torch.arange(len(images)), 500)
        classes = torch.cat([compute_outputs(module, images.take(numbers)).argmax(1) for numbers in parts])
    return 100 * float((classes == images.labels).double().mean())
