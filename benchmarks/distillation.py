"""How fast blocks are distilled, against the plain loop.

    python benchmarks/distillation.py --blocks 16 --rounds 3

Plain loop: for each block, one at a time, the teacher runs up to the block's stage on every batch; torch has all threads, or the GPU.
Ours: the teacher's maps are computed once, then two processes of one thread train from files; or, on a GPU, one process trains
`--blocks-per-group` blocks at a time. Both evaluate each block on the held-out images and run in turn, so that a busy machine slows
both. The time of the maps is counted; that of starting the processes is not, since a run starts them once. Images are Fashion-MNIST's,
or random ones where these are absent.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from donna_hw.errors import DonnaError
from donna_hw.graph.graph import layers_hash
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces import load_space
from donna_hw.training.checkpoints import save_weights
from donna_hw.training.data import Dataset, Images, load_dataset
from donna_hw.training.distillation.block_evaluation import channel_variance, evaluate_block, load_teacher_tail, nsr
from donna_hw.training.distillation.block_trainer import BlockTask, train_group
from donna_hw.training.distillation.blockwise import BlockDistillConfig, group_tasks
from donna_hw.training.distillation.border_maps import save_maps
from donna_hw.training.executors import ProcessExecutor
from donna_hw.training.loop import OptimConfig, compute_outputs, train

SPACE = "small_28px"
THREADS = 2
HELD_OUT = 500


def sample_images(count: int) -> Dataset:
    """Return so many images to train on and `HELD_OUT` others."""
    try:
        data = load_dataset("fashion_mnist", held_out=HELD_OUT)
    except DonnaError as error:
        print(f"random images: {error}")
        images = Images(torch.randn(count + HELD_OUT, 1, 28, 28), torch.randint(0, 10, (count + HELD_OUT,)))
        first, last = (Images(images.pixels[s], images.labels[s]) for s in (slice(count), slice(count, None)))
        return Dataset("random", first, last, last, "torch.randn")
    few = Images(data.train.pixels[:count], data.train.labels[:count])
    return Dataset(data.name, few, data.held_out, data.held_out, data.source)


def sample_blocks(count: int) -> list[tuple[str, int]]:
    """Return (stage, number) of different blocks, drawn evenly over the stages."""
    space, blocks = load_space(SPACE), []
    share = -(-count // len(space.stages))
    for stage in space.stages:
        numbers = {layers_hash(space.block_graph(stage, m)): m for m in range(stage.size)}
        picked = np.linspace(0, len(numbers) - 1, min(share, len(numbers))).astype(int)
        blocks += [(stage.name, list(numbers.values())[i]) for i in picked]
    return blocks[:count]


def distill_plain(
    teacher: GraphModule, data: Dataset, bkd: BlockDistillConfig, blocks: list[tuple[str, int]], folder: Path
) -> dict:
    """Train the blocks one at a time, the teacher run for each; return their NSRs and the seconds it took."""
    torch.set_num_threads(THREADS)
    space, qualities, started, device = load_space(SPACE), {}, time.perf_counter(), torch.device(bkd.teacher_device)
    save_weights(teacher, folder / "teacher.safetensors")
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(1))  # as save_maps draws them
    train_pixels = data.train.pixels[order]
    names = [stage.name for stage in space.stages]
    parts = [to_torch(space.fixed_graph(name)) for name, _ in space.before]
    parts += [to_torch(space.block_graph(stage, stage.reference)) for stage in space.stages]
    for name, part in zip([*(name for name, _ in space.before), *names], parts, strict=True):
        state = {k.removeprefix(f"{name}."): v for k, v in teacher.state_dict().items() if k.startswith(f"{name}.")}
        part.load_state_dict(state)
        part.to(device).eval()
    for name, number in blocks:
        stage, place = space.stage(name), len(space.before) + names.index(name)
        before, own = torch.nn.Sequential(*parts[:place]), parts[place]
        graph = space.block_graph(stage, number)
        block = to_torch(graph, (1 << 32) ^ int(layers_hash(graph)[:8], 16)).to(device)
        with torch.no_grad():
            variance = channel_variance(compute_outputs(own, compute_outputs(before, train_pixels.to(device))))

        def loss(_epoch: int, indices: torch.Tensor, block=block, before=before, own=own, variance=variance):
            with torch.no_grad():
                x = before(train_pixels[indices].to(device))
                y = own(x)
            return nsr(block(x), y, variance)

        train(block, len(data.train), bkd.optim, 1, loss)
        x = compute_outputs(before, data.held_out.pixels.to(device))
        truth = (data.held_out.labels.to(device), compute_outputs(teacher, data.held_out.pixels).to(device))
        rest = load_teacher_tail(space, stage, folder / "teacher.safetensors").to(device)
        qualities[name, number] = evaluate_block(block, x, compute_outputs(own, x), rest, truth).nsr
    return {"nsr": qualities, "s": time.perf_counter() - started}


def distill_from_maps(
    teacher: GraphModule, data: Dataset, bkd: BlockDistillConfig, blocks: list[tuple[str, int]], pool: ProcessExecutor
) -> dict:
    """Compute the maps once and train the blocks in the pool; return their NSRs and the seconds of the maps and of all."""
    space, started = load_space(SPACE), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        save_maps(space, teacher.to(bkd.teacher_device), data, 0, seed=1, folder=Path(folder))
        teacher.to("cpu")
        maps_s = time.perf_counter() - started
        tasks = [BlockTask(SPACE, s, m, folder, bkd.optim, 1, f"{folder}/{s}-{m}.safetensors") for s, m in blocks]
        tasks.sort(key=lambda task: -space.block_graph(space.stage(task.stage), task.number).macs)
        qualities = {}
        for group, results in pool.map(train_group, group_tasks(tasks, bkd.group_size, bkd.devices)):
            qualities |= {
                (t.stage, t.number): quality.nsr for t, (quality, _) in zip(group.tasks, results, strict=True)
            }
    return {"nsr": qualities, "s": time.perf_counter() - started, "maps_s": maps_s}


def random_teacher() -> GraphModule:
    """Return the reference with random weights, its batch-norm statistics those of random images: time does not depend on them."""
    space = load_space(SPACE)
    teacher = to_torch(space.network_graph(space.reference), seed=5).train()
    with torch.no_grad():
        for _ in range(20):
            teacher(torch.randn(64, *space.input_shape))
    return teacher.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--blocks-per-group", type=int, default=16, help="blocks that a GPU trains at a time")
    args = parser.parse_args()
    on_cpu = args.device == "cpu"
    data, teacher, blocks = sample_images(args.images), random_teacher(), sample_blocks(args.blocks)
    fit, pool = OptimConfig(args.epochs, args.batch, 0.01, 20), ProcessExecutor(THREADS if on_cpu else 1)
    bkd = BlockDistillConfig(
        fit, devices=(args.device,), group_size=1 if on_cpu else args.blocks_per_group, teacher_device=args.device
    )
    distill_from_maps(
        teacher, data, replace(bkd, optim=replace(fit, epochs=1)), blocks[:2], pool
    )  # starts the processes
    with tempfile.TemporaryDirectory() as name:
        distill_plain(
            teacher, data, replace(bkd, optim=replace(fit, epochs=1)), blocks[:2], Path(name)
        )  # starts the threads
    work, ratios = len(blocks) * args.epochs, []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as name:
            one = distill_plain(teacher, data, bkd, blocks, Path(name))
        other = distill_from_maps(teacher, data, bkd, blocks, pool)
        ratios.append(one["s"] / other["s"])
        off = max(abs(np.log(one["nsr"][key] / other["nsr"][key])) for key in one["nsr"])
        print(
            f"plain {60 * work / one['s']:.0f} block-epochs/min, ours {60 * work / other['s']:.0f} "
            f"(maps {other['maps_s']:.1f} of {other['s']:.1f} s), ratio {ratios[-1]:.2f}; NSRs differ by at most {off:.2%}",
            flush=True,
        )
    pool.close()
    print(
        f"{args.device}: {len(blocks)} blocks of {SPACE}, {len(data.train)} {data.name} images, batch {args.batch}, "
        f"{args.epochs} epochs: "
        f"ratio {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f} over {args.rounds} rounds)"
    )
    assert np.median(ratios) > 1, "training from the teacher's maps must be faster than the plain loop"
