"""Whole networks: stitched from blocks, finetuned repeatably, each once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_space import InProcess, few_digits, library_of_teacher, part_state, untrained_teacher

from donna_hw.errors import FileFormatError
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Architecture
from donna_hw.training.checkpoints import load_weights, save_weights
from donna_hw.training.data import Dataset
from donna_hw.training.data.dataset import Augmentation
from donna_hw.training.finetuning.finetune import (
    FinetuneConfig,
    FinetuneTask,
    Initialization,
    finetune,
    finetune_network,
    stitch_network,
    update_bn_stats,
)
from donna_hw.training.finetuning.targets import (
    load_distill_batches,
    save_distill_batches,
    save_images,
    stream_distill_batches,
)
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary
from donna_hw.training.loop import OptimConfig, compute_outputs, evaluate_top1
from donna_hw.training.reference import TeacherFile

SPACE, OTHER = load_space("small_8px"), Architecture((0, 5, 9))
EKD = FinetuneConfig(OptimConfig(epochs=2, batch=16, learning_rate=0.003, cosine_steps=100), images=40)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return few_digits()


@pytest.fixture(scope="module")
def teacher() -> GraphModule:
    return untrained_teacher(SPACE)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, teacher: GraphModule, data: Dataset) -> Initialization:
    """Return folders that hold the teacher, its blocks, untrained blocks of `OTHER`, and the distill batches."""
    folder = tmp_path_factory.mktemp("start")
    reference = folder / "reference.safetensors"
    init = Initialization(folder / "blocks", reference, folder / "distill_batches", TeacherFile("small_8px", reference))
    save_weights(teacher, init.reference)
    library = library_of_teacher(SPACE, teacher, init.blocks)
    for stage, number in zip(SPACE.stages, OTHER.blocks, strict=True):
        save_weights(to_torch(SPACE.block_graph(stage, number), seed=number), library.weights_path(stage, number))
    save_distill_batches(teacher, data, EKD.optim.epochs, images=EKD.images, seed=1, folder=init.batches)
    return init


def task(
    start: Initialization, weights: Path, architecture: Architecture = OTHER, ekd: FinetuneConfig = EKD
) -> FinetuneTask:
    return FinetuneTask("small_8px", architecture, start, ekd, 1, str(weights))


def test_the_reference_blocks_stitch_to_the_reference(
    start: Initialization, teacher: GraphModule, data: Dataset
) -> None:
    network = stitch_network(SPACE, SPACE.reference, BlockLibrary(start.blocks, SPACE), start.reference)
    torch.testing.assert_close(
        compute_outputs(network, data.test.pixels), compute_outputs(teacher, data.test.pixels), rtol=0, atol=1e-6
    )


def test_a_stitched_network_has_the_blocks_weights_and_the_references_fixed_parts(
    start: Initialization, teacher: GraphModule
) -> None:
    network = stitch_network(SPACE, OTHER, BlockLibrary(start.blocks, SPACE), start.reference)
    for part in SPACE.fixed:
        expected = part_state(teacher, part)
        assert all(torch.equal(value, expected[key]) for key, value in part_state(network, part).items())
    for stage, number in zip(SPACE.stages, OTHER.blocks, strict=True):
        expected = to_torch(SPACE.block_graph(stage, number), seed=number).state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in part_state(network, stage.name).items())


def test_a_block_without_weights_is_a_bad_file(start: Initialization) -> None:
    with pytest.raises(FileFormatError, match="not a readable safetensors file"):
        stitch_network(SPACE, Architecture((1, 1, 1)), BlockLibrary(start.blocks, SPACE), start.reference)


def test_distill_batches_are_repeatable_and_depend_on_their_seed(
    start: Initialization, teacher: GraphModule, data: Dataset, tmp_path: Path
) -> None:
    torch.manual_seed(99)
    save_distill_batches(teacher, data, EKD.optim.epochs, images=EKD.images, seed=1, folder=tmp_path / "again")
    save_distill_batches(teacher, data, EKD.optim.epochs, images=EKD.images, seed=2, folder=tmp_path / "other")
    names = sorted(path.name for path in start.batches.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (start.batches / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    for name in ("epoch0.npy", "epoch1.npy"):
        assert (start.batches / name).read_bytes() != (tmp_path / "other" / name).read_bytes()
    assert (start.batches / "epoch0.npy").read_bytes() != (start.batches / "epoch1.npy").read_bytes()


def test_a_network_is_repeatable_bit_by_bit_and_its_accuracy_is_that_of_its_weights(
    start: Initialization, data: Dataset, tmp_path: Path
) -> None:
    first = finetune_network(task(start, tmp_path / "first"))
    torch.manual_seed(99)  # nothing but the task's seed may matter
    second = finetune_network(task(start, tmp_path / "second"))
    assert (first.curve_percent, first.stitched_percent) == (second.curve_percent, second.stitched_percent)
    assert len(first.curve_percent) == EKD.optim.epochs
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    network = to_torch(SPACE.network_graph(OTHER))
    load_weights(network, tmp_path / "first")
    assert evaluate_top1(network.to(memory_format=torch.channels_last), data.test) == first.curve_percent[-1]  # type: ignore[call-overload]


def test_distill_batches_computed_on_demand_equal_those_that_are_saved(
    start: Initialization, teacher: GraphModule, data: Dataset, tmp_path: Path
) -> None:
    """So a training that computes them ends with the same bytes as one that reads them."""
    augmented = replace(data, augmentation=Augmentation(crop=1, flip=True))
    save_distill_batches(teacher, augmented, 2, images=40, seed=1, folder=tmp_path / "saved")
    save_images(augmented, tmp_path / "images")
    saved = load_distill_batches(tmp_path / "saved")
    streamed = stream_distill_batches(tmp_path / "images", augmented.augmentation, teacher, images=40, seed=1)
    for epoch in (0, 1, 0):
        for expected, computed in zip(saved(epoch), streamed(epoch), strict=True):
            assert expected is not None
            assert computed is not None
            assert torch.equal(expected, computed)
    assert stream_distill_batches(tmp_path / "images", augmented.augmentation, None)(0)[2] is None
    starts = (
        replace(start, batches=tmp_path / "saved"),
        replace(start, batches=tmp_path / "images", augmentation=augmented.augmentation),
    )
    for number, init in enumerate(starts):
        finetune_network(task(init, tmp_path / str(number)))
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()


def test_a_network_from_scratch_has_nothing_of_the_library(start: Initialization, tmp_path: Path) -> None:
    nothing = Initialization(tmp_path / "no_blocks", tmp_path / "no_reference", start.batches, start.teacher)
    scratch = FinetuneTask("small_8px", OTHER, nothing, EKD, 1, str(tmp_path / "w"), from_scratch=True)
    result = finetune_network(scratch)
    assert np.isnan(result.stitched_percent)
    assert len(result.curve_percent) == EKD.optim.epochs


def test_re_estimated_batch_norm_has_the_statistics_of_its_inputs(teacher: GraphModule, data: Dataset) -> None:
    network = to_torch(SPACE.network_graph(SPACE.reference), seed=0)
    network.load_state_dict(teacher.state_dict())
    before = {key: value.clone() for key, value in network.named_parameters()}
    update_bn_stats(network, data.train.pixels, batch=16)
    assert all(torch.equal(value, before[key]) for key, value in network.named_parameters())
    norm = next(module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d))
    stem = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    parts = [stem(part) for part in torch.split(data.train.pixels, 16)]  # the first norm sees the first convolution
    mean = torch.stack([part.mean((0, 2, 3)) for part in parts]).mean(0)
    torch.testing.assert_close(norm.running_mean, mean)
    assert norm.momentum == 0.1  # torch's default is back


def test_each_seed_and_training_from_scratch_is_a_separate_training(start: Initialization, tmp_path: Path) -> None:
    library, pool = ArchitectureLibrary(tmp_path, SPACE), InProcess()
    for role, seed in (("test", 1), ("test", 2), ("scratch", 1), ("front", 2), ("scratch", 1)):
        finetune(library, [OTHER], role, start, EKD, seed=seed, pool=pool)  # type: ignore[arg-type]
    assert [(network.role, network.seed) for network in library.networks()] == [
        ("test", 1),
        ("test", 2),
        ("scratch", 1),
    ]
    assert len(list(tmp_path.glob("weights/*"))) == 3
    first, second = library.networks("test")
    assert library.mean_top1("test") == {OTHER: ((first.top1_percent + second.top1_percent) / 2, 2)}
    assert library.find_weights(OTHER) == library.weights_path(OTHER, 1)
    assert library.find_weights(SPACE.reference) is None


def test_finetuning_learns_its_distill_batches(
    start: Initialization, teacher: GraphModule, data: Dataset, tmp_path: Path
) -> None:
    ekd = FinetuneConfig(OptimConfig(12, 16, 0.01, 1000), images=0, hard_label_weight=1.0)
    batches = tmp_path / "distill_batches"
    save_distill_batches(teacher, data, ekd.optim.epochs, images=ekd.images, seed=1, folder=batches)
    finetune_network(
        task(Initialization(start.blocks, start.reference, batches, start.teacher), tmp_path / "w", ekd=ekd)
    )
    network = to_torch(SPACE.network_graph(OTHER))
    load_weights(network, tmp_path / "w")
    assert evaluate_top1(network, data.train) > 60  # ten classes: 10 % by chance


def test_a_network_is_finetuned_once_whatever_its_role(start: Initialization, tmp_path: Path) -> None:
    library = ArchitectureLibrary(tmp_path, SPACE)
    pool, architectures = InProcess(), [OTHER, SPACE.reference, OTHER]
    finetune(library, architectures, "library", start, EKD, seed=1, pool=pool)  # type: ignore[arg-type]
    finetune(library, architectures, "front", start, EKD, seed=1, pool=pool)  # type: ignore[arg-type]
    assert {task.architecture for task in pool.tasks} == {OTHER, SPACE.reference}
    assert len(pool.tasks) == 2
    assert [network.role for network in library.networks()] == ["library", "library"]
    assert all(library.weights_path(network.architecture, network.seed).exists() for network in library.networks())


def test_networks_do_not_depend_on_the_order_of_work(start: Initialization, tmp_path: Path) -> None:
    libraries = [ArchitectureLibrary(tmp_path / str(reverse), SPACE) for reverse in (False, True)]
    for library, reverse in zip(libraries, (False, True), strict=True):
        finetune(library, [OTHER, SPACE.reference], "library", start, EKD, seed=1, pool=InProcess(reverse=reverse))  # type: ignore[arg-type]
    first, second = ({n.architecture: n.top1_percent for n in library.networks()} for library in libraries)
    assert first == second
    for architecture in first:
        assert len({library.weights_path(architecture, 1).read_bytes() for library in libraries}) == 1
