"""End-to-end knowledge distillation (EKD): whole networks, initialised from the Block Library, learn hard and soft labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as f

from donna_hw.blocks.layers import layers_hash
from donna_hw.blocks.torch_module import GraphModule, to_torch
from donna_hw.data.images import Dataset, Images, augmented
from donna_hw.distillation.pool import Pool
from donna_hw.distillation.training import Fit, outputs, top1_percent, train
from donna_hw.distillation.weights import read_weights, save_weights
from donna_hw.errors import BadFile
from donna_hw.libraries import ArchitectureLibrary, BlockLibrary
from donna_hw.progress import track
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Architecture, Space


@dataclass(frozen=True)
class Ekd:
    """The paper's two labels: loss = hard * cross-entropy + (1 - hard) * T^2 * KL(teacher || student), both at temperature T.

    The weight and the temperature are our choice, settable; the paper does not give them.
    """

    fit: Fit
    images: int
    hard: float = 0.5
    temperature: float = 1.0


@dataclass(frozen=True)
class Start:
    """Where networks start from, as folders and files: the Block Library, the trained teacher's weights (which give the fixed
    parts), and the lessons that `save_lessons` prepared.
    """

    blocks: Path
    reference: Path
    lessons: Path


@dataclass(frozen=True)
class NetworkTask:
    """What a worker needs to finetune one network."""

    space: str
    architecture: Architecture
    start: Start
    ekd: Ekd
    seed: int
    weights: str


def finetune(
    library: ArchitectureLibrary,
    architectures: Sequence[Architecture],
    role: str,
    start: Start,
    ekd: Ekd,
    *,
    seed: int,
    pool: Pool,
) -> None:
    """Finetune each architecture that the library does not hold yet, and record it under `role`.

    A network's result depends on `seed` and its layers only.
    """
    space = library.space
    done = {network.architecture for network in library.networks()}
    todo = [architecture for architecture in dict.fromkeys(architectures) if architecture not in done]
    if not todo:
        return
    todo.sort(key=lambda architecture: -space.network(architecture).macs)  # longest first
    tasks = [NetworkTask(space.address or space.name, a, start, ekd, seed, str(library.weights_path(a))) for a in todo]
    total = len(set(architectures))
    for task, (top1, seconds) in track(pool.map(finetune_one, tasks), f"finetune {role}", total, total - len(todo)):
        library.journal.append(
            {
                "role": role,
                "network": library.name(task.architecture),
                "top1_percent": f"{top1:.4f}",
                "train_s": f"{seconds:.2f}",
            }
        )


def finetune_one(task: NetworkTask) -> tuple[float, float]:
    """Finetune one network, save it, and return its top-1 on the test images in per cent and the seconds it took."""
    space = load_space(task.space)
    start = task.start
    network = stitched(space, task.architecture, BlockLibrary(start.blocks, space), start.reference)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    lessons = [_lesson(start.lessons, epoch) for epoch in range(task.ekd.fit.epochs)]

    def loss(epoch: int, indices: Tensor) -> Tensor:
        pixels, labels, teacher = (part[indices] for part in lessons[epoch])
        return ekd_loss(network(pixels), labels, teacher, task.ekd.hard, task.ekd.temperature)

    seed = (task.seed << 32) ^ int(layers_hash(network.graph)[:8], 16)
    seconds = train(network, len(lessons[0][0]), task.ekd.fit, seed, loss)
    top1 = top1_percent(network, Images(_pixels(start.lessons / "test.npy"), _labels(start.lessons, "test")))
    save_weights(network, Path(task.weights))
    return top1, seconds


def ekd_loss(student: Tensor, labels: Tensor, teacher: Tensor, hard: float, temperature: float) -> Tensor:
    """Return the mean loss of a batch from logits [n, classes] and labels [n]; see `Ekd`."""
    soft = f.kl_div(
        f.log_softmax(student / temperature, 1),
        f.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return hard * f.cross_entropy(student, labels) + (1 - hard) * temperature**2 * soft


def stitched(space: Space, architecture: Architecture, blocks: BlockLibrary, reference: Path) -> GraphModule:
    """Return a whole network of trained blocks between the teacher's fixed parts, not yet finetuned."""
    network = to_torch(space.network(architecture), seed=0)
    state = {key: value for key, value in read_weights(reference).items() if key.split(".")[0] in space.fixed}
    for stage, number in zip(space.stages, architecture.blocks, strict=True):
        found = read_weights(blocks.weights_path(stage, number))
        state |= {f"{stage.name}.{key}": value for key, value in found.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise BadFile(
            f"{blocks.folder} must hold the weights of this space", found=str(error), cure="distil again"
        ) from None
    return network


def save_lessons(teacher: GraphModule, data: Dataset, ekd: Ekd, *, seed: int, folder: Path) -> None:
    """Write what all networks learn from: each epoch's augmented images, labels and the teacher's logits, and the test images."""
    folder.mkdir(parents=True, exist_ok=True)
    count = min(ekd.images or len(data.train), len(data.train))
    for epoch in range(ekd.fit.epochs):
        generator = torch.Generator().manual_seed((seed << 16) + epoch)
        chosen = torch.randperm(len(data.train), generator=generator)[:count]
        pixels = augmented(data.train.pixels[chosen], data.augmentation, generator)
        _save(folder, f"epoch{epoch}", pixels, data.train.labels[chosen])
        np.save(folder / f"epoch{epoch}-logits.npy", outputs(teacher, pixels).numpy())
    _save(folder, "test", data.test.pixels, data.test.labels)


def _save(folder: Path, name: str, pixels: Tensor, labels: Tensor) -> None:
    np.save(folder / f"{name}.npy", pixels.permute(0, 2, 3, 1).numpy())
    np.save(folder / f"{name}-labels.npy", labels.numpy())


def _lesson(folder: Path, epoch: int) -> tuple[Tensor, Tensor, Tensor]:
    logits = torch.from_numpy(np.load(folder / f"epoch{epoch}-logits.npy"))
    return _pixels(folder / f"epoch{epoch}.npy"), _labels(folder, f"epoch{epoch}"), logits


def _pixels(path: Path) -> Tensor:
    return torch.from_numpy(np.load(path, mmap_mode="c")).permute(0, 3, 1, 2)


def _labels(folder: Path, name: str) -> Tensor:
    return torch.from_numpy(np.load(folder / f"{name}-labels.npy"))
