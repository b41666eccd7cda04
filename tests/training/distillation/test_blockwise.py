"""Blocks are trained alone, repeatably, each once, and a diverged one is recorded as such."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_space import OPTIM, InProcess, block_task, few_digits, part_state, untrained_teacher
from torch.nn.functional import cross_entropy

from donna_hw import spaces
from donna_hw.errors import FileFormatError, InsufficientDataError, UnavailableError
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage
from donna_hw.training.checkpoints import load_weights, read_weights
from donna_hw.training.distillation.block_evaluation import channel_variance as variance_of
from donna_hw.training.distillation.block_evaluation import evaluate_block, load_teacher_tail, nsr
from donna_hw.training.distillation.block_trainer import BlockGroup, BlockTask, train_block, train_group
from donna_hw.training.distillation.blockwise import BlockDistillConfig, distill, group_tasks
from donna_hw.training.distillation.border_maps import _last_layers, compute_border_maps, save_maps
from donna_hw.training.libraries import BlockLibrary
from donna_hw.training.loop import OptimConfig, compute_outputs, evaluate_top1

DIVERGING = OptimConfig(epochs=1, batch=16, learning_rate=1e30, cosine_steps=1)


def duplicates() -> Space:
    """Return a space whose axis `name` changes nothing: half of its blocks are equal to the other half."""
    axes = (
        Axis("kernel", (3, 5)),
        Axis("name", ("a", "b"), settings={name: {"activation": "relu", "attention": "none"} for name in "ab"}),
    )
    cells = [partial(InvertedResidual, channels=c, stride=2, expand=2, depth=1) for c in (4, 6)]
    return Space(
        "duplicates",
        "for tests",
        (1, 8, 8),
        (("stem", ConvNormAct(channels=4, kernel=3, activation="relu")),),
        tuple(Stage(f"stage{i}", axes, cell) for i, cell in enumerate(cells, start=1)),
        (("classifier", Classifier(classes=10)),),
    )


@pytest.fixture
def duplicate_space(monkeypatch: pytest.MonkeyPatch) -> Space:
    monkeypatch.setitem(spaces._BUILTIN_SPACES, "duplicates", f"{__name__}:duplicates")
    return spaces.load_space("duplicates")


def test_border_maps_are_those_of_the_parts_run_one_after_another() -> None:
    space, data = spaces.load_space("small_8px"), few_digits()
    teacher = untrained_teacher(space)
    maps = compute_border_maps(space, teacher, data.train.pixels)
    x, expected = data.train.pixels, []
    parts = [("stem", space.fixed_graph("stem"))]
    parts += [(stage.name, space.block_graph(stage, stage.reference)) for stage in space.stages]
    for name, graph in parts:
        part = to_torch(graph)
        part.load_state_dict(part_state(teacher, name))
        x = compute_outputs(part, x)
        expected.append(x)
    assert len(maps) == len(expected) == 4
    for border_map, expected_map in zip(maps, expected, strict=True):
        torch.testing.assert_close(border_map, expected_map, rtol=1e-5, atol=1e-5)


def test_without_a_part_before_the_stages_the_first_map_is_the_images() -> None:
    space = dataclasses.replace(spaces.load_space("small_8px"), name="bare", before=())
    teacher, pixels = untrained_teacher(space), few_digits().train.pixels
    first, *rest = compute_border_maps(space, teacher, pixels)
    assert first is pixels
    assert [tuple(border_map.shape[1:]) for border_map in rest] == [
        space.output_shapes[stage.name] for stage in space.stages
    ]


def test_a_border_is_the_last_layer_of_its_part_and_hooks_are_removed() -> None:
    space = spaces.load_space("small_8px")
    teacher = untrained_teacher(space)
    names = _last_layers(space, teacher)
    assert [name.split(".")[0] for name in names] == ["stem", "stage1", "stage2", "stage3"]
    compute_border_maps(space, teacher, few_digits().train.pixels[:3])
    assert not any(module._forward_hooks for module in teacher.modules())


def test_a_block_is_repeatable_bit_by_bit(tmp_path: Path) -> None:
    first = train_block(block_task(tmp_path, name="first"))
    torch.manual_seed(99)  # nothing but the task's seed may matter
    train_block(block_task(tmp_path, number=7, name="between"))
    second = train_block(block_task(tmp_path, name="second"))
    assert first[0] == second[0]
    assert (tmp_path / "first.safetensors").read_bytes() == (tmp_path / "second.safetensors").read_bytes()
    assert (tmp_path / "first.safetensors").read_bytes() != (tmp_path / "between.safetensors").read_bytes()


def test_the_other_blocks_of_a_group_change_no_byte(tmp_path: Path) -> None:
    """Blocks of other shapes and lengths, and one of the same layers."""
    numbers = (3, 7, 0, 3)
    alone = [train_block(block_task(tmp_path, number=m, name=f"alone{i}"))[0] for i, m in enumerate(numbers)]
    tasks = tuple(block_task(tmp_path, number=m, name=f"together{i}") for i, m in enumerate(numbers))
    together = train_group(BlockGroup(tasks))
    assert [quality for quality, _ in together] == alone
    assert len({seconds for _, seconds in together}) == 1
    for i in range(len(numbers)):
        files = (tmp_path / f"{how}{i}.safetensors" for how in ("alone", "together"))
        assert len({file.read_bytes() for file in files}) == 1


def test_a_device_without_the_memory_is_reported_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_out_of_memory(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("donna_hw.training.distillation.block_trainer._train", raise_out_of_memory)
    tasks = tuple(block_task(tmp_path, number=m) for m in (3, 7))
    with pytest.raises(
        UnavailableError,
        match=r"cpu has too little memory for 2 blocks of stage2; got 'CUDA out of memory'; lower distill\.parallel_blocks",
    ):
        train_group(BlockGroup(tasks))


def test_groups_hold_each_block_once_and_one_stage_and_take_devices_in_turn(tmp_path: Path) -> None:
    tasks = [BlockTask("s", stage, m, "", OPTIM, 1, "") for m in range(5) for stage in ("stage1", "stage2")]
    groups = group_tasks(tasks, 2, ("cuda:0", "cuda:1"))
    assert sorted((task.stage, task.number) for group in groups for task in group.tasks) == sorted(
        (task.stage, task.number) for task in tasks
    )
    assert all(len({task.stage for task in group.tasks}) == 1 for group in groups)
    assert [len(group.tasks) for group in groups] == [2, 2, 2, 2, 1, 1]
    assert [group.device for group in groups] == ["cuda:0", "cuda:1"] * 3
    assert [group.tasks[0] for group in group_tasks(tasks, 1, ("cpu",))] == tasks  # the longest remain first


def test_a_library_trained_in_groups_is_the_same(tmp_path: Path, duplicate_space: Space) -> None:
    results = []
    for group_size in (1, 3):
        folder, config = tmp_path / str(group_size), BlockDistillConfig(OPTIM, group_size=group_size)
        pool: Any = InProcess()
        distill(
            duplicate_space, untrained_teacher(duplicate_space), few_digits(), config, seed=1, folder=folder, pool=pool
        )
        records = BlockLibrary(folder, duplicate_space).journal.records()
        results.append(sorted((r["stage"], r["block"], r["nsr"], r["kl"]) for r in records))
    assert results[0] == results[1]


def test_a_blocks_quality_is_the_nsr_of_its_saved_weights_on_held_out_images(tmp_path: Path) -> None:
    space, data = spaces.load_space("small_8px"), few_digits()
    quality, _ = train_block(block_task(tmp_path))
    maps = compute_border_maps(space, untrained_teacher(space), data.held_out.pixels)
    block = to_torch(space.block_graph(space.stage("stage2"), 3))
    load_weights(block, tmp_path / "w.safetensors")
    assert quality.nsr == pytest.approx(
        float(nsr(compute_outputs(block, maps[1]), maps[2], variance_of(maps[2]))), rel=1e-4
    )


def test_training_lowers_the_nsr_of_a_block(tmp_path: Path) -> None:
    short, _ = train_block(block_task(tmp_path, optim=OptimConfig(1, 48, 1e-6, 1)))
    longer, _ = train_block(block_task(tmp_path, optim=OptimConfig(20, 16, 0.01, 20)))
    assert longer.nsr < short.nsr


def test_equal_layers_are_trained_once_and_the_order_of_work_does_not_matter(
    tmp_path: Path, duplicate_space: Space
) -> None:
    teacher, libraries = untrained_teacher(duplicate_space), []
    for reverse in (False, True):
        pool, folder = InProcess(reverse=reverse), tmp_path / str(reverse)
        library = distill(
            duplicate_space, teacher, few_digits(), BlockDistillConfig(OPTIM), seed=1, folder=folder, pool=pool
        )  # type: ignore[arg-type]
        assert len(pool.tasks) == 4  # of 2 x 4 blocks
        libraries.append(library)
    first, second = libraries
    for stage, values, expected in zip(duplicate_space.stages, first.qualities(), second.qualities(), strict=True):
        assert values.tolist() == expected.tolist()
        assert values[0] == values[1]
        assert values[2] == values[3]
        for m in range(stage.size):
            assert first.weights_path(stage, m).read_bytes() == second.weights_path(stage, m).read_bytes()
    assert not list((first.folder / "maps").glob("*"))


def test_only_missing_blocks_are_trained_on_the_next_start(tmp_path: Path, duplicate_space: Space) -> None:
    def distill_again() -> list[str]:
        pool = InProcess()
        distill(
            duplicate_space,
            untrained_teacher(duplicate_space),
            few_digits(),
            BlockDistillConfig(OPTIM),
            seed=1,
            folder=tmp_path,
            pool=pool,
        )  # type: ignore[arg-type]
        return [task.stage for group in pool.tasks for task in group.tasks]

    assert sorted(distill_again()) == ["stage1", "stage1", "stage2", "stage2"]
    assert distill_again() == []
    journal = tmp_path / "quality.csv"
    whole = journal.read_text()
    remaining = [line for line in whole.splitlines() if not line.startswith("stage2")]
    journal.write_text("\n".join(remaining) + "\n")
    assert distill_again() == ["stage2", "stage2"]
    assert [line.split(",")[:5] for line in sorted(journal.read_text().splitlines())] == [
        line.split(",")[:5] for line in sorted(whole.splitlines())
    ]


def test_a_diverged_block_is_recorded_without_weights_and_has_an_infinite_quality(
    tmp_path: Path, duplicate_space: Space
) -> None:
    teacher = untrained_teacher(duplicate_space)
    library = distill(
        duplicate_space, teacher, few_digits(), BlockDistillConfig(DIVERGING), seed=1, folder=tmp_path, pool=InProcess()
    )  # type: ignore[arg-type]
    assert {record["status"] for record in library.journal.records()} == {"diverged"}
    assert all(np.isinf(values).all() for values in library.qualities())
    assert not list(tmp_path.glob("weights/*"))


def test_the_reference_block_does_not_change_the_reference(tmp_path: Path) -> None:
    space, teacher, data = (
        spaces.load_space("small_8px"),
        untrained_teacher(spaces.load_space("small_8px")),
        few_digits(),
    )
    save_maps(space, teacher, data, 0, seed=1, folder=tmp_path)
    maps = compute_border_maps(space, teacher, data.held_out.pixels)
    stage = space.stage("stage2")
    block = to_torch(space.block_graph(stage, stage.reference))
    block.load_state_dict(part_state(teacher, "stage2"))
    tail = load_teacher_tail(space, stage, tmp_path / "teacher.safetensors")
    logits = compute_outputs(teacher, data.held_out.pixels)
    quality = evaluate_block(block, maps[1], maps[2], tail, (data.held_out.labels, logits))
    assert quality.nsr == pytest.approx(0, abs=1e-9)
    assert quality.l1 == pytest.approx(0, abs=1e-5)
    assert quality.kl == pytest.approx(0, abs=1e-6)
    assert quality.loss == pytest.approx(float(cross_entropy(logits, data.held_out.labels)), rel=1e-5)
    assert quality.error_percent == pytest.approx(100 - evaluate_top1(teacher, data.held_out))


@pytest.mark.parametrize("length", [0, 10, 200, -1])
def test_corrupt_weights_are_a_bad_file(tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    train_block(block_task(tmp_path))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(FileFormatError, match=r"w\.safetensors: not a readable safetensors file"):
        read_weights(path)


def test_weights_of_other_layers_are_a_bad_file(tmp_path: Path) -> None:
    train_block(block_task(tmp_path))
    space = spaces.load_space("small_8px")
    with pytest.raises(FileFormatError, match=r"w\.safetensors: the weights do not fit these layers"):
        load_weights(to_torch(space.block_graph(space.stage("stage3"), 0)), tmp_path / "w.safetensors")


def test_missing_blocks_are_counted_and_listed(tmp_path: Path, duplicate_space: Space) -> None:
    library = distill(
        duplicate_space,
        untrained_teacher(duplicate_space),
        few_digits(),
        BlockDistillConfig(OPTIM),
        seed=1,
        folder=tmp_path,
        pool=InProcess(),
    )  # type: ignore[arg-type]
    path = library.journal.path
    path.write_text("\n".join(line for line in path.read_text().splitlines() if "stage2,k5" not in line) + "\n")
    with pytest.raises(
        InsufficientDataError,
        match=r"2 blocks of duplicates are missing: stage2 k5-a, stage2 k5-b; run donna-hw distill",
    ):
        library.qualities()


@pytest.mark.parametrize("bad", ["nan", "inf", "-1", "many"])
def test_an_invalid_quality_is_a_bad_file(tmp_path: Path, duplicate_space: Space, bad: str) -> None:
    library = distill(
        duplicate_space,
        untrained_teacher(duplicate_space),
        few_digits(),
        BlockDistillConfig(OPTIM),
        seed=1,
        folder=tmp_path,
        pool=InProcess(),
    )  # type: ignore[arg-type]
    record = library.journal.records()[0]
    library.journal.append(record | {"nsr": bad})
    with pytest.raises(FileFormatError, match="must be a finite number of zero or more"):
        library.qualities()
