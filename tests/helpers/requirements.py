"""needs(): for tests that need more than Python."""

from __future__ import annotations

import os

import pytest


def needs(condition: bool, what: str) -> None:
    """Skip the running test by name where `what` is absent; with REQUIRE_ALL=1 fail it, so that nothing is skipped unseen."""
    if condition:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"REQUIRE_ALL=1, and this test needs {what}")
    pytest.skip(f"needs {what}")
