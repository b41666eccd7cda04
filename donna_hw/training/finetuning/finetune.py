"""End-to-end knowledge distillation (EKD): whole networks, initialized from the Block Library, learn hard and soft labels."""

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
from donna_hw.training.finetuning.targets import (
    DistillBatches,
    load_distill_batches,
    read_images,
    stream_distill_batches,
)
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary, FinetunedNetwork
from donna_hw.training.loop import OptimConfig, evaluate_top1, train
from donna_hw.training.reference import TeacherFile


@dataclass(frozen=True)
class FinetuneConfig:
    """How whole networks are finetuned: by the paper's hard and soft labels (`ekd_loss`).

    The paper gives neither the weight of the hard labels nor the temperature, so the defaults are ours.

    Args:
        optim: Epochs, batch size and learning rate.
        images: Number of train images of an epoch, 0 for all.
        hard_label_weight: The weight of the hard labels in the loss, 0 to 1.
        temperature: The temperature of the soft labels.
    """

    optim: OptimConfig
    images: int
    hard_label_weight: float = 0.5
    temperature: float = 1.0


@dataclass(frozen=True)
class Initialization:
    """Where networks start from, as folders and files.

    Args:
        blocks: The folder of the Block Library.
        reference: The file of the trained reference's weights, which gives the fixed parts.
        batches: The folder of the distill batches (`save_distill_batches`) or, with an augmentation, of the images to compute them
            from (`save_images`).
        teacher: The network that gives the soft labels.
        augmentation: The augmentation of train images whose distill batches are not saved; None where they are.
    """

    blocks: Path
    reference: Path
    batches: Path
    teacher: TeacherFile
    augmentation: Augmentation | None = None


@dataclass(frozen=True)
class FinetuneTask:
    """What a worker needs to finetune one network; `from_scratch`: it starts from random weights, not from the Block Library's."""

    space: str
    architecture: Architecture
    init: Initialization
    config: FinetuneConfig
    seed: int
    weights: str
    from_scratch: bool = False


@dataclass(frozen=True)
class FinetuneResult:
    """The accuracies of a finetuning in per cent, as in `FinetunedNetwork`, and its seconds."""

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
    """Finetune each architecture that the library does not hold yet, and record it.

    A network's result depends only on `seed`, its layers and the distill batches, which are those of the same seed.

    Args:
        library: Where the networks and their accuracies are saved.
        architectures: The networks.
        role: The role they are recorded under; those of role `scratch` start from random weights.
        init: Where networks start from.
        config: How networks are finetuned.
        seed: Seed of the random weights and the order of the images.
        pool: What runs the trainings.

    Raises:
        UnavailableError: When a worker was killed.
        ConfigError: For a space whose fixed parts are 8-bit.
        FileFormatError: When weights are not those of the space.
    """
    space, recorded = library.space, library.recorded_networks(role)
    pending = [architecture for architecture in dict.fromkeys(architectures) if (architecture, seed) not in recorded]
    if not pending:
        return
    pending.sort(key=lambda architecture: -space.network_graph(architecture).macs)  # longest first
    name = space.load_name or space.name
    tasks = [
        FinetuneTask(name, a, init, config, seed, str(library.weights_path(a, seed, role)), role == "scratch")
        for a in pending
    ]
    total = len(set(architectures))
    for task, result in track(pool.map(finetune_network, tasks), f"finetune {role}", total, total - len(pending)):
        curve = result.curve_percent
        library.add(
            FinetunedNetwork(role, task.architecture, seed, curve[-1], result.stitched_percent, curve, result.train_s)
        )


def finetune_network(task: FinetuneTask) -> FinetuneResult:
    """Finetune one network, and save its weights."""
    started = time.perf_counter()
    space, init = load_space(task.space), task.init
    batches = _open_batches(task)
    test, held_out = (read_images(init.batches, part) for part in ("test", "held_out"))
    if task.from_scratch:
        network, stitched_percent = to_torch(space.network_graph(task.architecture), task.seed), float("nan")
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    else:
        network = stitch_network(space, task.architecture, BlockLibrary(init.blocks, space), init.reference)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        update_bn_stats(network, batches(0)[0])
        stitched_percent = evaluate_top1(network, held_out)

    def loss(epoch: int, indices: Tensor) -> Tensor:
        pixels, labels, teacher = batches(epoch)
        soft = None if teacher is None else teacher[indices]
        return ekd_loss(
            network(pixels[indices]), labels[indices], soft, task.config.hard_label_weight, task.config.temperature
        )

    curve: list[float] = []
    seed = (task.seed << 32) ^ int(layers_hash(network.graph)[:8], 16)
    train(
        network,
        len(batches(0)[0]),
        task.config.optim,
        seed,
        loss,
        after_epoch=lambda: curve.append(evaluate_top1(network, test)),
    )
    save_weights(network, Path(task.weights))
    return FinetuneResult(tuple(curve), stitched_percent, time.perf_counter() - started)


def _open_batches(task: FinetuneTask) -> DistillBatches:
    init, config = task.init, task.config
    if init.augmentation is None:
        return load_distill_batches(init.batches)
    teacher = init.teacher.module() if config.hard_label_weight < 1 else None
    return stream_distill_batches(init.batches, init.augmentation, teacher, images=config.images, seed=task.seed)


def stitch_network(space: Space, architecture: Architecture, blocks: BlockLibrary, reference: Path) -> GraphModule:
    """Return a whole network of trained blocks between the teacher's fixed parts, not yet finetuned.

    Args:
        space: The search space.
        architecture: The network.
        blocks: The Block Library.
        reference: The file of the trained reference's weights.

    Raises:
        FileFormatError: When the weights are not those of the space.
        ConfigError: For a space whose fixed parts are 8-bit.
    """
    if any("int8" in graph_dtypes(space.fixed_graph(name)) for name in space.fixed):
        raise ConfigError(
            f"the fixed parts of {space.name} are 8-bit, so its networks exist only as quantized finetuned networks",
            hint="use SPACE@precision, or a network that `donna-hw study int8` has quantized",
        )
    network = to_torch(space.network_graph(architecture), seed=0)
    state = {key: value for key, value in read_weights(reference).items() if key.split(".")[0] in space.fixed}
    for stage, number in zip(space.stages, architecture.blocks, strict=True):
        weights = read_weights(blocks.weights_path(stage, number))
        state |= {f"{stage.name}.{key}": value for key, value in weights.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise FileFormatError(
            f"{blocks.folder}: not the weights of {space.name}", got=str(error), hint="run donna-hw distill again"
        ) from None
    return network


def update_bn_stats(network: nn.Module, pixels: Tensor, images: int = 2000, batch: int = 250) -> None:
    """Re-estimate the statistics of every batch-norm from its present inputs.

    Args:
        network: The network, changed in place.
        pixels: Images, float32 [n, channels, height, width].
        images: How many of the first images are used.
        batch: Images in a batch.
    """
    update_bn_stats_from_batches(network, torch.split(pixels[:images], batch))


def update_bn_stats_from_batches(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Re-estimate the statistics of every batch-norm from its present inputs, as the mean over all batches [n, channels, height, width].

    Blocks that were trained alone have the statistics of the teacher's feature maps, not those of the blocks that now precede them.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    network.train()
    with torch.no_grad():
        for pixels in batches:
            network(pixels)
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
