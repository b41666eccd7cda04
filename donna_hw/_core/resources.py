"""Finds the data that comes with donna_hw: devices, latency tables and recipes.

Three places are tried, in this order: the user's own folder (`$DONNA_HW_DATA`, default `~/.donna_hw`), the wheel's copy,
and the checkout. The first that holds the file wins, so that a user's device replaces a shipped one of its name.
"""

from __future__ import annotations

import os
from pathlib import Path

from donna_hw.errors import UnknownNameError

_PACKAGE = Path(__file__).resolve().parents[1]


def data_roots() -> list[Path]:
    """Return the folders that may hold `devices/`, `latency_tables/` and `recipes/`, most personal first."""
    own = Path(os.environ.get("DONNA_HW_DATA", "") or Path.home() / ".donna_hw")
    return [own, _PACKAGE / "_shipped", _PACKAGE.parent]


def is_shipped(path: Path) -> bool:
    """Return whether a path lies among the data that comes with donna_hw, which measurements never change."""
    return any(path.resolve().is_relative_to((root / "latency_tables").resolve()) for root in data_roots()[1:])


def resource_names(kind: str) -> list[str]:
    """Return the sorted names of the TOML files of a kind (`devices`, `recipes`) in all places."""
    return sorted({path.stem for root in data_roots() for path in (root / kind).glob("*.toml")})


def find_resource(kind: str, name: str) -> Path:
    """Return the path of the TOML file called `name` of a kind; a path to a file stands for itself.

    Raises `UnknownNameError` with the known names and the place where a new one belongs.
    """
    if name.endswith(".toml") and Path(name).is_file():
        return Path(name)
    plain = Path(name).name == name
    for root in data_roots():
        path = root / kind / f"{name.removesuffix('.toml')}.toml"
        if plain and path.is_file():
            return path
    raise UnknownNameError(
        f"{kind} hold one TOML file a name",
        got=name,
        choices=resource_names(kind),
        hint=f"choose a known one, name a file, or add {data_roots()[0] / kind / (Path(name).name.removesuffix('.toml') + '.toml')}",
    )
