"""The doctor finds what is here and what is not, and never breaks on a broken machine."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions
from importlib.util import find_spec

import pytest
from paths import ROOT
from requirements import needs

from donna_hw.cli import environment_check as doctor
from donna_hw.devices.backends import list_backends
from donna_hw.devices.device import list_devices

Main = Callable[..., tuple[int, str, str]]


def test_every_backend_is_looked_at_and_what_is_missing_has_a_hint() -> None:
    found = doctor.check_environment()
    assert {f"backend {name}" for name in list_backends()} <= {one.name for one in found}
    assert {one.state for one in found} <= {"ok", "missing", "note"}
    assert all(one.hint for one in found if one.state == "missing")
    assert all(one.details for one in found)


@pytest.mark.parametrize("package", doctor.OPTIONAL_PACKAGES)
def test_what_is_not_installed_is_missing_with_its_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == package else find_spec(name))
    [found] = [one for one in doctor._extras() if one.name == f"package {package}"]
    assert found.state == "missing"
    assert found.hint == f"pip install 'donna-hw[{doctor.OPTIONAL_PACKAGES[package][0]}]'"


def test_the_extra_that_is_named_brings_the_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    # benchmarks and tests are run from a checkout, by those who read how
    assert {extra for extra, _ in doctor.OPTIONAL_PACKAGES.values()} == set(extras) - {"bench", "dev"}
    brought = packages_distributions()
    for package, (extra, _) in doctor.OPTIONAL_PACKAGES.items():
        needs(package in brought, package)
        assert any(line.lower().startswith(brought[package][0].lower()) for line in extras[extra]), package


def test_every_device_stands_beside_its_backend_and_a_broken_one_is_a_finding() -> None:
    found = {one.name: one for one in doctor.check_environment()}
    listed = [
        name
        for what, one in found.items()
        if what.startswith("backend")
        for name in one.details.split(": ")[-1].split(", ")
    ]
    assert set(list_devices()) <= set(listed)
    own = doctor.data_roots()[0] / "devices"
    own.mkdir(parents=True)
    (own / "broken.toml").write_text('title = "broken"\n')
    [broken] = [one for one in doctor.check_environment() if one.name == "device broken"]
    assert broken.state == "missing"
    assert broken.hint


def test_a_backend_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("its library is gone")

    monkeypatch.setattr(doctor, "load_backend", broken)
    found = [one for one in doctor.check_environment() if one.name.startswith("backend")]
    assert found
    assert all(one.state == "missing" and "its library is gone" in one.details for one in found)


def test_the_command_prints_all_of_it(main: Main) -> None:
    code, out, _ = main("doctor")
    assert code == 0
    for one in doctor.check_environment():
        assert one.name in out
    assert "are available" in out.splitlines()[-1]
