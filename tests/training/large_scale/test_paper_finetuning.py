"""Finetuning as in the paper: its hyperparameters, its loss, and the networks that `donna-hw finetune` trains by it."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import environment
from paper_runs import command, recipe, start_run
from torch.nn import functional as f

from donna_hw._core import torchvision_compat
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces import load_space
from donna_hw.spaces.mixed_precision import float_counterparts, is_int8
from donna_hw.training.checkpoints import load_weights, read_weights
from donna_hw.training.data.image_folder import load_image_folder
from donna_hw.training.large_scale.config import PaperFinetuneConfig, PaperTrainingConfig
from donna_hw.training.large_scale.distributed import DistributedContext
from donna_hw.training.large_scale.loaders import create_train_transform
from donna_hw.training.large_scale.trainer import Teacher, Trainer, create_scheduler
from donna_hw.training.libraries import ArchitectureLibrary
from donna_hw.training.loop import evaluate_top1

torchvision_compat.patch_torchvision()
Main = Callable[..., tuple[int, str, str]]
PAPER = PaperFinetuneConfig()


@pytest.fixture(scope="module")
def batch_norm_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start_run(tmp_path_factory.mktemp("batch_norm"), batch_norm=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start_run(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums of floats depend on the number of threads: train in this process with as many as `environment` gives the others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def library_of(folder: Path, run: Path) -> ArchitectureLibrary:
    return ArchitectureLibrary(run / "architecture_library", load_space(f"{folder / 'space.py'}:plain"))


def test_only_what_the_paper_states_differs_from_training_from_scratch() -> None:
    """A.1: decay 0.9 every 2 epochs, a fifth of the rate, no dropout, stochastic depth nor RandAugment; up to 50 epochs."""
    scratch = PaperTrainingConfig().model_dump()
    changed = {key: value for key, value in PAPER.model_dump().items() if key in scratch and value != scratch[key]}
    assert changed == {
        "epochs": 50,
        "learning_rate": pytest.approx(0.096 / 5),
        "decay": 0.9,
        "decay_epochs": 2,
        "dropout": 0,
        "stochastic_depth": 0,
        "randaugment": "",
    }


def test_the_rate_of_every_epoch() -> None:
    network = to_torch(load_space("small_8px").network_graph(load_space("small_8px").reference))
    optimizer = torch.optim.SGD(network.parameters(), lr=PAPER.learning_rate)
    schedule = create_scheduler(optimizer, PAPER)
    for epoch in range(PAPER.warmup_epochs, 50):
        schedule.step(epoch)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0192 * 0.9 ** (epoch // 2), rel=1e-12)


def test_nothing_is_dropped_and_no_randaugment_draws() -> None:
    space = load_space("small_8px")
    hooks = {}
    for settings in (PaperTrainingConfig(), PAPER):
        network = to_torch(space.network_graph(space.reference))
        Trainer(network, settings, DistributedContext())
        hooks[settings.section] = sum(len(module._forward_pre_hooks) for module in network.modules())
    assert hooks["finetune"] == 0
    assert hooks["reference"] > 0
    names = [type(step).__name__ for step in create_train_transform(PAPER, (3, 8, 8)).transforms]  # type: ignore[attr-defined]
    assert not [name for name in names if "Augment" in name]


@pytest.mark.parametrize(("hard", "temperature"), [(0.3, 2.0), (1.0, 1.0), (0.0, 1.0)])
def test_a_steps_loss_is_of_hard_and_soft_labels_and_the_teacher_stays(hard: float, temperature: float) -> None:
    space = load_space("small_8px")
    student, teacher = (to_torch(space.network_graph(space.reference), seed=seed) for seed in (0, 1))
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    trainer = Trainer(student, PAPER, DistributedContext(), Teacher(teacher, hard, temperature))
    student.eval()  # batch-norm as it is, so that the logits can be computed separately
    images, labels = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    with torch.no_grad():
        logs = student(images).log_softmax(1)
        p, q = (f.softmax(network(images) / temperature, 1) for network in (teacher, student))
    smoothed = -(0.9 * logs[torch.arange(6), labels] + 0.1 * logs.mean(1)).mean()
    divergence = (p * (p / q).log()).sum(1).mean()
    expected = hard * smoothed + (1 - hard) * temperature**2 * divergence
    assert float(trainer.step([(images, labels)])) == pytest.approx(float(expected), rel=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert not teacher.training


@pytest.mark.usefixtures("one_thread")
def test_what_finetuning_saves(batch_norm_run: Path, tmp_path: Path, main: Main) -> None:
    """Every network with the accuracy of its saved weights, after every epoch; one from scratch, and the same one for as long."""
    run = tmp_path / "run"
    shutil.copytree(batch_norm_run / "run", run)
    more = "scratch_networks = 1\nscratch_epochs = 3\ndecay_epochs = 1\ndecay = 0.5"
    path = recipe(batch_norm_run, name="saved", epochs=2, more=more)
    code, printed, error = main("finetune", path, "--out", run)
    assert code == 0, error
    library = library_of(batch_norm_run, run)
    space, networks = library.space, library.networks()
    assert [network.role for network in networks] == ["library"] * 5 + ["scratch", "long"]
    assert [len(network.curve_percent) for network in networks] == [2] * 5 + [3, 3]
    assert networks[5].architecture == networks[6].architecture == networks[2].architecture  # the first two are corners
    assert np.isnan([network.stitched_percent for network in networks]).tolist() == [False] * 5 + [True, False]
    assert networks[6].stitched_percent == networks[2].stitched_percent, "both start from the same blocks"
    data = load_image_folder(str(batch_norm_run / "images"), 8, 4, space)
    assert (len(data.train), len(data.held_out), len(data.test)) == (16, 8, 12)
    for network in networks:
        module = to_torch(space.network_graph(network.architecture))
        load_weights(module, library.weights_path(network.architecture, network.seed, network.role))
        assert network.curve_percent[-1] == network.top1_percent
        assert network.top1_percent == pytest.approx(evaluate_top1(module, data.test), abs=1e-3)
    log = library.folder / "epochs" / f"{library.weights_path(networks[6].architecture, 4, 'long').stem}.csv"
    rates = [float(row["learning_rate"]) for row in csv.DictReader(log.read_text().splitlines())]
    assert rates == pytest.approx([0.002, 0.001, 0.0005])
    assert not list((library.folder / "checkpoints").iterdir())
    assert printed.count("library") == 5
    before = library.journal.path.read_bytes()
    assert main("finetune", path, "--out", run)[:2] == (0, printed)
    assert library.journal.path.read_bytes() == before, "a trained network is not trained again"


@pytest.mark.usefixtures("one_thread")
def test_a_killed_finetuning_ends_like_one_that_was_not_killed(
    batch_norm_run: Path, tmp_path: Path, main: Main
) -> None:
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    for run in (alone, killed):
        shutil.copytree(batch_norm_run / "run", run)
    path = recipe(batch_norm_run, name="killed", epochs=6)
    assert main("finetune", path, "--out", alone)[0] == 0
    quiet, checkpoints = subprocess.DEVNULL, killed / "architecture_library" / "checkpoints"
    with subprocess.Popen(
        command(path, killed), cwd=tmp_path, env=environment(), stdout=quiet, stderr=quiet
    ) as process:
        while process.poll() is None and not list(checkpoints.glob("[!.]*.pt")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    (checkpoint,) = checkpoints.glob("[!.]*.pt")
    assert 0 < len(torch.load(checkpoint, weights_only=True)["log"]) <= 6
    assert main("finetune", path, "--out", killed)[0] == 0
    expected, resumed = (library_of(batch_norm_run, run) for run in (alone, killed))
    for left, right in zip(expected.networks(), resumed.networks(), strict=True):
        assert (left.architecture, left.curve_percent, left.stitched_percent) == (
            right.architecture,
            right.curve_percent,
            right.stitched_percent,
        )
        paths = [library.weights_path(left.architecture, 4) for library in (expected, resumed)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not list(checkpoints.iterdir())


@pytest.mark.long
def test_two_processes_finetune_what_one_finetunes(plain: Path, tmp_path: Path) -> None:
    """Steps of 8 images at once, or of 4 in each of two processes; there is no batch-norm, which would see other images."""
    libraries = []
    for processes in (1, 2):
        run = tmp_path / str(processes)
        shutil.copytree(plain / "run", run)
        path = recipe(plain, name=f"p{processes}", micro_batch=8 // processes)
        arguments = command(path, run, processes)
        completed = subprocess.run(
            arguments, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert completed.returncode == 0, completed.stderr
        assert completed.stdout.count("top-1") == 1, "only one process prints"
        libraries.append(library_of(plain, run))
    single, parallel = libraries
    assert len(parallel.networks("library")) == 5
    for left, right in zip(single.networks("library"), parallel.networks(), strict=True):
        assert left.architecture == right.architecture
        assert left.stitched_percent == right.stitched_percent
        expected, weights = (read_weights(library.weights_path(left.architecture, 4)) for library in libraries)
        for key, value in expected.items():
            torch.testing.assert_close(weights[key], value, rtol=1e-4, atol=1e-5, msg=key)


def test_blocks_come_before_several_processes(plain: Path, tmp_path: Path, main: Main) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        code, _, error = main("finetune", recipe(plain, name="early"), "--out", tmp_path / "empty")
    assert code == 2
    assert "blocks of plain are missing" in error
    assert "run donna-hw distill RECIPE to train them" in error


def test_what_one_process_trains_is_refused_in_several(plain: Path, tmp_path: Path, main: Main) -> None:
    """The reference of this run, and so its networks from scratch, are trained by one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        path = recipe(plain, name="several", more="scratch_networks = 1")
        code, _, error = main("finetune", path, "--out", tmp_path / "empty")
    assert code == 2
    assert "only method = 'paper' trains networks of role scratch in several processes; got 'adam_cosine'" in error


