"""The doctor finds what is here and what is not, and never breaks on a broken machine."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import pytest

from donna_hw import doctor
from donna_hw.backends import backend_names

Main = Callable[..., tuple[int, str, str]]


def test_every_backend_is_looked_at_and_what_is_missing_has_a_cure() -> None:
    found = doctor.findings()
    assert {f"backend {name}" for name in backend_names()} <= {one.what for one in found}
    assert {one.state for one in found} <= {"ok", "missing", "note"}
    assert all(one.cure for one in found if one.state == "missing")
    assert all(one.words for one in found)


def test_what_is_not_installed_is_missing_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "ray" else find_spec(name))
    found = {one.what: one for one in doctor.findings()}
    assert found["package ray"].state == "missing"
    assert found["package ray"].cure == "pip install 'donna-hw[cluster]'"


def test_a_backend_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("its library is gone")

    monkeypatch.setattr(doctor, "load_backend", broken)
    found = [one for one in doctor.findings() if one.what.startswith("backend")]
    assert found
    assert all(one.state == "missing" and "its library is gone" in one.words for one in found)


def test_the_command_prints_all_of_it(main: Main) -> None:
    code, out, _ = main("doctor")
    assert code == 0
    for one in doctor.findings():
        assert one.what in out
    assert "are here" in out.splitlines()[-1]
