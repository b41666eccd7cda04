"""Blocks of one stage that are trained together: one on a core of the CPU; many on a GPU, which one small block leaves idle."""

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
    """What a worker needs to train one block; maps are files, so that all workers share one copy in memory."""

    space: str
    stage: str
    number: int
    maps: str
    optim: OptimConfig
    seed: int
    weights: str


@dataclass(frozen=True)
class BlockGroup:
    """Blocks of one stage, from the same maps and by the same settings, and the torch device that trains them."""

    tasks: tuple[BlockTask, ...]
    device: str = "cpu"


def train_block(task: BlockTask) -> tuple[Quality, float]:
    """Train one block on the CPU, save its weights, and return its quality on the held-out images and the seconds it took."""
    return train_group(BlockGroup((task,)))[0]


def train_group(group: BlockGroup) -> list[tuple[Quality, float]]:
    """Train a group's blocks, save their weights, and return each one's quality on the held-out images and its share of the seconds.

    A block's result does not depend on who is trained beside it: all blocks see the images in one order, and share nothing else. Raises
    `UnavailableError` when the device's memory cannot hold them all.
    """
    try:
        return _train_group(group)
    except torch.cuda.OutOfMemoryError as error:
        raise UnavailableError(
            f"{group.device} must have memory for {len(group.tasks)} blocks of {group.tasks[0].stage}",
            got=str(error).split(". ", maxsplit=1)[0],
            hint="lower distill.together or distill.batch; what is finished is kept",
        ) from None


def _train_group(group: BlockGroup) -> list[tuple[Quality, float]]:
    started, device = time.perf_counter(), torch.device(group.device)
    first, space = group.tasks[0], load_space(group.tasks[0].space)
    stage, maps = space.stage(first.stage), Path(first.maps)
    place = space.stages.index(stage)
    variance = torch.from_numpy(np.load(maps / f"variance-{place + 1}.npy")).to(device)
    blocks = [_build_block(space, stage, task).to(device) for task in group.tasks]
    _train(blocks, move_features(load_train_features(space, stage, maps), device), variance, first)
    rest = load_teacher_tail(space, stage, maps / "teacher.safetensors").to(device)
    held_x, held_y = (read_map(maps, "held_out", place + side).to(device) for side in (0, 1))
    labels, logits = (
        torch.from_numpy(np.load(maps / f"held_out-{name}.npy")).to(device) for name in ("labels", "logits")
    )
    found = [evaluate_block(block, held_x, held_y, rest, (labels, logits)) for block in blocks]
    for task, block, quality in zip(group.tasks, blocks, found, strict=True):
        if np.isfinite(quality.nsr):
            save_weights(block, Path(task.weights))
    each_s = (time.perf_counter() - started) / len(blocks)
    return [(quality, each_s) for quality in found]


def _build_block(space: Space, stage: Stage, task: BlockTask) -> GraphModule:
    graph = space.block_graph(stage, task.number)
    seed = (task.seed << 32) ^ int(layers_hash(graph)[:8], 16)
    return to_torch(graph, seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _train(blocks: Sequence[GraphModule], features: Features, variance: torch.Tensor, task: BlockTask) -> None:
    """Train blocks side by side; on a GPU each has a stream of its own, which waits for the batch as the next batch waits for it."""
    on_gpu = variance.is_cuda
    optimisers = [torch.optim.Adam(block.parameters(), lr=task.optim.learning_rate, fused=on_gpu) for block in blocks]
    streams = [torch.cuda.Stream(variance.device) if on_gpu else None for _ in blocks]  # type: ignore[no-untyped-call]
    for block in blocks:
        block.train()
    for epoch in plan_batches(len(features), task.optim, task.seed):
        for indices, rate in epoch:
            x, y = features.pair(indices)
            _synchronize(streams, before=True)
            for block, optimiser, stream in zip(blocks, optimisers, streams, strict=True):
                with _stream_context(stream):
                    train_step(optimiser, rate, partial(_loss, block, x, y, variance))
            _synchronize(streams, before=False)
    for block in blocks:
        block.eval()


def _loss(block: GraphModule, x: torch.Tensor, y: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    return nsr(block(x), y, variance)


def _stream_context(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def _synchronize(streams: Sequence[torch.cuda.Stream | None], *, before: bool) -> None:
    """Make the streams wait for what was begun before them, or what comes after wait for the streams."""
    for stream in streams:
        if stream is not None:
            current = torch.cuda.current_stream(stream.device)
            (stream if before else current).wait_stream(current if before else stream)
