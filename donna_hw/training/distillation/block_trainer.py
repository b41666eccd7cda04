"""Training of blocks of one stage: one at a time on a core of the CPU, several in parallel on a GPU, which one small block leaves idle."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from donna_hw.errors import UnavailableError
from donna_hw.graph.graph import layers_hash
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Stage
from donna_hw.training.checkpoints import save_weights
from donna_hw.training.distillation.block_evaluation import Quality, evaluate_block, load_teacher_tail, nsr
from donna_hw.training.distillation.teacher_features import Features, load_train_features, move_features, read_map
from donna_hw.training.loop import OptimConfig, plan_batches, train_step


@dataclass(frozen=True)
class BlockTask:
    """What a worker needs to train one block; maps are files, so that all workers share one copy in memory.

    Args:
        space: The space's name.
        stage: The stage's name.
        number: The block's number in the stage.
        maps: The folder of the teacher's feature maps.
        optim: Epochs, batch size and learning rate.
        seed: Seed of the initial weights and the order of the images.
        weights: The file that the trained weights are saved in.
    """

    space: str
    stage: str
    number: int
    maps: str
    optim: OptimConfig
    seed: int
    weights: str


@dataclass(frozen=True)
class BlockGroup:
    """Blocks of one stage with the same maps and settings, and the torch device that trains them."""

    tasks: tuple[BlockTask, ...]
    device: str = "cpu"


def train_block(task: BlockTask) -> tuple[Quality, float]:
    """Train one block on the CPU, save its weights, and return (quality on the held-out images, seconds)."""
    return train_group(BlockGroup((task,)))[0]


def train_group(group: BlockGroup) -> list[tuple[Quality, float]]:
    """Train a group's blocks, and save their weights.

    A block's result does not depend on the other blocks of its group: they see the images in the same order, and share nothing else.

    Returns:
        For each block (quality on the held-out images, its share of the seconds).

    Raises:
        UnavailableError: When the blocks do not fit in the memory of the device.
    """
    try:
        return _train_group(group)
    except torch.cuda.OutOfMemoryError as error:
        raise UnavailableError(
            f"{group.device} has too little memory for {len(group.tasks)} blocks of {group.tasks[0].stage}",
            got=str(error).split(". ", maxsplit=1)[0],
            hint="lower distill.parallel_blocks or distill.batch; finished blocks are saved",
        ) from None


def _train_group(group: BlockGroup) -> list[tuple[Quality, float]]:
    started, device = time.perf_counter(), torch.device(group.device)
    first, space = group.tasks[0], load_space(group.tasks[0].space)
    stage, maps = space.stage(first.stage), Path(first.maps)
    border = space.stages.index(stage)
    variance = torch.from_numpy(np.load(maps / f"variance-{border + 1}.npy")).to(device)
    blocks = [_build_block(space, stage, task).to(device) for task in group.tasks]
    _train(blocks, move_features(load_train_features(space, stage, maps), device), variance, first)
    tail = load_teacher_tail(space, stage, maps / "teacher.safetensors").to(device)
    held_x, held_y = (read_map(maps, "held_out", border + side).to(device) for side in (0, 1))
    labels, logits = (
        torch.from_numpy(np.load(maps / f"held_out-{name}.npy")).to(device) for name in ("labels", "logits")
    )
    qualities = [evaluate_block(block, held_x, held_y, tail, (labels, logits)) for block in blocks]
    for task, block, quality in zip(group.tasks, blocks, qualities, strict=True):
        if np.isfinite(quality.nsr):
            save_weights(block, Path(task.weights))
    block_s = (time.perf_counter() - started) / len(blocks)
    return [(quality, block_s) for quality in qualities]


def _build_block(space: Space, stage: Stage, task: BlockTask) -> GraphModule:
    graph = space.block_graph(stage, task.number)
    seed = (task.seed << 32) ^ int(layers_hash(graph)[:8], 16)
    return to_torch(graph, seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _train(blocks: Sequence[GraphModule], features: Features, variance: torch.Tensor, task: BlockTask) -> None:
    """Train blocks in parallel, on a GPU each in its own stream, which waits for the batch as the next batch waits for all streams."""
    on_gpu = variance.is_cuda
    optimizers = [torch.optim.Adam(block.parameters(), lr=task.optim.learning_rate, fused=on_gpu) for block in blocks]
    streams = [torch.cuda.Stream(variance.device) if on_gpu else None for _ in blocks]  # type: ignore[no-untyped-call]
    for block in blocks:
        block.train()
    for epoch in plan_batches(len(features), task.optim, task.seed):
        for indices, rate in epoch:
            x, y = features.pair(indices)
            _synchronize(streams, before=True)
            for block, optimizer, stream in zip(blocks, optimizers, streams, strict=True):
                with _stream_context(stream):
                    train_step(optimizer, rate, partial(_loss, block, x, y, variance))
            _synchronize(streams, before=False)
    for block in blocks:
        block.eval()


def _loss(block: GraphModule, x: torch.Tensor, y: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    return nsr(block(x), y, variance)


def _stream_context(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _synchronize(streams: Sequence[torch.cuda.Stream | None], *, before: bool) -> None:
    """Make the streams wait for the current stream (`before`), or the current stream wait for them."""
    for stream in streams:
        if stream is not None:
            current = torch.cuda.current_stream(stream.device)
            (stream if before else current).wait_stream(current if before else stream)
