"""Blockwise knowledge distillation (BKD, paper A.1): every block alone learns the teacher's output from the teacher's input."""

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
    """How blocks are trained. images: of one epoch (0 for all), drawn and augmented once for all blocks and epochs.

    cache_bytes: what the teacher's maps of these images may take on the disk; beyond it every worker computes them anew, batch by batch.
    devices: torch devices that groups of `together` blocks take turns on. teacher_device: of this process, computes the maps.
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
    """Train every different float32 block of the space for the teacher and return the library in `folder`.

    Blocks that are done are not trained again. A block's result depends on `seed`, its layers and the kind of device only, not on the
    order of the work or its group.
    """
    library = BlockLibrary(folder, space)
    done = library.recorded_blocks()
    jobs: dict[tuple[str, str], tuple[Stage, int]] = {}
    for stage in space.stages:
        for m in range(stage.size):
            graph = space.block_graph(stage, m)
            if "int8" not in graph_dtypes(graph):  # those are made of trained ones
                jobs.setdefault((stage.name, layers_hash(graph)), (stage, m))
    todo = {key: job for key, job in jobs.items() if key not in done}
    maps = folder / "maps"
    if not todo:
        shutil.rmtree(maps, ignore_errors=True)
        return library
    need = map_bytes(space, config.images or len(data.train))
    if need > config.cache_bytes:
        logger.warning(
            "the teacher's maps would take %.1f GiB, more than distill.cache_gib = %.1f: they are computed again for every block",
            need / GIB,
            config.cache_bytes / GIB,
        )
    save_maps(
        space,
        teacher.to(config.teacher_device),
        data,
        config.images,
        seed=seed,
        folder=maps,
        cached=need <= config.cache_bytes,
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
        for stage, m in todo.values()
    ]
    tasks.sort(key=lambda task: -space.block_graph(space.stage(task.stage), task.number).macs)  # longest first
    total = len(jobs)
    for task, (quality, seconds) in track(
        _train_in_groups(pool, tasks, config), "distil blocks", total, total - len(todo)
    ):
        library.add(space.stage(task.stage), task.number, asdict(quality), seconds)
    shutil.rmtree(maps)
    return library


def _train_in_groups(
    pool: Executor, tasks: Sequence[BlockTask], bkd: BlockDistillConfig
) -> Iterator[tuple[BlockTask, tuple[Quality, float]]]:
    """Yield each task with its result, as groups of them finish."""
    for group, results in pool.map(train_group, group_tasks(tasks, bkd.group_size, bkd.devices)):
        yield from zip(group.tasks, results, strict=True)


def group_tasks(tasks: Sequence[BlockTask], group_size: int, devices: Sequence[str]) -> list[BlockGroup]:
    """Return tasks in groups of one stage and at most `together` blocks, in their order, the devices in turn."""
    stages: dict[str, list[BlockTask]] = {}
    for task in tasks:
        stages.setdefault(task.stage, []).append(task)
    parts = [tuple(same[i : i + group_size]) for same in stages.values() for i in range(0, len(same), group_size)]
    parts.sort(key=lambda part: tasks.index(part[0]))
    return [BlockGroup(part, device) for part, device in zip(parts, cycle(devices), strict=False)]
