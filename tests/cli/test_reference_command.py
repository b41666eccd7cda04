"""`donna-hw reference` on a real folder of small images: what it writes, that it goes on after a kill, and what it refuses."""

from __future__ import annotations

import csv
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from image_folders import command, environment, image_folder, recipe

from donna_hw._core import torchvision_compat
from donna_hw._core.toml_files import read_toml
from donna_hw.training.checkpoints import read_weights

Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image_folder(tmp_path / "images")
    return tmp_path


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums of floats depend on the number of threads: train in this process with as many as `environment` gives the others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_what_a_training_prints_and_keeps(folder: Path, main: Main) -> None:
    """24 images in steps of 8; a loss that falls, and rates 1e-6 of the warm-up, then 0.002 and from 2.4 epochs on 0.97 of it."""
    path = recipe(folder, epochs=6, more="decay_epochs = 2.4")
    code, printed, _ = main("reference", path, "--out", "run")
    assert code == 0
    reference = folder / "run" / "reference"
    assert sorted(p.name for p in reference.iterdir()) == ["epochs.csv", "reference.toml", "weights.safetensors"]
    log = list(csv.DictReader((reference / "epochs.csv").read_text().splitlines()))
    assert [float(row["learning_rate"]) for row in log] == pytest.approx(
        [1e-6, 0.002, 0.002, 0.00194, 0.00194, 0.002 * 0.97**2]
    )
    assert [row["epoch"] for row in log] == list("012345")
    assert float(log[-1]["loss"]) < float(log[0]["loss"])
    facts = read_toml(reference / "reference.toml")
    assert facts["top1_percent"] == pytest.approx(float(log[-1]["ema_top1_percent"]))
    assert facts["raw_top1_percent"] == pytest.approx(float(log[-1]["top1_percent"]))
    assert facts["train_s"] == pytest.approx(sum(float(row["seconds"]) for row in log))
    assert (facts["test_images"], facts["seed"], facts["processes"]) == (12, 4, 1)
    assert printed.startswith(f"run/reference: top-1 {facts['top1_percent']:.2f} % with averaged weights, ")
    kept = (reference / "weights.safetensors").stat().st_mtime_ns
    assert main("reference", path, "--out", "run")[:2] == (0, printed)
    assert (reference / "weights.safetensors").stat().st_mtime_ns == kept, "a trained reference is not trained again"


def test_it_learns_the_colours(folder: Path, main: Main) -> None:
    path = recipe(folder, epochs=25)
    path.write_text(path.read_text().replace("learning_rate = 0.002", "learning_rate = 0.01\nrandaugment = ''"))
    assert main("reference", path, "--out", "run")[0] == 0
    facts = read_toml(folder / "run" / "reference" / "reference.toml")
    assert facts["top1_percent"] > 90  # a third by guessing


@pytest.mark.usefixtures("one_thread")
def test_a_training_that_was_killed_ends_like_one_left_alone(folder: Path, main: Main) -> None:
    path = recipe(folder, epochs=12)
    assert main("reference", path, "--out", "alone")[0] == 0
    quiet, checkpoint = subprocess.DEVNULL, folder / "killed" / "reference" / "checkpoint.pt"
    words = command(path, folder / "killed")
    with subprocess.Popen(words, cwd=folder, env=environment(), stdout=quiet, stderr=quiet) as run:
        while run.poll() is None and not checkpoint.exists():
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    done = len(torch.load(checkpoint, weights_only=True)["log"])
    assert 0 < done < 12
    assert main("reference", path, "--out", "killed")[0] == 0
    one, other = (folder / name / "reference" for name in ("alone", "killed"))
    assert (one / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()
    logs = [(place / "epochs.csv").read_text().splitlines() for place in (one, other)]
    assert len(logs[0]) == 1 + 12
    assert [row.rpartition(",")[0] for row in logs[0]] == [row.rpartition(",")[0] for row in logs[1]]  # without seconds
    assert not checkpoint.exists()


def test_a_folder_of_images_can_be_read_into_memory_for_the_other_method(folder: Path, main: Main) -> None:
    path = recipe(folder)
    text = path.read_text()
    path.write_text(text[: text.index("[reference]")] + "[reference]\nepochs = 2\nbatch = 8\n")
    code, printed, _ = main("reference", path, "--out", "run")
    assert code == 0
    assert "on 12 test images" in printed
    assert "averag" not in printed


def refused(main: Main, path: Path) -> str:
    code, _, error = main("reference", path, "--out", "refused")
    assert code == 2
    (line,) = [line for line in error.splitlines() if line.startswith("error: ")]
    return line


def test_another_number_of_classes_is_refused_with_the_spaces_name(folder: Path, main: Main) -> None:
    path = recipe(folder)
    text = path.read_text()
    first = text.splitlines()[1]
    path.write_text(text.replace(first, 'space = "mobilenetv3_1.0@32px"'))
    line = refused(main, path)
    assert "the classifier of mobilenetv3_1.0@32px must have 3 classes, as many as" in line
    assert 'train has folders; got 1000; set space = "mobilenetv3_1.0@32px@3classes"' in line


def test_a_corrupt_image_is_named(folder: Path, main: Main) -> None:
    torn = folder / "images" / "train" / "green" / "3.jpeg"
    torn.write_bytes(torn.read_bytes()[:300])
    line = refused(main, recipe(folder))
    assert f"{torn}: not a readable image" in line
    assert not (folder / "refused" / "reference" / "reference.toml").exists()


def test_a_loss_that_is_no_number_ends_the_training(folder: Path, main: Main) -> None:
    path = recipe(folder, epochs=4)
    path.write_text(path.read_text().replace("learning_rate = 0.002", "learning_rate = 1e30"))
    assert "the loss of epoch" in refused(main, path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"image_folder"', '"digits"', "reference.method = 'paper' needs data.name = 'image_folder'; got 'digits'"),
        ("micro_batch = 8", "micro_batch = 3", "reference.batch must be a multiple of 1 process"),
        ("batch = 8", "batch = 32\n", "reference.batch must be at most the number of train images, 24; got 32"),
    ],
)
def test_what_cannot_be_trained_is_refused(folder: Path, main: Main, old: str, new: str, says: str) -> None:
    path = recipe(folder)
    path.write_text(path.read_text().replace(old, new, 1))
    assert says in refused(main, path)


