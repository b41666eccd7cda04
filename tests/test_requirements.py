"""A skip is named, and none is possible where everything is required."""

from __future__ import annotations

import pytest
from requirements import needs


def test_what_is_there_neither_skips_nor_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRE_ALL", "1")
    needs(True, "nothing")


def test_what_is_absent_skips_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs a phone"):
        needs(False, "a phone")


def test_what_is_absent_fails_where_all_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="needs a phone"):
        needs(False, "a phone")