def test_the_other_method_trains_from_scratch_and_as_long_on_all_images(
    plain: Path, tmp_path: Path, main: Main
) -> None:
    run = tmp_path / "run"
    shutil.copytree(plain / "run", run)
    text = recipe(plain, name="adam").read_text()
    keys = "epochs = 1\nimages = 8\nbatch = 8\nrepeats = 2\nscratch_networks = 1\nlong_epochs = 3\n"
    path = tmp_path / "adam.toml"
    path.write_text(text[: text.index("[finetune]")] + "[finetune]\n" + keys)
    code, _, error = main("finetune", path, "--out", run)
    assert code == 0, error
    library = library_of(plain, run)
    assert [(network.role, network.seed) for network in library.networks() if network.role != "library"] == [
        ("scratch", 4),
        ("long", 4),
    ]
    assert len(library.networks("library")) == 10
    (scratch,), (long,) = library.networks("scratch"), library.networks("long")
    assert scratch.architecture == long.architecture
    # the reference's epochs, and long_epochs
    assert (len(scratch.curve_percent), len(long.curve_percent)) == (2, 3)
    assert sorted(p.name for p in (run / "distill_batches" / "images").glob("*labels*")) == [
        "held_out-labels.npy",
        "test-labels.npy",
        "train-labels.npy",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"image_folder"', '"digits"', "finetune.method = 'paper' needs data.name = 'image_folder'"),
        ("micro_batch = 8", "micro_batch = 3", "finetune.batch must be a multiple of 1 process"),
        (
            "batch = 8\nmicro",
            "batch = 32\nmicro",
            "finetune.batch must be at most the number of train images, 16; got 32",
        ),
        ("learning_rate = 0.002", "learning_rate = 1e30", "lower finetune.learning_rate"),
        ("data_workers = 0", "scratch_networks = 4", "two corners; got 4"),
        ("data_workers = 0", "images = 4", "[finetune]: unknown key 'images'"),
    ],
)
def test_what_cannot_be_finetuned_is_refused(tmp_path: Path, main: Main, old: str, new: str, message: str) -> None:
    run = start_run(tmp_path) / "run"
    path = recipe(tmp_path, name="refused")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    code, _, error = main("finetune", path, "--out", run)
    assert code == 2
    assert message in error