def test_a_missing_timm_is_named_with_its_command(folder: Path, main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    found = torchvision_compat.find_spec
    monkeypatch.setattr(torchvision_compat, "find_spec", lambda name: None if name == "timm" else found(name))
    line = refused(main, recipe(folder))
    assert line == "error: training as in the paper needs the package timm; pip install 'donna-hw[timm]'"


def test_other_steps_are_refused_in_several_processes(
    folder: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, error = main("distill", recipe(folder), "--out", "run")
    assert code == 2
    assert "this step cannot run in several processes; only reference and finetune can; got '2 processes'" in error
    assert "without torchrun" in error


def test_the_other_method_is_refused_in_several_processes(
    folder: Path, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    path = recipe(folder)
    text = path.read_text()
    path.write_text(text[: text.index("[reference]")] + "[reference]\nepochs = 2\n")
    assert "only reference.method = 'paper' trains the reference in several processes; got 'adam_cosine'" in refused(
        main, path
    )


def weights_of(folder: Path, words: list[str]) -> dict[str, torch.Tensor]:
    out = Path(words[-1])
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("top-1") == 1, "only one process prints"
    return read_weights(out / "reference" / "weights.safetensors")


@pytest.mark.long
def test_two_processes_train_what_one_trains(folder: Path) -> None:
    """Steps of 8 images: one process at once, in two parts, and with workers; two processes with 4 each, and with 2 parts of 2.

    Augmentation is on, since it depends on the image alone; batch-norm and dropout are not, which differ by process.
    """
    plain = "dropout = 0.0\nstochastic_depth = 0.0"
    alone = weights_of(folder, command(recipe(folder, more=plain), folder / "alone"))
    for name, batches, processes, workers in (
        ("workers", 1, 1, 2),
        ("parts", 2, 1, 0),
        ("two", 2, 2, 0),
        ("two_parts", 4, 2, 1),
    ):
        path = recipe(folder, name=name, batches=batches, workers=workers, more=plain)
        found = weights_of(folder, command(path, folder / name, processes))
        for key, value in alone.items():
            torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6, msg=f"{name} {key}")
        assert read_toml(folder / name / "reference" / "reference.toml")["processes"] == processes


@pytest.mark.long
def test_a_corrupt_image_is_named_by_a_worker_of_the_second_process_too(folder: Path) -> None:
    torn = folder / "images" / "val" / "blue" / "1.jpeg"  # images 1, 3, ... are the second one's
    torn.write_bytes(b"no image")
    words = command(recipe(folder, batches=2, workers=1), folder / "run", processes=2)
    done = subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert done.stderr.count(f"error: {torn}: not a readable image") == 1
    assert not (folder / "run" / "reference" / "reference.toml").exists()


@pytest.mark.long
def test_a_paper_reference_teaches_the_blocks(folder: Path, main: Main) -> None:
    path = recipe(folder)
    path.write_text(path.read_text() + "[distill]\nbatch = 8\n")
    code, printed, _ = main("distill", path, "--out", "run")
    assert code == 0
    assert "stage1" in printed
    assert (folder / "run" / "reference" / "epochs.csv").exists()
