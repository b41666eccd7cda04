"""What all tests share: the command line in this process, a disk that can be filled, and a home without the user's own data."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from requirements import needs
from tiny_run import RECIPE, TinyRun, donna

from donna_hw import cli

settings.register_profile("without_clock", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("without_clock")


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Point the user's own folder at an empty one, and adb at none: a developer's devices and phones must not decide a test."""
    monkeypatch.setenv("DONNA_HW_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("ADB", str(tmp_path / "no-adb"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 128 KiB."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    needs(os.geteuid() == 0 and mount is not None and umount is not None, "root, to mount a small disk")
    assert mount is not None
    assert umount is not None
    folder = tmp_path / "disk"
    folder.mkdir()
    tried = subprocess.run([mount, "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], check=False)
    needs(tried.returncode == 0, "the right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run([umount, str(folder)], check=True)


@pytest.fixture
def main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return the command line's entry, called in this process: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["donna-hw", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        found = capsys.readouterr()
        return code, found.out, found.err

    return call


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Run the tiny recipe whole, once a session; tests must not change it."""
    folder = tmp_path_factory.mktemp("tiny")
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE)
    started = time.monotonic()
    done = donna("run", recipe, "--out", folder / "run", "--summary", folder / "result.md", cwd=folder)
    assert done.returncode == 0, done.stderr
    return TinyRun(recipe, folder / "run", time.monotonic() - started, done.stdout)


@pytest.fixture
def broken(tiny_run: TinyRun, tmp_path: Path) -> TinyRun:
    """Return a copy of the tiny run that a test may change."""
    shutil.copytree(tiny_run.folder, tmp_path / "run")
    shutil.copy(tiny_run.recipe, tmp_path / "tiny.toml")
    return TinyRun(tmp_path / "tiny.toml", tmp_path / "run", tiny_run.seconds, tiny_run.printed)
