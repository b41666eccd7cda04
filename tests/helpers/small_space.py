"""A few digits, an untrained teacher and its maps: enough to verify training in a short time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Space
from donna_hw.training.checkpoints import save_weights
from donna_hw.training.data import Dataset, Images, load_dataset
from donna_hw.training.distillation.block_trainer import BlockTask
from donna_hw.training.distillation.border_maps import save_maps
from donna_hw.training.libraries import BlockLibrary
from donna_hw.training.loop import OptimConfig

Task = TypeVar("Task")
Result = TypeVar("Result")
OPTIM = OptimConfig(epochs=1, batch=16, learning_rate=0.01, cosine_steps=20)


class InProcess:
    """An executor that works in this process, in the order of the tasks or in reverse, and records the tasks."""

    def __init__(self, *, reverse: bool = False) -> None:
        self.reverse, self.tasks = reverse, []  # type: ignore[var-annotated]

    def map(self, work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        self.tasks += tasks
        for task in reversed(tasks) if self.reverse else tasks:
            yield task, work(task)


def few_digits() -> Dataset:
    data = load_dataset("digits", held_out=50)
    few = Images(data.train.pixels[:48], data.train.labels[:48])
    return Dataset("digits", few, data.held_out, Images(data.test.pixels[:100], data.test.labels[:100]), "")


def untrained_teacher(space: Space) -> GraphModule:
    """Return the reference with random weights and batch-norm statistics, so that no layer is the identity."""
    teacher = to_torch(space.network_graph(space.reference), seed=5)
    generator = torch.Generator().manual_seed(6)
    for name, buffer in teacher.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return teacher.eval()


def part_state(teacher: GraphModule, part: str) -> dict[str, Tensor]:
    """Return the state of one part of the teacher, with the keys of the part alone."""
    return {k.removeprefix(f"{part}."): v for k, v in teacher.state_dict().items() if k.startswith(f"{part}.")}


def library_of_teacher(space: Space, teacher: GraphModule, folder: Path) -> BlockLibrary:
    """Return a library whose reference blocks have the teacher's weights."""
    library = BlockLibrary(folder, space)
    for stage in space.stages:
        block = to_torch(space.block_graph(stage, stage.reference))
        block.load_state_dict(part_state(teacher, stage.name))
        save_weights(block, library.weights_path(stage, stage.reference))
    return library


def block_task(
    folder: Path, stage: str = "stage2", number: int = 3, optim: OptimConfig = OPTIM, name: str = "w"
) -> BlockTask:
    """Return the task of one block of `small_8px`, whose maps are saved in `folder` by the first call."""
    maps = folder / "maps"
    if not maps.exists():
        space = load_space("small_8px")
        save_maps(space, untrained_teacher(space), few_digits(), 0, seed=1, folder=maps)
    return BlockTask("small_8px", stage, number, str(maps), optim, 1, str(folder / f"{name}.safetensors"))
