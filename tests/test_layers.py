"""The folders of donna_hw stand in one column: imports point down only, and no two modules import each other in a circle.

Imports inside functions count too. Imports under `if TYPE_CHECKING:` do not, since they do not exist at run time.
"""

from __future__ import annotations

from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import grimp
import pytest

# From the ground up: a module may import from its own line and from the lines above it in this list.
LAYERS = (
    "errors",
    "_core",
    "measurement",
    "graph",
    "spaces",
    "simulator",
    "devices",
    "testing",
    "tables",
    "profiling",
    "costs",
    "training",
    "predictors",
    "search",
    "pipeline",
    "experiments",
    "reporting",
    "cli",
    "__main__",
)


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("donna_hw", exclude_type_checking_imports=True, cache_dir=None)


def layer(module: str) -> str:
    """Return the first part of a module's name below donna_hw."""
    return module.split(".")[1]


def modules() -> list[str]:
    return sorted(module for module in graph().modules if module != "donna_hw")


def describe(importer: str, imported: str) -> str:
    lines = graph().get_import_details(importer=importer, imported=imported)
    return "\n".join(f"{importer}:{line['line_number']}: {line['line_contents']}" for line in lines)


def test_every_folder_has_its_place_in_the_column() -> None:
    assert {layer(module) for module in modules()} == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_imports_point_down_only(name: str) -> None:
    upward = [
        describe(importer, imported)
        for importer in modules()
        if layer(importer) == name
        for imported in sorted(graph().find_modules_directly_imported_by(importer))
        if imported != "donna_hw" and LAYERS.index(layer(imported)) > LAYERS.index(name)
    ]
    assert not upward, "\n".join(["upward imports:", *upward])


def test_nothing_inside_the_package_imports_the_public_names() -> None:
    importers = graph().find_modules_that_directly_import("donna_hw")
    assert not importers, "\n".join(describe(importer, "donna_hw") for importer in sorted(importers))


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = {module: graph().find_modules_directly_imported_by(module) - {module} for module in modules()}
    try:
        tuple(TopologicalSorter(imports).static_order())
    except CycleError as error:
        circle = error.args[1][::-1]
        steps = [describe(importer, imported) for importer, imported in pairwise(circle)]
        pytest.fail("\n".join(["circle of imports:", *steps]))
