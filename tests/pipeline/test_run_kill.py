"""A run that is killed and started again ends as one that was left alone, and leaves no process behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from tiny_run import COMMAND, Main, TinyRun, donna, environment

from donna_hw.spaces import load_space
from donna_hw.training.block_metrics import METRICS
from donna_hw.training.libraries import ArchitectureLibrary, BlockLibrary

SPACE = load_space("small_8px")


@pytest.mark.parametrize(("kills", "seed"), [(2, 0), pytest.param(15, 1, marks=pytest.mark.long)])
def test_a_run_killed_again_and_again_ends_like_one_left_alone(
    tiny_run: TinyRun, tmp_path: Path, kills: int, seed: int
) -> None:
    recipe, folder = tmp_path / "tiny.toml", tmp_path / "run"
    shutil.copy(tiny_run.recipe, recipe)
    rng, share = np.random.default_rng(seed), records(tiny_run.folder) // kills
    survivors = killed(recipe, folder, records_more=0, delay_s=float(rng.uniform(0.5, 5)))  # before there is a record
    for _ in range(kills - 1):
        more, delay = int(rng.integers(1, 2 * share)), float(rng.uniform(0, 0.1))
        survivors += killed(recipe, folder, records_more=more, delay_s=delay)
    assert survivors == []
    done = donna("run", recipe, "--out", folder, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    same_blocks(folder, tiny_run.folder)
    same_networks(folder, tiny_run.folder)
    assert not list(folder.glob("block_library/maps/*.npy"))
    assert not (folder / "distill_batches").exists()


def records(folder: Path) -> int:
    """Return how many records all journals of a run hold: its progress, whatever the machine's speed."""
    files = [
        Path(parent, name) for parent, _, names in os.walk(folder) for name in names
    ]  # folders may vanish meanwhile
    journals = [path for path in files if path.name.endswith((".samples.csv", "quality.csv", "architectures.csv"))]
    return sum(path.read_bytes().count(b"\n") for path in journals)


def killed(recipe: Path, folder: Path, *, records_more: int, delay_s: float) -> list[psutil.Process]:
    """Start the run, kill it by SIGKILL some records and a moment later, and return the children that outlive it.

    A run may end before that.
    """
    wanted = records(folder) + records_more
    words = [*COMMAND, "run", str(recipe), "--out", str(folder)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, cwd=recipe.parent, env=environment(), stdout=quiet, stderr=quiet) as run:
        while run.poll() is None and records(folder) < wanted:
            time.sleep(0.01)
        time.sleep(delay_s)
        children = psutil.Process(run.pid).children(recursive=True) if run.poll() is None else []
        run.send_signal(signal.SIGKILL)
    return psutil.wait_procs(children, timeout=30)[1]


def same_blocks(one: Path, other: Path) -> None:
    names = sorted(path.name for path in other.glob("block_library/weights/*.safetensors"))
    assert sorted(path.name for path in one.glob("block_library/weights/*.safetensors")) == names
    assert len(names) == 72  # every block of the space, since no two are equal
    for name in (*(f"block_library/weights/{name}" for name in names), "reference/weights.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    records = [BlockLibrary(folder / "block_library", SPACE).journal.records() for folder in (one, other)]
    keys = ("stage", "block", "layers_hash", "status", *METRICS)
    found, expected = (sorted(tuple(record[key] for key in keys) for record in part) for part in records)
    assert found == expected  # each block once


def same_networks(one: Path, other: Path) -> None:
    """The library's networks are the same; a front depends on measured times, so of its networks those in both are compared."""
    libraries = [ArchitectureLibrary(folder / "architecture_library", SPACE) for folder in (one, other)]
    found, expected = ({n.architecture: n for n in library.networks()} for library in libraries)
    assert len(found) == len(libraries[0].networks())  # each network once
    wanted = {n.architecture for n in libraries[1].networks("library")}
    assert {n.architecture for n in libraries[0].networks("library")} == wanted
    for architecture in found.keys() & expected.keys():
        assert found[architecture].top1_percent == expected[architecture].top1_percent
        paths = [library.weights_path(architecture, 3) for library in libraries]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_second_process_on_the_same_folder_is_told_so_at_once(broken: TinyRun, main: Main) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom donna_hw.pipeline.run import open_run\n"
        "with open_run(sys.argv[1], Path(sys.argv[2])):\n    print('open', flush=True)\n    sys.stdin.read()\n"
    )
    words = [COMMAND[0], "-c", script, str(broken.recipe), str(broken.folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environment(), stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "open\n"
        code, _, error = main("report", broken.recipe, "--out", broken.folder)
        assert first.poll() is None
        first.communicate()
    assert code == 2
    assert error.startswith(f"error: {broken.folder} is locked by another process that writes there")
    assert error.count("\n") == 1
    assert main("report", broken.recipe, "--out", broken.folder)[0] == 0
