"""What all tests share: needs() for tests that need more than Python, and a home without the user's own data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def needs(condition: bool, what: str) -> None:
    """Skip the running test by name where `what` is absent; with REQUIRE_ALL=1 fail it, so that nothing is skipped unseen."""
    if condition:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"REQUIRE_ALL=1, and this test needs {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Point the user's own folder at an empty one: a developer's devices must not decide a test."""
    monkeypatch.setenv("DONNA_HW_DATA", str(tmp_path / "own"))
