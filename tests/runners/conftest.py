"""The native runner, built once for the tests of a process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from requirements import needs

from donna_hw.devices.backends.android.build_runner import build_runner


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs(shutil.which("cmake") is not None, "cmake")
    return build_runner(tmp_path_factory.mktemp("host"))
