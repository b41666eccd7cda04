"""Loading of training images from the disk: augmented by timm, divided among processes, loaded by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate
from torch.utils.data.distributed import DistributedSampler

from donna_hw._core.imagenet import IMAGENET_MEAN, IMAGENET_STD
from donna_hw.errors import DonnaError
from donna_hw.graph.graph import Shape
from donna_hw.training.large_scale.config import PaperTrainingConfig, StepsPerEpoch
from donna_hw.training.large_scale.distributed import DistributedContext
from donna_hw.training.large_scale.seeding import IMAGES, seeded_rng

Batch = tuple[Tensor, Tensor]  # images [n, 3, height, width], labels [n]


def create_train_transform(settings: PaperTrainingConfig, shape: Shape) -> Callable[[Any], Tensor]:
    """Return timm's transform of training images: a random resized crop, mirroring of half of them, RandAugment and erasing."""
    from timm.data import create_transform

    transform: Callable[[Any], Tensor] = create_transform(
        (shape[-2], shape[-1]),
        is_training=True,
        interpolation="random",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        auto_augment=settings.randaugment or None,
        re_prob=settings.random_erasing,
        re_mode="pixel",
    )
    return transform


class ErrorPassingDataset(Dataset[Any]):
    """Images with labels, where an unreadable image is its error, since an error raised in a worker arrives as a traceback."""

    def __init__(self, images: Any) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> Any:
        try:
            return self.images[number]
        except DonnaError as error:
            return error


class SeededDataset(ErrorPassingDataset):
    """Training images, each augmented by random numbers that its epoch and its index determine."""

    def __init__(self, images: Any, seed: int) -> None:
        super().__init__(images)
        self.seed, self.epoch = seed, 0

    def __getitem__(self, number: int) -> Any:
        with seeded_rng(self.seed, IMAGES, self.epoch, number):
            return super().__getitem__(number)


def collate(items: Sequence[Any]) -> Any:
    """Return a batch, or the first error in it."""
    errors = [item for item in items if isinstance(item, DonnaError)]
    return errors[0] if errors else default_collate(list(items))


class TrainingSteps:
    """The batches of every optimizer step of an epoch, from this process's share of the images."""

    def __init__(
        self, images: Any, settings: PaperTrainingConfig, plan: StepsPerEpoch, seed: int, processes: DistributedContext
    ) -> None:
        self.plan, self.processes = plan, processes
        self.images = SeededDataset(images, seed)
        self.order: DistributedSampler[Any] = DistributedSampler(
            self.images, processes.world_size, processes.rank, shuffle=True, seed=seed, drop_last=True
        )
        self.loader = _create_loader(self.images, settings, processes, self.order)

    def epoch(self, number: int) -> Iterator[list[Batch]]:
        """Yield the batches of each step in the random order of this epoch, without the images of a last, partial step."""
        self.images.epoch = number
        self.order.set_epoch(number)
        batches = iterate_on_device(self.loader, self.processes)
        for _ in range(self.plan.steps):
            yield list(islice(batches, self.plan.batches_per_step))


def create_test_loader(images: Any, settings: PaperTrainingConfig, processes: DistributedContext) -> DataLoader[Any]:
    """Return a loader of this process's share of the test images."""
    return _create_loader(
        ErrorPassingDataset(images), settings, processes, range(processes.rank, len(images), processes.world_size)
    )


def create_subset_loader(
    images: Any, numbers: Sequence[int], settings: PaperTrainingConfig, batch: int
) -> DataLoader[Any]:
    """Return a loader of the images with these numbers in this order, all of them in every process."""
    return DataLoader(
        ErrorPassingDataset(images), batch, sampler=numbers, num_workers=settings.data_workers, collate_fn=collate
    )


def iterate_on_device(loader: DataLoader[Any], processes: DistributedContext) -> Iterator[Batch]:
    """Yield the batches on the process's device, channels last in memory; raises the error of an unreadable image."""
    for batch in loader:
        if isinstance(batch, DonnaError):
            raise batch
        images, labels = batch
        yield (
            images.to(processes.device, non_blocking=True, memory_format=torch.channels_last),
            labels.to(processes.device, non_blocking=True),
        )


def _create_loader(
    images: Dataset[Any], settings: PaperTrainingConfig, processes: DistributedContext, order: Iterable[int]
) -> DataLoader[Any]:
    return DataLoader(
        images,
        settings.micro_batch,
        sampler=order,
        num_workers=settings.data_workers,
        collate_fn=collate,
        pin_memory=processes.device_type == "cuda",
        generator=torch.Generator().manual_seed(0),  # a loader draws a seed for its workers, which they do not use
    )
