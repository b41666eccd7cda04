"""Blockwise knowledge distillation (BKD, paper A.1): every block is trained alone to map the teacher's input to the teacher's output."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

from donna_hw._core.progress import track
from donna_hw.graph.graph import graph_dtypes, layers_hash
from donna_hw.graph.torch_module import GraphModule
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Stage
from donna_hw.training.data.dataset import Dataset
from donna_hw.training.distillation.block_evaluation import Quality
from donna_hw.training.distillation.block_trainer import BlockGroup, BlockTask, train_group
from donna_hw.training.distillation.border_maps import save_maps
from donna_hw.training.distillation.teacher_features import GIB, map_bytes
from donna_hw.training.executors import Executor
from donna_hw.training.libraries import BlockLibrary
from donna_hw.training.loop import OptimConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BlockDistillConfig:
    """How blocks are trained.

    Args:
        optim: Epochs, batch size and learning rate.
        images: Number of images of an epoch, 0 for all. They are sampled and augmented once for all blocks and epochs.
        cache_bytes: Bytes that the teacher's maps of these images may occupy on the disk. Beyond it, every worker computes them again,
            batch by batch.
        devices: torch devices to which groups of blocks are assigned in turn.
        group_size: Number of blocks that a device trains in parallel.
        teacher_device: torch device of this process that computes the maps.
    """

    optim: OptimConfig
    images: int = 0
    cache_bytes: float = math.inf
    devices: tuple[str, ...] = ("cpu",)
    group_size: int = 1
    teacher_device: str = "cpu"


def distill(
    space: Space,
    teacher: GraphModule,
    data: Dataset,
    config: BlockDistillConfig,
    *,
    seed: int,
    folder: Path,
    pool: Executor,
) -> BlockLibrary:
    """Train every different float32 block of the space to imitate the teacher, and return the library in `folder`.

    Recorded blocks are not trained again. A block's result depends only on `seed`, its layers and the kind of device, not on its group
    or the order of the work. Blocks with 8-bit layers are skipped, since they are made from trained float32 blocks.

    Args:
        space: The search space.
        teacher: The trained reference network.
        data: The images to train on and those held out.
        config: How blocks are trained.
        seed: Seed of the sampled images, the initial weights and the order of the images.
        folder: The library's folder.
        pool: What runs the groups of blocks.

    Raises:
        UnavailableError: When a worker was killed, or a device has too little memory.
    """
    library = BlockLibrary(folder, space)
    recorded = library.recorded_blocks()
    blocks: dict[tuple[str, str], tuple[Stage, int]] = {}
    for stage in space.stages:
        for m in range(stage.size):
            graph = space.block_graph(stage, m)
            if "int8" not in graph_dtypes(graph):  # 8-bit blocks are made from trained ones
                blocks.setdefault((stage.name, layers_hash(graph)), (stage, m))
    missing = {key: block for key, block in blocks.items() if key not in recorded}
    maps = folder / "maps"
    if not missing:
        shutil.rmtree(maps, ignore_errors=True)
        return library
    needed_bytes = map_bytes(space, config.images or len(data.train))
    if needed_bytes > config.cache_bytes:
        logger.warning(
            "the teacher's maps would need %.1f GiB, more than distill.cache_gib = %.1f; they are computed again for every block",
            needed_bytes / GIB,
            config.cache_bytes / GIB,
        )
    save_maps(
        space,
        teacher.to(config.teacher_device),
        data,
        config.images,
        seed=seed,
        folder=maps,
        cached=needed_bytes <= config.cache_bytes,
    )
    teacher.to("cpu")
    tasks = [
        BlockTask(
            space.load_name or space.name,
            stage.name,
            m,
            str(maps),
            config.optim,
            seed,
            str(library.weights_path(stage, m)),
        )
        for stage, m in missing.values()
    ]
    tasks.sort(key=lambda task: -space.block_graph(space.stage(task.stage), task.number).macs)  # longest first
    total = len(blocks)
    for task, (quality, seconds) in track(
        _train_in_groups(pool, tasks, config), "distill blocks", total, total - len(missing)
    ):
        library.add(space.stage(task.stage), task.number, asdict(quality), seconds)
    shutil.rmtree(maps)
    return library


def _train_in_groups(
    pool: Executor, tasks: Sequence[BlockTask], config: BlockDistillConfig
) -> Iterator[tuple[BlockTask, tuple[Quality, float]]]:
    """Yield each task with its result as its group finishes."""
    for group, results in pool.map(train_group, group_tasks(tasks, config.group_size, config.devices)):
        yield from zip(group.tasks, results, strict=True)


def group_tasks(tasks: Sequence[BlockTask], group_size: int, devices: Sequence[str]) -> list[BlockGroup]:
    """Divide tasks into groups, each of one stage.

    Args:
        tasks: The tasks, in the order in which they should start.
        group_size: The most blocks in a group.
        devices: torch devices, to which the groups are assigned in turn.

    Returns:
        The groups, in the order of their first tasks.
    """
    stages: dict[str, list[BlockTask]] = {}
    for task in tasks:
        stages.setdefault(task.stage, []).append(task)
    groups = [tuple(same[i : i + group_size]) for same in stages.values() for i in range(0, len(same), group_size)]
    groups.sort(key=lambda group: tasks.index(group[0]))
    return [BlockGroup(group, device) for group, device in zip(groups, cycle(devices), strict=False)]