def test_networks_with_8_bit_blocks_are_finetuned_in_float32_and_evaluated_from_the_stream(
    tmp_path: Path, main: Main
) -> None:
    folder = start_run(tmp_path, batch_norm=True)
    path = recipe(folder, epochs=1)
    path.write_text(path.read_text().replace(":plain", ":plain@precision"))
    code, _, error = main("finetune", path, "--out", folder / "run")
    assert code == 0, error
    space = load_space(f"{folder / 'space.py'}:plain@precision")
    library = ArchitectureLibrary(folder / "run" / "architecture_library", space)
    quantized = [network for network in library.networks("library") if is_int8(space, network.architecture)]
    counterparts = [
        space.architecture(row)
        for row in float_counterparts(space, np.array([space.row(n.architecture) for n in quantized]))
    ]
    assert quantized
    trained = {network.architecture for network in library.networks("float_counterpart", "library")}
    assert set(counterparts) <= trained
    test = load_image_folder(str(folder / "images"), 8, 4, space).test
    for network in quantized:
        module = to_torch(space.network_graph(network.architecture))
        load_weights(module, library.weights_path(network.architecture, network.seed))
        assert network.top1_percent == pytest.approx(evaluate_top1(module, test), abs=1e-3)


@pytest.mark.long
def test_two_processes_quantize_what_one_quantizes(tmp_path: Path, main: Main) -> None:
    """There is no batch-norm, whose statistics would be of other images: so the 8-bit networks are equal, each recorded once."""
    folder = start_run(tmp_path)
    libraries = []
    for processes in (1, 2):
        run = tmp_path / f"run{processes}"
        shutil.copytree(folder / "run", run)
        path = recipe(folder, name=f"p{processes}", epochs=1, micro_batch=8 // processes)
        path.write_text(path.read_text().replace(":plain", ":plain@precision"))
        assert main("distill", path, "--out", run)[0] == 0  # which several processes refuse to do
        arguments = command(path, run, processes)
        completed = subprocess.run(
            arguments, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        assert completed.returncode == 0, completed.stderr
        space = load_space(f"{folder / 'space.py'}:plain@precision")
        libraries.append(ArchitectureLibrary(run / "architecture_library", space))
    single, parallel = ([(n.role, n.architecture, n.top1_percent) for n in library.networks()] for library in libraries)
    assert any(is_int8(libraries[0].space, network) for _, network, _ in single)
    assert single == parallel
