"""How training images come from the disk: augmented as timm does, shared out over processes, loaded by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, default_collate
from torch.utils.data.distributed import DistributedSampler

from donna_hw.blocks.layers import Shape
from donna_hw.data.image_folder import MEAN, STD
from donna_hw.errors import DonnaError
from donna_hw.training.processes import Processes
from donna_hw.training.randomness import drawing
from donna_hw.training.settings import PaperTraining, Plan

Batch = tuple[Tensor, Tensor]  # images [n, 3, height, width], labels [n]


def augmentation(settings: PaperTraining, shape: Shape) -> Callable[[Any], Tensor]:
    """Return what a training image goes through, by timm: a random crop resized, half mirrored, RandAugment, erasing."""
    from timm.data import create_transform

    transform: Callable[[Any], Tensor] = create_transform(
        (shape[-2], shape[-1]),
        is_training=True,
        interpolation="random",
        mean=MEAN,
        std=STD,
        auto_augment=settings.randaugment or None,
        re_prob=settings.random_erasing,
        re_mode="pixel",
    )
    return transform


class Drawn(Dataset[Any]):
    """The training images, each augmented by the randomness of its epoch and its number; one that cannot be read is its error."""

    def __init__(self, images: Any, seed: int) -> None:
        self.images, self.seed, self.epoch = images, seed, 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> Any:
        with drawing(self.seed, self.epoch, number):
            return readable(self.images, number)


class Plain(Subset[Any]):
    """Some test images as they are; one that cannot be read is its error."""

    def __getitem__(self, number: int) -> Any:
        return readable(self.dataset, self.indices[number])


def readable(images: Any, number: int) -> Any:
    """Return (image, label), or the error: a worker would hand it over as a traceback."""
    try:
        return images[number]
    except DonnaError as error:
        return error


def collated(items: Sequence[Any]) -> Any:
    """Return a batch, or the first error in it."""
    errors = [item for item in items if isinstance(item, DonnaError)]
    return errors[0] if errors else default_collate(list(items))


class TrainingSteps:
    """The batches of every optimiser step of an epoch, of which this process gets its share of the images."""

    def __init__(self, images: Any, settings: PaperTraining, plan: Plan, seed: int, processes: Processes) -> None:
        self.plan, self.processes = plan, processes
        self.images = Drawn(images, seed)
        self.order: DistributedSampler[Any] = DistributedSampler(
            self.images, processes.count, processes.number, shuffle=True, seed=seed, drop_last=True
        )
        self.loader = _loader(self.images, settings, processes, self.order)

    def epoch(self, number: int) -> Iterator[list[Batch]]:
        """Yield the batches of each step in the epoch's own random order; the images of the last, broken step are left out."""
        self.images.epoch = number
        self.order.set_epoch(number)
        step: list[Batch] = []
        left = self.plan.steps * self.plan.batches_a_step
        for batch in moved(self.loader, self.processes):
            step.append(batch)
            if len(step) == self.plan.batches_a_step:
                yield step
                step = []
            left -= 1
            if not left:
                return


def test_loader(images: Any, settings: PaperTraining, processes: Processes) -> DataLoader[Any]:
    """Return the loader of this process's share of the test images."""
    return _loader(
        Plain(images, range(processes.number, len(images), processes.count)), settings, processes, order=None
    )


def moved(loader: DataLoader[Any], processes: Processes) -> Iterator[Batch]:
    """Yield the batches on the process's device, channels last in memory; raises the error of an image that cannot be read."""
    for batch in loader:
        if isinstance(batch, DonnaError):
            raise batch
        images, labels = batch
        yield (
            images.to(processes.device, non_blocking=True, memory_format=torch.channels_last),
            labels.to(processes.device, non_blocking=True),
        )


def _loader(
    images: Dataset[Any], settings: PaperTraining, processes: Processes, order: DistributedSampler[Any] | None
) -> DataLoader[Any]:
    return DataLoader(
        images,
        settings.images_at_once,
        sampler=order,
        num_workers=settings.data_workers,
        collate_fn=collated,
        drop_last=order is not None,
        pin_memory=processes.kind == "cuda",
        generator=torch.Generator().manual_seed(0),  # a loader draws a seed for its workers, which none of them uses
    )
