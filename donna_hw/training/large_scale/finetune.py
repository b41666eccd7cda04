"""Whole networks finetuned as in the paper (A.1): by end-to-end distillation on streamed images, in one process or several."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Subset

from donna_hw._core import torchvision_compat
from donna_hw._core.progress import track
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Architecture, Space
from donna_hw.training.checkpoints import save_weights
from donna_hw.training.data.dataset import split_indices
from donna_hw.training.data.image_folder import open_image_folders
from donna_hw.training.executors import Executor
from donna_hw.training.finetuning.finetune import stitch_network, update_bn_stats_from_batches
from donna_hw.training.large_scale.config import PaperFinetuneConfig, PaperTrainingConfig
from donna_hw.training.large_scale.distributed import DistributedContext, distributed_context
from donna_hw.training.large_scale.epochs import TrainingJob, evaluate_networks, train_epochs
from donna_hw.training.large_scale.loaders import (
    TrainingSteps,
    create_subset_loader,
    create_test_loader,
    create_train_transform,
    iterate_on_device,
)
from donna_hw.training.large_scale.trainer import Teacher, Trainer
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary, FinetunedNetwork
from donna_hw.training.reference import TeacherFile

BN_IMAGES, BN_BATCH = 2000, 250  # images by which batch-norms are re-estimated


@dataclass(frozen=True)
class TrainingData:
    """What networks start from and are trained on.

    Args:
        blocks: The folder of the Block Library.
        reference: The file of the trained reference's weights.
        teacher: The network that gives the soft labels.
        images: The folder of images.
        held_out: Number of its train images that are not trained on, the same ones as for blocks.
        split_seed: Determines which images are held out.
    """

    blocks: Path
    reference: Path
    teacher: TeacherFile
    images: str
    held_out: int
    split_seed: int

    def open_splits(self, space: Space) -> tuple[Any, Any, Any]:
        """Return the images (to train on, held out, to test on), all of them transformed as for evaluation."""
        train, test = open_image_folders(self.images, space)
        rest, held_out = split_indices(len(train), self.held_out, self.split_seed)
        return Subset(train, rest.tolist()), Subset(train, held_out.tolist()), test


@dataclass(frozen=True)
class TrainingSetup:
    """The common settings of training several whole networks.

    With `PaperFinetuneConfig` networks start from the Block Library and have a teacher. With a plain `PaperTrainingConfig` they start
    from random weights and learn hard labels only, which is role `scratch`.

    Args:
        library: Where the networks and their accuracies are saved.
        role: The role that they are recorded under.
        data: What they start from and are trained on.
        settings: How they are trained.
        seed: Seed of the setup.
    """

    library: ArchitectureLibrary
    role: str
    data: TrainingData
    settings: PaperTrainingConfig
    seed: int


@dataclass(frozen=True)
class StudentTask:
    """What a host of a cluster needs to train one network: a `TrainingSetup` with names instead of objects, and the network."""

    space: str
    library: Path
    role: str
    data: TrainingData
    settings: PaperTrainingConfig
    seed: int
    architecture: Architecture


def finetune_as_paper(
    setup: TrainingSetup, architectures: Sequence[Architecture], hosts: Executor | None = None
) -> None:
    """Train each architecture that the library does not hold yet, one after another, each in all processes.

    The averaged weights are saved, and their accuracy after every epoch. `epochs/` in the library's folder has a log of each training.
    An interrupted training resumes after its last epoch. Each process that torch's launcher started must call this.

    Args:
        setup: The common settings of the setup.
        architectures: The networks.
        hosts: The hosts of a cluster, each of which then trains another network alone, with the result of a single process.

    Raises:
        UnavailableError: Without timm or torchvision.
        ConfigError, FileFormatError: As `open_image_folders` and `PaperTrainingConfig.steps_per_epoch`.
    """
    torchvision_compat.require_torchvision("training as in the paper", "timm")
    if hosts is not None:
        _train_on_hosts(hosts, setup, architectures)
        return
    with distributed_context() as processes:
        processes.barrier()  # until the files that the first process wrote exist
        pending, total = _select_pending(setup, architectures)
        for number, architecture in enumerate(pending, start=1 + total - len(pending)):
            network = _train(setup, architecture, processes, f"finetune {setup.role} {number}/{total}")
            if processes.is_main:
                _record(setup, network)
            processes.barrier()  # no process starts the next network before this one is saved


def train_student(task: StudentTask) -> FinetunedNetwork:
    """Train one network on a host, and save it; a training that a killed host began resumes after its last epoch."""
    torchvision_compat.require_torchvision("training as in the paper", "timm")
    library = ArchitectureLibrary(task.library, load_space(task.space))
    setup = TrainingSetup(library, task.role, task.data, task.settings, task.seed)
    with distributed_context() as processes:
        return _train(setup, task.architecture, processes, f"finetune {task.role}")


def _train_on_hosts(hosts: Executor, setup: TrainingSetup, architectures: Sequence[Architecture]) -> None:
    library, space = setup.library, setup.library.space
    pending, total = _select_pending(setup, architectures)
    pending.sort(key=lambda architecture: -space.network_graph(architecture).macs)  # longest first
    tasks = [
        StudentTask(
            space.load_name or space.name,
            library.folder,
            setup.role,
            setup.data,
            setup.settings,
            setup.seed,
            architecture,
        )
        for architecture in pending
    ]
    for _, network in track(hosts.map(train_student, tasks), f"finetune {setup.role}", total, total - len(pending)):
        _record(setup, network)


def _select_pending(setup: TrainingSetup, architectures: Sequence[Architecture]) -> tuple[list[Architecture], int]:
    """Return the architectures that are not trained yet, and the number of all different ones."""
    recorded, different = setup.library.recorded_networks(setup.role), list(dict.fromkeys(architectures))
    return [architecture for architecture in different if (architecture, setup.seed) not in recorded], len(different)


def _record(setup: TrainingSetup, network: FinetunedNetwork) -> None:
    setup.library.add(network)
    _checkpoint_path(setup, network.architecture).unlink(missing_ok=True)


def _checkpoint_path(setup: TrainingSetup, architecture: Architecture) -> Path:
    library = setup.library
    weights = library.weights_path(architecture, setup.seed, setup.role)
    return library.folder / "checkpoints" / f"{weights.stem}.pt"


def _train(
    setup: TrainingSetup, architecture: Architecture, processes: DistributedContext, title: str
) -> FinetunedNetwork:
    library, settings, seed = setup.library, setup.settings, setup.seed
    train, held_out, test = setup.data.open_splits(library.space)
    network, teacher = _initialize(setup, architecture, train, processes)
    stitched_percent = float("nan")
    if teacher is not None:
        (stitched_percent,) = evaluate_networks([network], create_test_loader(held_out, settings, processes), processes)
    trainer = Trainer(network, settings, processes, teacher)
    dataset = copy.copy(train.dataset)
    dataset.transform = create_train_transform(settings, library.space.input_shape)
    augmented = Subset(dataset, train.indices)
    steps = TrainingSteps(
        augmented, settings, settings.steps_per_epoch(len(augmented), processes.world_size), seed, processes
    )
    weights = library.weights_path(architecture, seed, setup.role)
    checkpoint, log_file = _checkpoint_path(setup, architecture), library.folder / f"epochs/{weights.stem}.csv"
    log = train_epochs(
        trainer, TrainingJob(title, steps, create_test_loader(test, settings, processes), seed, checkpoint, log_file)
    )
    if processes.is_main:
        save_weights(trainer.ema_network, weights)
    curve = tuple(record["ema_top1_percent"] for record in log)
    seconds = sum(record["seconds"] for record in log)
    return FinetunedNetwork(setup.role, architecture, seed, curve[-1], stitched_percent, curve, seconds)


def _initialize(
    setup: TrainingSetup, architecture: Architecture, train: Any, processes: DistributedContext
) -> tuple[GraphModule, Teacher | None]:
    """Return the network before its training, and its teacher.

    A stitched network's batch-norms are re-estimated on train images that are transformed as for evaluation.
    """
    space, data, settings = setup.library.space, setup.data, setup.settings
    if not isinstance(settings, PaperFinetuneConfig):
        return to_torch(space.network_graph(architecture), setup.seed), None
    network = stitch_network(space, architecture, BlockLibrary(data.blocks, space), data.reference)
    network.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(data.split_seed))
    # full batches only, since a partial one may be a single image, which has no variance
    full_batches = len(train) // BN_BATCH * BN_BATCH or len(train)
    loader = create_subset_loader(train, order[: min(BN_IMAGES, full_batches)].tolist(), settings, BN_BATCH)
    update_bn_stats_from_batches(network, (images for images, _ in iterate_on_device(loader, processes)))
    return network, Teacher(data.teacher.module(), settings.hard_label_weight, settings.temperature)
