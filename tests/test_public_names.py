"""`import donna_hw` gives the public names: lazily at run time, with their real types to a type checker, each documented once."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
from paths import ROOT

import donna_hw

NAMES = [name for name in donna_hw.__all__ if name != "__version__"]
REFERENCE = ROOT / "docs" / "reference"
NOT_PUBLIC = ("donna_hw.devices.backends.", "donna_hw.testing.")  # the interface of backends, on a page of its own


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_resolves_to_the_object_of_its_module(name: str) -> None:
    value = getattr(donna_hw, name)
    assert value.__name__ == name
    assert value.__module__.startswith("donna_hw.")


@pytest.mark.parametrize("name", NAMES)
def test_no_submodule_hides_a_public_name(name: str) -> None:
    # Importing the submodule would set it as an attribute of the package, in place of the public name.
    assert find_spec(f"donna_hw.{name}") is None


def test_an_unknown_name_is_an_attribute_error_that_lists_the_public_ones() -> None:
    with pytest.raises(AttributeError, match=r"'Spaec'.*Space"):
        donna_hw.Spaec  # type: ignore[attr-defined]  # noqa: B018


def test_the_names_are_listed_and_the_lazy_map_holds_all_of_them() -> None:
    assert dir(donna_hw) == sorted(donna_hw.__all__)
    assert sorted(donna_hw._MODULE_OF) == sorted(NAMES)


def test_the_version_is_that_of_the_installed_distribution() -> None:
    assert donna_hw.__version__ == version("donna-hw")


def test_a_type_checker_sees_a_precise_type_for_every_public_name(tmp_path: Path) -> None:
    consumer = tmp_path / "consumer.py"
    imports = [f"from donna_hw import {name}" for name in donna_hw.__all__]
    reveals = [f"reveal_type({name})" for name in donna_hw.__all__]
    consumer.write_text("\n".join([*imports, *reveals, ""]), encoding="utf-8")
    # The configuration of the checkout names the packages without types; the cache is the one of `make check`.
    config = ["--config-file", str(ROOT / "pyproject.toml"), "--strict"]
    command = [sys.executable, "-m", "mypy", *config, "--no-error-summary", "--hide-error-context", str(consumer)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    types = re.findall(r'consumer\.py:\d+: note: Revealed type is "(.*)"', done.stdout)
    assert len(types) == len(donna_hw.__all__), done.stdout
    for name, revealed in zip(donna_hw.__all__, types, strict=True):
        assert not re.fullmatch(r"(Any|.*-> Any)", revealed), f"{name}: {revealed}"
        assert name == "__version__" or re.search(r"donna_hw\.|^def |^Overload", revealed), f"{name}: {revealed}"


def test_a_type_checker_reports_a_name_that_is_not_public(tmp_path: Path) -> None:
    consumer = tmp_path / "consumer.py"
    consumer.write_text("from donna_hw import Spaec\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(consumer)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert "[attr-defined]" in done.stdout


def test_the_reference_pages_list_every_public_name_once_and_no_other() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md")))
    listed = re.findall(r"^::: (\S+)$", pages, re.MULTILINE)
    public = [name for name in listed if not name.startswith(NOT_PUBLIC)]
    assert Counter(public) == Counter(f"{donna_hw._MODULE_OF[name]}.{name}" for name in NAMES)
