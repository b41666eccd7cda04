"""One tiny run for all tests of this folder, and copies of it to break."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from tiny_run import RECIPE, TinyRun, donna


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
