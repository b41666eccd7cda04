"""End-to-end knowledge distillation (EKD): whole networks, initialised from the Block Library, learn hard and soft labels."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from donna_hw._core.progress import track
from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.graph.graph import graph_dtypes, layers_hash
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Architecture, Space
from donna_hw.training.checkpoints import read_weights, save_weights
from donna_hw.training.data.dataset import Augmentation
from donna_hw.training.executors import Executor
from donna_hw.training.finetuning.loss import ekd_loss
from donna_hw.training.finetuning.targets import Lessons, load_distill_batches, read_images, stream_distill_batches
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary, FinetunedNetwork
from donna_hw.training.loop import OptimConfig, evaluate_top1, train
from donna_hw.training.reference import TeacherFile


@dataclass(frozen=True)
class FinetuneConfig:
    """The paper's two labels: loss = hard * cross-entropy + (1 - hard) * T^2 * KL(teacher || student), both at temperature T.

    The weight and the temperature are our choice, settable; the paper does not give them.
    """

    optim: OptimConfig
    images: int
    hard_label_weight: float = 0.5
    temperature: float = 1.0


@dataclass(frozen=True)
class Initialization:
    """Where networks start from, as folders and files: the Block Library, the trained reference's weights (which give the fixed
    parts), and the lessons that `save_lessons` prepared, or with `made_by` the images that `save_images` wrote, to make them of, by
    the teacher.
    """

    blocks: Path
    reference: Path
    batches: Path
    teacher: TeacherFile
    augmentation: Augmentation | None = None


@dataclass(frozen=True)
class FinetuneTask:
    """What a worker needs to finetune one network; from_scratch: its weights are drawn by `seed`, not the library's."""

    space: str
    architecture: Architecture
    init: Initialization
    config: FinetuneConfig
    seed: int
    weights: str
    from_scratch: bool = False


@dataclass(frozen=True)
class FinetuneResult:
    """What a finetuning gave: accuracies in per cent as `FinetunedNetwork` has them, and the seconds it took."""

    curve_percent: tuple[float, ...]
    stitched_percent: float
    train_s: float


def finetune(
    library: ArchitectureLibrary,
    architectures: Sequence[Architecture],
    role: str,
    init: Initialization,
    config: FinetuneConfig,
    *,
    seed: int,
    pool: Executor,
) -> None:
    """Finetune by `seed` each architecture of which the library holds no finetuning by it, and record it under `role`.

    Those of role `scratch` begin with random weights. A network's result depends on
    `seed`, its layers and the lessons only, which are those that `save_lessons` wrote by the same seed.
    """
    space, known = library.space, library.recorded_networks(role)
    todo = [architecture for architecture in dict.fromkeys(architectures) if (architecture, seed) not in known]
    if not todo:
        return
    todo.sort(key=lambda architecture: -space.network_graph(architecture).macs)  # longest first
    name = space.load_name or space.name
    tasks = [
        FinetuneTask(name, a, init, config, seed, str(library.weights_path(a, seed, role)), role == "scratch")
        for a in todo
    ]
    total = len(set(architectures))
    for task, outcome in track(pool.map(finetune_network, tasks), f"finetune {role}", total, total - len(todo)):
        curve, stitched_percent, seconds = outcome.curve_percent, outcome.stitched_percent, outcome.train_s
        library.add(FinetunedNetwork(role, task.architecture, seed, curve[-1], stitched_percent, curve, seconds))


def finetune_network(task: FinetuneTask) -> FinetuneResult:
    """Finetune one network, and save it."""
    started = time.perf_counter()
    space, start = load_space(task.space), task.init
    lessons = _open_batches(task)
    test, held_out = (read_images(start.batches, part) for part in ("test", "held_out"))
    if task.from_scratch:
        network, share = to_torch(space.network_graph(task.architecture), task.seed), float("nan")
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    else:
        network = stitch_network(space, task.architecture, BlockLibrary(start.blocks, space), start.reference)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        update_bn_stats(network, lessons(0)[0])
        share = evaluate_top1(network, held_out)

    def loss(epoch: int, indices: Tensor) -> Tensor:
        pixels, labels, teacher = lessons(epoch)
        soft = None if teacher is None else teacher[indices]
        return ekd_loss(
            network(pixels[indices]), labels[indices], soft, task.config.hard_label_weight, task.config.temperature
        )

    curve: list[float] = []
    seed = (task.seed << 32) ^ int(layers_hash(network.graph)[:8], 16)
    train(
        network,
        len(lessons(0)[0]),
        task.config.optim,
        seed,
        loss,
        after_epoch=lambda: curve.append(evaluate_top1(network, test)),
    )
    save_weights(network, Path(task.weights))
    return FinetuneResult(tuple(curve), share, time.perf_counter() - started)


def _open_batches(task: FinetuneTask) -> Lessons:
    start, ekd = task.init, task.config
    if start.augmentation is None:
        return load_distill_batches(start.batches)
    teacher = start.teacher.module() if ekd.hard_label_weight < 1 else None
    return stream_distill_batches(start.batches, start.augmentation, teacher, images=ekd.images, seed=task.seed)


def stitch_network(space: Space, architecture: Architecture, blocks: BlockLibrary, reference: Path) -> GraphModule:
    """Return a whole network of trained blocks between the teacher's fixed parts, not yet finetuned.

    Raises `FileFormatError` where these are others, and `ConfigError` for a space whose fixed parts are 8-bit ones.
    """
    if any("int8" in graph_dtypes(space.fixed_graph(name)) for name in space.fixed):
        raise ConfigError(
            f"the fixed parts of {space.name} are 8-bit ones, which are made with a finetuned network alone",
            got="one that was not quantised",
            hint="name SPACE@precision, or a network that `donna-hw quantise` quantised",
        )
    network = to_torch(space.network_graph(architecture), seed=0)
    state = {key: value for key, value in read_weights(reference).items() if key.split(".")[0] in space.fixed}
    for stage, number in zip(space.stages, architecture.blocks, strict=True):
        found = read_weights(blocks.weights_path(stage, number))
        state |= {f"{stage.name}.{key}": value for key, value in found.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise FileFormatError(
            f"{blocks.folder} must hold the weights of this space", got=str(error), hint="distil again"
        ) from None
    return network


def update_bn_stats(network: nn.Module, pixels: Tensor, images: int = 2000, batch: int = 250) -> None:
    """Give every batch-norm the mean and variance of what now reaches it, over the first `images` of [n, channels, height, width]."""
    update_bn_stats_from_batches(network, torch.split(pixels[:images], batch))


def update_bn_stats_from_batches(network: nn.Module, parts: Iterable[Tensor]) -> None:
    """Give every batch-norm the mean and variance of what now reaches it, the mean over all parts [n, channels, height, width].

    The statistics of blocks that were trained apart are of the teacher's feature maps, not of those of the blocks before them.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    network.train()
    with torch.no_grad():
        for part in parts:
            network(part)
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
