"""The epochs of a training in all processes: each ends with accuracies, a log and a checkpoint, from which a killed training goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from donna_hw._core.files import write_atomic
from donna_hw._core.progress import track
from donna_hw.errors import ConfigError
from donna_hw.training.large_scale.distributed import DistributedContext
from donna_hw.training.large_scale.loaders import TrainingSteps, iterate_on_device
from donna_hw.training.large_scale.seeding import NETWORK, seeded_rng
from donna_hw.training.large_scale.trainer import Trainer

LOG_COLUMNS = ("epoch", "learning_rate", "loss", "top1_percent", "ema_top1_percent", "seconds")
Log = list[dict[str, float]]  # a record an epoch


@dataclass(frozen=True)
class TrainingJob:
    """What a trainee goes through: the steps of every epoch, the images it is tested on, its randomness, and where its files lie."""

    title: str
    steps: TrainingSteps
    test_loader: DataLoader[Any]
    seed: int
    checkpoint: Path
    log: Path


def train_epochs(trainee: Trainer, course: TrainingJob) -> Log:
    """Train to the last epoch, from the checkpoint if there is one, and return the log; who needs the checkpoint no more deletes it.

    Raises `ConfigError` for a loss that is not finite, and what loading images raises.
    """
    settings, processes = trainee.settings, trainee.processes
    log = trainee.restore(course.checkpoint)
    epochs: Any = range(len(log), settings.epochs)
    for epoch in track(epochs, course.title, settings.epochs, len(log)) if processes.is_main else epochs:
        started = time.perf_counter()
        rate = trainee.start_epoch(epoch)
        with seeded_rng(course.seed, NETWORK, epoch, processes.rank, device=processes.device):
            loss = _mean_loss([trainee.step(batches) for batches in course.steps.epoch(epoch)], processes)
        if not math.isfinite(loss):
            raise ConfigError(
                f"the loss of epoch {epoch} must be finite", got=loss, hint=f"lower {settings.section}.learning_rate"
            )
        plain, averaged = evaluate_networks([trainee.network, trainee.ema_network], course.test_loader, processes)
        seconds = time.perf_counter() - started
        log.append(dict(zip(LOG_COLUMNS, (epoch, rate, loss, plain, averaged, seconds), strict=True)))
        if processes.is_main:
            trainee.save(course.checkpoint, log)
            write_atomic(course.log, _format_csv(log))
    if processes.is_main:
        write_atomic(course.log, _format_csv(log))  # a kill may have come between checkpoint and log
    return log


def evaluate_networks(
    networks: Sequence[nn.Module], tests: DataLoader[Any], processes: DistributedContext
) -> tuple[float, ...]:
    """Return the share of all processes' test images that each network classifies right, in per cent; images are read once."""
    for network in networks:
        processes.broadcast_buffers(network.eval())
    right, images = [0] * len(networks), 0
    with torch.no_grad():
        for pixels, labels in iterate_on_device(tests, processes):
            images += len(labels)
            for number, network in enumerate(networks):
                right[number] += int((network(pixels).argmax(1) == labels).sum())
    *rights, total = processes.all_reduce([*right, images])
    return tuple(100 * found / total for found in rights)


def _mean_loss(losses: list[Tensor], processes: DistributedContext) -> float:
    """Return the mean loss of an epoch over all processes."""
    return processes.all_reduce([float(torch.stack(losses).mean())])[0] / processes.world_size


def _format_csv(log: Log) -> str:
    rows = [",".join(f"{record[name]:.9g}" for name in LOG_COLUMNS) for record in log]
    return "\n".join([",".join(LOG_COLUMNS), *rows, ""])
