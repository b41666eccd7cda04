"""The epochs of a training in all processes: each ends with accuracies, a log and a checkpoint, from which a killed training resumes."""

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
Log = list[dict[str, float]]  # a record for each epoch


@dataclass(frozen=True)
class TrainingJob:
    """One training of a network.

    Args:
        title: The title of the progress bar.
        steps: The steps of every epoch.
        test_loader: This process's share of the test images.
        seed: Seed of dropout and stochastic depth.
        checkpoint: The file that the training resumes from.
        log: The file of the log, one line for each epoch.
    """

    title: str
    steps: TrainingSteps
    test_loader: DataLoader[Any]
    seed: int
    checkpoint: Path
    log: Path


def train_epochs(trainer: Trainer, job: TrainingJob) -> Log:
    """Train to the last epoch, from the checkpoint if there is one; the caller deletes it when it is no longer needed.

    Args:
        trainer: The network in training.
        job: Its images, seed and files.

    Returns:
        The log, a record for each epoch.

    Raises:
        ConfigError: When the loss is not finite.
        FileFormatError: When an image or the checkpoint cannot be read.
    """
    settings, processes = trainer.settings, trainer.processes
    log = trainer.restore(job.checkpoint)
    epochs: Any = range(len(log), settings.epochs)
    for epoch in track(epochs, job.title, settings.epochs, len(log)) if processes.is_main else epochs:
        started = time.perf_counter()
        rate = trainer.start_epoch(epoch)
        with seeded_rng(job.seed, NETWORK, epoch, processes.rank, device=processes.device):
            loss = _mean_loss([trainer.step(batches) for batches in job.steps.epoch(epoch)], processes)
        if not math.isfinite(loss):
            raise ConfigError(
                f"the loss of epoch {epoch} must be finite", got=loss, hint=f"lower {settings.section}.learning_rate"
            )
        top1, ema_top1 = evaluate_networks([trainer.network, trainer.ema_network], job.test_loader, processes)
        seconds = time.perf_counter() - started
        log.append(dict(zip(LOG_COLUMNS, (epoch, rate, loss, top1, ema_top1, seconds), strict=True)))
        if processes.is_main:
            trainer.save(job.checkpoint, log)
            write_atomic(job.log, _format_csv(log))
    if processes.is_main:
        write_atomic(job.log, _format_csv(log))  # a kill may have come between checkpoint and log
    return log


def evaluate_networks(
    networks: Sequence[nn.Module], loader: DataLoader[Any], processes: DistributedContext
) -> tuple[float, ...]:
    """Return each network's top-1 accuracy on the images of all processes; images are read once.

    Args:
        networks: The networks, on this process's device.
        loader: This process's share of the images.
        processes: All processes.

    Returns:
        The accuracies in per cent.
    """
    for network in networks:
        processes.broadcast_buffers(network.eval())
    correct, images = [0] * len(networks), 0
    with torch.no_grad():
        for pixels, labels in iterate_on_device(loader, processes):
            images += len(labels)
            for number, network in enumerate(networks):
                correct[number] += int((network(pixels).argmax(1) == labels).sum())
    *counts, total = processes.all_reduce([*correct, images])
    return tuple(100 * count / total for count in counts)


def _mean_loss(losses: list[Tensor], processes: DistributedContext) -> float:
    """Return the mean loss of an epoch over all processes."""
    return processes.all_reduce([float(torch.stack(losses).mean())])[0] / processes.world_size


def _format_csv(log: Log) -> str:
    rows = [",".join(f"{record[name]:.9g}" for name in LOG_COLUMNS) for record in log]
    return "\n".join([",".join(LOG_COLUMNS), *rows, ""])
