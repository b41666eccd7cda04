"""The reference network, trained from scratch as the paper trains it (A.1)."""

from __future__ import annotations

from pathlib import Path

from donna_hw._core import torchvision_compat
from donna_hw._core.toml_files import write_toml
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces.space import Space
from donna_hw.training.checkpoints import load_weights, save_weights
from donna_hw.training.data.image_folder import open_image_folders
from donna_hw.training.large_scale.config import PaperTrainingConfig
from donna_hw.training.large_scale.distributed import DistributedContext, distributed_context
from donna_hw.training.large_scale.epochs import Log, TrainingJob, train_epochs
from donna_hw.training.large_scale.loaders import TrainingSteps, create_test_loader, create_train_transform
from donna_hw.training.large_scale.trainer import Trainer


def train_or_load_paper_reference(
    space: Space, images: str, settings: PaperTrainingConfig, *, seed: int, folder: Path
) -> GraphModule:
    """Return the space's reference network with averaged weights, trained on a folder of images, in evaluation mode.

    Each epoch ends with a checkpoint, from which an interrupted training resumes. Each process that torch's launcher started must
    call this.

    Args:
        space: The search space.
        images: The folder of images.
        settings: How the network is trained.
        seed: Seed of the training.
        folder: Where `weights.safetensors` and `reference.toml` are saved, and read back when they exist; `epochs.csv` is the log.

    Raises:
        UnavailableError: Without timm or torchvision.
        ConfigError, FileFormatError: As `open_image_folders` and `PaperTrainingConfig.steps_per_epoch`.
    """
    if not (folder / "reference.toml").exists():
        torchvision_compat.require_torchvision("training as in the paper", "timm")
        with distributed_context() as processes:
            train_reference(space, images, settings, processes, seed=seed, folder=folder)
    network = to_torch(space.network_graph(space.reference), seed)
    load_weights(network, folder / "weights.safetensors")
    return network.eval()


def train_reference(
    space: Space, images: str, settings: PaperTrainingConfig, processes: DistributedContext, *, seed: int, folder: Path
) -> None:
    """Train the reference; the first process writes the files of `train_or_load_paper_reference`."""
    train, test = open_image_folders(images, space)
    train.transform = create_train_transform(settings, space.input_shape)
    steps = TrainingSteps(train, settings, settings.steps_per_epoch(len(train), processes.world_size), seed, processes)
    tests = create_test_loader(test, settings, processes)
    trainer = Trainer(to_torch(space.network_graph(space.reference), seed), settings, processes)
    job = TrainingJob("train reference", steps, tests, seed, folder / "checkpoint.pt", folder / "epochs.csv")
    log = train_epochs(trainer, job)
    if processes.is_main:
        save_weights(trainer.ema_network, folder / "weights.safetensors")
        write_toml(folder / "reference.toml", _facts(log, len(test), seed, processes.world_size))
        job.checkpoint.unlink(missing_ok=True)
    processes.barrier()  # no process reads the files before they exist


def _facts(log: Log, images: int, seed: int, processes: int) -> dict[str, float]:
    return {
        "top1_percent": log[-1]["ema_top1_percent"],  # of the averaged weights, which are saved
        "raw_top1_percent": log[-1]["top1_percent"],
        "train_s": sum(record["seconds"] for record in log),
        "test_images": images,
        "seed": seed,
        "processes": processes,
    }
