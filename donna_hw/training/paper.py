"""The reference network, trained from scratch as the paper trains it (A.1)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from donna_hw import torchvision
from donna_hw.blocks.torch_module import GraphModule, to_torch
from donna_hw.data.image_folder import image_folders
from donna_hw.distillation.weights import load_weights, save_weights
from donna_hw.errors import BadSetting
from donna_hw.files import write_atomic, write_toml
from donna_hw.progress import track
from donna_hw.spaces.space import Space
from donna_hw.training.loading import TrainingSteps, augmentation, moved, test_loader
from donna_hw.training.processes import Processes, joined
from donna_hw.training.randomness import NETWORK, drawing
from donna_hw.training.settings import PaperTraining
from donna_hw.training.trainee import Trainee

LOG = ("epoch", "learning_rate", "loss", "top1_percent", "averaged_top1_percent", "seconds")


def paper_reference(space: Space, images: str, settings: PaperTraining, *, seed: int, folder: Path) -> GraphModule:
    """Return the space's reference network with averaged weights, trained on a folder of images, in evaluation mode.

    Kept in `folder` as `weights.safetensors` and `reference.toml`, and read back when they are there; `epochs.csv` is its log. Each
    epoch ends with a checkpoint, from which an interrupted training goes on. Each of the processes that torch's launcher
    started must call this. Raises `Unavailable` without timm, and what `image_folders` and `PaperTraining.plan` raise.
    """
    if not (folder / "reference.toml").exists():
        torchvision.required("training as the paper does", "timm")
        with joined() as processes:
            train_reference(space, images, settings, processes, seed=seed, folder=folder)
    network = to_torch(space.network(space.reference), seed)
    load_weights(network, folder / "weights.safetensors")
    return network.eval()


def train_reference(
    space: Space, images: str, settings: PaperTraining, processes: Processes, *, seed: int, folder: Path
) -> None:
    """Train, and let the first process write the files of `paper_reference`."""
    train, test = image_folders(images, space)
    train.transform = augmentation(settings, space.input_shape)
    steps = TrainingSteps(train, settings, settings.plan(len(train), processes.count), seed, processes)
    tests = test_loader(test, settings, processes)
    trainee, checkpoint = (
        Trainee(to_torch(space.network(space.reference), seed), settings, processes),
        folder / "checkpoint.pt",
    )
    log = trainee.restore(checkpoint)
    epochs: Any = range(len(log), settings.epochs)
    for epoch in track(epochs, "train reference", settings.epochs, len(log)) if processes.leads else epochs:
        started = time.perf_counter()
        rate = trainee.begin(epoch)
        with drawing(seed, NETWORK, epoch, processes.number, device=processes.device):
            loss = _mean([trainee.step(batches) for batches in steps.epoch(epoch)], processes)
        if not math.isfinite(loss):
            raise BadSetting(
                f"the loss of epoch {epoch} must be finite", found=loss, cure="lower reference.learning_rate"
            )
        plain, averaged = top1_percents([trainee.network, trainee.averaged], tests, processes)
        seconds = time.perf_counter() - started
        log.append(dict(zip(LOG, (epoch, rate, loss, plain, averaged, seconds), strict=True)))
        if processes.leads:
            trainee.save(checkpoint, log)
            write_atomic(folder / "epochs.csv", _csv(log))
    if processes.leads:
        write_atomic(folder / "epochs.csv", _csv(log))  # a kill may have come between checkpoint and log
        save_weights(trainee.averaged, folder / "weights.safetensors")
        write_toml(folder / "reference.toml", _facts(log, len(test), seed, processes.count))
        checkpoint.unlink(missing_ok=True)
    processes.meet()  # nobody reads the files before they are there


def top1_percents(networks: Sequence[nn.Module], tests: DataLoader[Any], processes: Processes) -> tuple[float, ...]:
    """Return the share of all processes' test images that each network classifies right, in per cent; images are read once."""
    for network in networks:
        processes.share_buffers(network.eval())
    right, images = [0] * len(networks), 0
    with torch.no_grad():
        for pixels, labels in moved(tests, processes):
            images += len(labels)
            for number, network in enumerate(networks):
                right[number] += int((network(pixels).argmax(1) == labels).sum())
    *rights, total = processes.sums([*right, images])
    return tuple(100 * found / total for found in rights)


def _mean(losses: list[Tensor], processes: Processes) -> float:
    """Return the mean loss of an epoch over all processes."""
    return processes.sums([float(torch.stack(losses).mean())])[0] / processes.count


def _facts(log: list[dict[str, float]], images: int, seed: int, processes: int) -> dict[str, float]:
    return {
        "top1_percent": log[-1]["averaged_top1_percent"],  # of the weights that are kept
        "unaveraged_top1_percent": log[-1]["top1_percent"],
        "train_s": sum(record["seconds"] for record in log),
        "test_images": images,
        "seed": seed,
        "processes": processes,
    }


def _csv(log: list[dict[str, float]]) -> str:
    rows = [",".join(f"{record[name]:.9g}" for name in LOG) for record in log]
    return "\n".join([",".join(LOG), *rows, ""])
