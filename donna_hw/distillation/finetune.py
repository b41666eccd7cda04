"""End-to-end knowledge distillation (EKD): whole networks, initialised from the Block Library, learn hard and soft labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
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
    """What a worker needs to finetune one network; from_scratch: its weights are drawn by `seed`, not the library's."""

    space: str
    architecture: Architecture
    start: Start
    ekd: Ekd
    seed: int
    weights: str
    from_scratch: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a finetuning gave: accuracies in per cent as `Finetuned` has them, and the seconds it took."""

    curve_percent: tuple[float, ...]
    stitched_percent: float
    train_s: float


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
    """Finetune by `seed` each architecture of which the library holds no finetuning by it, and record it under `role`.

    Those of role `scratch` begin with random weights; they and the others do not stand for each other. A network's result depends on
    `seed`, its layers and the lessons only, which are those that `save_lessons` wrote by the same seed.
    """
    space, from_scratch = library.space, role == "scratch"
    done = {
        network.architecture
        for network in library.networks()
        if network.seed == seed and (network.role == "scratch") == from_scratch
    }
    todo = [architecture for architecture in dict.fromkeys(architectures) if architecture not in done]
    if not todo:
        return
    todo.sort(key=lambda architecture: -space.network(architecture).macs)  # longest first
    name = space.address or space.name
    tasks = [
        NetworkTask(name, a, start, ekd, seed, str(library.weights_path(a, seed, role)), from_scratch) for a in todo
    ]
    total = len(set(architectures))
    for task, outcome in track(pool.map(finetune_one, tasks), f"finetune {role}", total, total - len(todo)):
        library.journal.append(
            {
                "role": role,
                "network": library.name(task.architecture),
                "seed": seed,
                "top1_percent": f"{outcome.curve_percent[-1]:.4f}",
                "stitched_percent": f"{outcome.stitched_percent:.4f}",
                "curve_percent": " ".join(f"{share:.4f}" for share in outcome.curve_percent),
                "train_s": f"{outcome.train_s:.2f}",
            }
        )


def finetune_one(task: NetworkTask) -> Outcome:
    """Finetune one network, and save it."""
    started = time.perf_counter()
    space, start = load_space(task.space), task.start
    lessons = [_lesson(start.lessons, epoch) for epoch in range(task.ekd.fit.epochs)]
    test, held_out = (
        Images(_pixels(start.lessons / f"{part}.npy"), _labels(start.lessons, part)) for part in ("test", "held_out")
    )
    if task.from_scratch:
        network, share = to_torch(space.network(task.architecture), task.seed), float("nan")
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    else:
        network = stitched(space, task.architecture, BlockLibrary(start.blocks, space), start.reference)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        re_estimate(network, lessons[0][0])
        share = top1_percent(network, held_out)

    def loss(epoch: int, indices: Tensor) -> Tensor:
        pixels, labels, teacher = (part[indices] for part in lessons[epoch])
        return ekd_loss(network(pixels), labels, teacher, task.ekd.hard, task.ekd.temperature)

    curve: list[float] = []
    seed = (task.seed << 32) ^ int(layers_hash(network.graph)[:8], 16)
    train(
        network,
        len(lessons[0][0]),
        task.ekd.fit,
        seed,
        loss,
        after_epoch=lambda: curve.append(top1_percent(network, test)),
    )
    save_weights(network, Path(task.weights))
    return Outcome(tuple(curve), share, time.perf_counter() - started)


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


def re_estimate(network: nn.Module, pixels: Tensor, images: int = 2000, batch: int = 250) -> None:
    """Give every batch-norm the mean and variance of what now reaches it, over the first `images` of [n, channels, height, width].

    The statistics of blocks that were trained apart are of the teacher's feature maps, not of those of the blocks before them.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    network.train()
    with torch.no_grad():
        for part in torch.split(pixels[:images], batch):
            network(part)
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def save_lessons(teacher: GraphModule, data: Dataset, ekd: Ekd, *, seed: int, folder: Path) -> None:
    """Write what all networks learn from: each epoch's augmented images, labels and the teacher's logits, and the images
    that accuracies are of: test and held-out ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = min(ekd.images or len(data.train), len(data.train))
    for epoch in range(ekd.fit.epochs):
        generator = torch.Generator().manual_seed((seed << 16) + epoch)
        chosen = torch.randperm(len(data.train), generator=generator)[:count]
        pixels = augmented(data.train.pixels[chosen], data.augmentation, generator)
        _save(folder, f"epoch{epoch}", pixels, data.train.labels[chosen])
        np.save(folder / f"epoch{epoch}-logits.npy", outputs(teacher, pixels).numpy())
    _save(folder, "test", data.test.pixels, data.test.labels)
    _save(folder, "held_out", data.held_out.pixels, data.held_out.labels)


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
