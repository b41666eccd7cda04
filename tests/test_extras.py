"""What donna_hw imports is what its dependencies and extras bring."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {"android", "bench", "cluster", "cuda", "detection", "docs", "report", "timm", "tvm"}


def names(lines: list[str]) -> set[str]:
    """Return the packages of requirements, as the package index spells them."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~! ]", line)[0]).lower() for line in lines}


def imported() -> set[str]:
    """Return the top modules that donna_hw imports anywhere, lazily or not, but its own and Python's."""
    found: set[str] = set()
    for path in (ROOT / "donna_hw").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"donna_hw"}


def test_all_extras_are_there_and_dev_brings_all_but_those_of_the_benchmarks() -> None:
    extras = PROJECT["optional-dependencies"]
    assert set(extras) == EXTRAS | {"dev"}
    [own] = [line for line in extras["dev"] if line.startswith("donna-hw[")]
    assert set(own.removeprefix("donna-hw[").removesuffix("]").split(",")) == EXTRAS - {"bench"}


def test_every_import_is_of_a_dependency_or_an_extra() -> None:
    brought, extras = packages_distributions(), PROJECT["optional-dependencies"]
    declared = names(PROJECT["dependencies"]).union(*(names(extras[extra]) for extra in EXTRAS))
    unknown = {
        module: brought.get(module) for module in imported() if not names(brought.get(module, [module])) & declared
    }
    assert not unknown


def test_every_dependency_of_the_core_is_imported() -> None:
    used = imported()
    modules: dict[str, set[str]] = {}
    for module, packages in packages_distributions().items():
        for package in names(packages):
            modules.setdefault(package, set()).add(module)
    for package in names(PROJECT["dependencies"]):
        assert modules.get(package, {package}) & used, f"{package} is installed for nothing"


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_an_extra_brings_something(extra: str) -> None:
    assert names(PROJECT["optional-dependencies"][extra])
