"""Whole networks finetuned as the paper does (A.1): by end-to-end distillation from a stream of images, in one process or several."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Subset

from donna_hw import torchvision
from donna_hw.blocks.torch_module import GraphModule, to_torch
from donna_hw.data.image_folder import image_folders
from donna_hw.data.images import split
from donna_hw.distillation.finetune import re_estimate_by, stitched
from donna_hw.distillation.weights import load_weights, save_weights
from donna_hw.libraries import ArchitectureLibrary, BlockLibrary, Finetuned
from donna_hw.spaces.space import Architecture, Space
from donna_hw.training.epochs import Course, top1_percents, train_epochs
from donna_hw.training.loading import TrainingSteps, augmentation, moved, part_loader, test_loader
from donna_hw.training.processes import Processes, joined
from donna_hw.training.settings import PaperFinetuning, PaperTraining
from donna_hw.training.trainee import Teacher, Trainee

RE_ESTIMATED, AT_ONCE = 2000, 250  # images that batch-norms are re-estimated by


@dataclass(frozen=True)
class Streams:
    """Where students start from and what they learn from: the Block Library, the teacher's weights, a folder of images.

    Of its train images, `held_out` are drawn by `split_seed` and not trained on, the same ones as for blocks.
    """

    blocks: Path
    reference: Path
    images: str
    held_out: int
    split_seed: int

    def folders(self, space: Space) -> tuple[Any, Any, Any]:
        """Return the images (to train, held out, to test), all of them as for evaluation."""
        train, test = image_folders(self.images, space)
        rest, held = split(len(train), self.held_out, self.split_seed)
        return Subset(train, rest.tolist()), Subset(train, held.tolist()), test


@dataclass(frozen=True)
class PaperTrainings:
    """Trainings of whole networks, all alike: into which library, as which role, from and on what, how, by which seed.

    With `PaperFinetuning` networks start from the Block Library and have a teacher; with plain `PaperTraining` they start from random
    weights and learn hard labels only, as role `scratch` wants it.
    """

    library: ArchitectureLibrary
    role: str
    streams: Streams
    settings: PaperTraining
    seed: int


def paper_finetune(trainings: PaperTrainings, architectures: Sequence[Architecture]) -> None:
    """Train each architecture of which the library has no such training, one after another, each by all processes.

    Averaged weights are kept, and their accuracy after every epoch; `epochs/` in the library's folder has a log for each training.
    An interrupted one goes on from its last epoch. Each of the processes that torch's launcher started must call this.
    Raises `Unavailable` without timm, and what `image_folders` and `PaperTraining.plan` raise.
    """
    torchvision.required("training as the paper does", "timm")
    with joined() as processes:
        processes.meet()  # what the first one wrote before is there
        known, wanted = trainings.library.known(trainings.role), list(dict.fromkeys(architectures))
        todo = [architecture for architecture in wanted if (architecture, trainings.seed) not in known]
        for number, architecture in enumerate(todo, start=1 + len(wanted) - len(todo)):
            _train(trainings, architecture, processes, f"finetune {trainings.role} {number}/{len(wanted)}")


def _train(trainings: PaperTrainings, architecture: Architecture, processes: Processes, title: str) -> None:
    library, settings, seed = trainings.library, trainings.settings, trainings.seed
    train, held_out, test = trainings.streams.folders(library.space)
    network, teacher = _beginning(trainings, architecture, train, processes)
    share = float("nan")
    if teacher is not None:
        (share,) = top1_percents([network], test_loader(held_out, settings, processes), processes)
    trainee = Trainee(network, settings, processes, teacher)
    folder = copy.copy(train.dataset)
    folder.transform = augmentation(settings, library.space.input_shape)
    augmented = Subset(folder, train.indices)
    steps = TrainingSteps(augmented, settings, settings.plan(len(augmented), processes.count), seed, processes)
    weights = library.weights_path(architecture, seed, trainings.role)
    checkpoint, log_file = (
        library.folder / place for place in (f"checkpoints/{weights.stem}.pt", f"epochs/{weights.stem}.csv")
    )
    log = train_epochs(
        trainee, Course(title, steps, test_loader(test, settings, processes), seed, checkpoint, log_file)
    )
    if processes.leads:
        save_weights(trainee.averaged, weights)
        curve = tuple(record["averaged_top1_percent"] for record in log)
        seconds = sum(record["seconds"] for record in log)
        library.add(Finetuned(trainings.role, architecture, seed, curve[-1], share, curve, seconds))
        checkpoint.unlink(missing_ok=True)
    processes.meet()  # nobody begins the next before this one is kept


def _beginning(
    trainings: PaperTrainings, architecture: Architecture, train: Any, processes: Processes
) -> tuple[GraphModule, Teacher | None]:
    """Return the network before its training, and its teacher.

    A stitched network's batch-norms are re-estimated on train images as they are for evaluation, which its first accuracy is of.
    """
    space, streams, settings = trainings.library.space, trainings.streams, trainings.settings
    if not isinstance(settings, PaperFinetuning):
        return to_torch(space.network(architecture), trainings.seed), None
    network = stitched(space, architecture, BlockLibrary(streams.blocks, space), streams.reference)
    network.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(streams.split_seed))
    whole = len(train) // AT_ONCE * AT_ONCE or len(train)  # a broken part may be a single image, which has no variance
    loader = part_loader(train, order[: min(RE_ESTIMATED, whole)].tolist(), settings, AT_ONCE)
    re_estimate_by(network, (images for images, _ in moved(loader, processes)))
    teacher = to_torch(space.network(space.reference))
    load_weights(teacher, streams.reference)
    return network, Teacher(teacher, settings.hard, settings.temperature)
