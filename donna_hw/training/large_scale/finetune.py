"""Whole networks finetuned as the paper does (A.1): by end-to-end distillation from a stream of images, in one process or several."""

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

BN_IMAGES, BN_BATCH = 2000, 250  # images that batch-norms are re-estimated by


@dataclass(frozen=True)
class TrainingData:
    """Where students start from and what they learn from: the Block Library, the reference's weights, a teacher, a folder of images.

    Of its train images, `held_out` are drawn by `split_seed` and not trained on, the same ones as for blocks.
    """

    blocks: Path
    reference: Path
    teacher: TeacherFile
    images: str
    held_out: int
    split_seed: int

    def open_splits(self, space: Space) -> tuple[Any, Any, Any]:
        """Return the images (to train, held out, to test), all of them as for evaluation."""
        train, test = open_image_folders(self.images, space)
        rest, held = split_indices(len(train), self.held_out, self.split_seed)
        return Subset(train, rest.tolist()), Subset(train, held.tolist()), test


@dataclass(frozen=True)
class TrainingSetup:
    """Trainings of whole networks, all alike: into which library, as which role, from and on what, how, by which seed.

    With `PaperFinetuneConfig` networks start from the Block Library and have a teacher; with plain `PaperTrainingConfig` they start from random
    weights and learn hard labels only, as role `scratch` wants it.
    """

    library: ArchitectureLibrary
    role: str
    data: TrainingData
    settings: PaperTrainingConfig
    seed: int


@dataclass(frozen=True)
class StudentTask:
    """What a host of a cluster needs to train one network: names for the space and the library, and what `TrainingSetup` has."""

    space: str
    library: Path
    role: str
    data: TrainingData
    settings: PaperTrainingConfig
    seed: int
    architecture: Architecture


def finetune_as_paper(
    trainings: TrainingSetup, architectures: Sequence[Architecture], hosts: Executor | None = None
) -> None:
    """Train each architecture of which the library has no such training, one after another, each by all processes.

    With the hosts of a cluster each trains a network of its own, alone, and its end is the one that a single process gives.

    Averaged weights are kept, and their accuracy after every epoch; `epochs/` in the library's folder has a log for each training.
    An interrupted one goes on from its last epoch. Each of the processes that torch's launcher started must call this.
    Raises `Unavailable` without timm, and what `open_image_folders` and `PaperTrainingConfig.plan` raise.
    """
    torchvision_compat.require_torchvision("training as the paper does", "timm")
    if hosts is not None:
        _train_on_hosts(hosts, trainings, architectures)
        return
    with distributed_context() as processes:
        processes.barrier()  # what the first one wrote before is there
        todo, total = _select_pending(trainings, architectures)
        for number, architecture in enumerate(todo, start=1 + total - len(todo)):
            found = _train(trainings, architecture, processes, f"finetune {trainings.role} {number}/{total}")
            if processes.is_main:
                _record(trainings, found)
            processes.barrier()  # nobody begins the next before this one is kept


def train_student(task: StudentTask) -> FinetunedNetwork:
    """Train one network on a host, and save it; one that a killed host has begun goes on from its last epoch."""
    torchvision_compat.require_torchvision("training as the paper does", "timm")
    library = ArchitectureLibrary(task.library, load_space(task.space))
    trainings = TrainingSetup(library, task.role, task.data, task.settings, task.seed)
    with distributed_context() as processes:
        return _train(trainings, task.architecture, processes, f"finetune {task.role}")


def _train_on_hosts(hosts: Executor, trainings: TrainingSetup, architectures: Sequence[Architecture]) -> None:
    library, space = trainings.library, trainings.library.space
    todo, total = _select_pending(trainings, architectures)
    todo.sort(key=lambda architecture: -space.network_graph(architecture).macs)  # longest first
    tasks = [
        StudentTask(
            space.load_name or space.name,
            library.folder,
            trainings.role,
            trainings.data,
            trainings.settings,
            trainings.seed,
            architecture,
        )
        for architecture in todo
    ]
    for _, found in track(hosts.map(train_student, tasks), f"finetune {trainings.role}", total, total - len(todo)):
        _record(trainings, found)


def _select_pending(trainings: TrainingSetup, architectures: Sequence[Architecture]) -> tuple[list[Architecture], int]:
    """Return the architectures that are not trained yet, and how many different ones there are in all."""
    known, wanted = trainings.library.recorded_networks(trainings.role), list(dict.fromkeys(architectures))
    return [architecture for architecture in wanted if (architecture, trainings.seed) not in known], len(wanted)


def _record(trainings: TrainingSetup, found: FinetunedNetwork) -> None:
    trainings.library.add(found)
    _checkpoint(trainings, found.architecture).unlink(missing_ok=True)


def _checkpoint(trainings: TrainingSetup, architecture: Architecture) -> Path:
    library = trainings.library
    weights = library.weights_path(architecture, trainings.seed, trainings.role)
    return library.folder / "checkpoints" / f"{weights.stem}.pt"


def _train(
    trainings: TrainingSetup, architecture: Architecture, processes: DistributedContext, title: str
) -> FinetunedNetwork:
    library, settings, seed = trainings.library, trainings.settings, trainings.seed
    train, held_out, test = trainings.data.open_splits(library.space)
    network, teacher = _initialize(trainings, architecture, train, processes)
    share = float("nan")
    if teacher is not None:
        (share,) = evaluate_networks([network], create_test_loader(held_out, settings, processes), processes)
    trainee = Trainer(network, settings, processes, teacher)
    folder = copy.copy(train.dataset)
    folder.transform = create_train_transform(settings, library.space.input_shape)
    augmented = Subset(folder, train.indices)
    steps = TrainingSteps(
        augmented, settings, settings.steps_per_epoch(len(augmented), processes.world_size), seed, processes
    )
    weights = library.weights_path(architecture, seed, trainings.role)
    checkpoint, log_file = _checkpoint(trainings, architecture), library.folder / f"epochs/{weights.stem}.csv"
    log = train_epochs(
        trainee, TrainingJob(title, steps, create_test_loader(test, settings, processes), seed, checkpoint, log_file)
    )
    if processes.is_main:
        save_weights(trainee.ema_network, weights)
    curve = tuple(record["ema_top1_percent"] for record in log)
    seconds = sum(record["seconds"] for record in log)
    return FinetunedNetwork(trainings.role, architecture, seed, curve[-1], share, curve, seconds)


def _initialize(
    trainings: TrainingSetup, architecture: Architecture, train: Any, processes: DistributedContext
) -> tuple[GraphModule, Teacher | None]:
    """Return the network before its training, and its teacher.

    A stitched network's batch-norms are re-estimated on train images as they are for evaluation, which its first accuracy is of.
    """
    space, streams, settings = trainings.library.space, trainings.data, trainings.settings
    if not isinstance(settings, PaperFinetuneConfig):
        return to_torch(space.network_graph(architecture), trainings.seed), None
    network = stitch_network(space, architecture, BlockLibrary(streams.blocks, space), streams.reference)
    network.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(streams.split_seed))
    whole = len(train) // BN_BATCH * BN_BATCH or len(
        train
    )  # a broken part may be a single image, which has no variance
    loader = create_subset_loader(train, order[: min(BN_IMAGES, whole)].tolist(), settings, BN_BATCH)
    update_bn_stats_from_batches(network, (images for images, _ in iterate_on_device(loader, processes)))
    return network, Teacher(streams.teacher.module(), settings.hard_label_weight, settings.temperature)
