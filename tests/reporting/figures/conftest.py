"""One made run for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from example_run import made_run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the recipe and the folder of a made run; tests must not change it."""
    return made_run(tmp_path_factory.mktemp("made"))
