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
    """Return the folders that may hold `devices/`, `latency_tables/` and `recipes/`, the user's first."""
    user_folder = Path(os.environ.get("DONNA_HW_DATA", "") or Path.home() / ".donna_hw")
    return [user_folder, _PACKAGE / "_shipped", _PACKAGE.parent]


def is_shipped(path: Path) -> bool:
    """Return whether a path lies among the data that comes with donna_hw, which measurements never change."""
    return any(path.resolve().is_relative_to((root / "latency_tables").resolve()) for root in data_roots()[1:])


def resource_names(kind: str) -> list[str]:
    """Return the sorted names of the TOML files of a kind (`devices`, `recipes`) in all places."""
    return sorted({path.stem for root in data_roots() for path in (root / kind).glob("*.toml")})


def find_resource(kind: str, name: str) -> Path:
    """Return the path of the TOML file called `name` of a kind (`devices`, `recipes`); the path of a file is returned as it is.

    Raises:
        UnknownNameError: There is none; the message has the known names, and the place where a new file belongs.
    """
    if name.endswith(".toml") and Path(name).is_file():
        return Path(name)
    is_name = Path(name).name == name
    for root in data_roots():
        path = root / kind / f"{name.removesuffix('.toml')}.toml"
        if is_name and path.is_file():
            return path
    new_file = data_roots()[0] / kind / f"{Path(name).name.removesuffix('.toml')}.toml"
    raise UnknownNameError(
        f"unknown {kind.removesuffix('s')}",
        got=name,
        choices=resource_names(kind),
        hint=f"give one of these or the path of a TOML file, or write {new_file}",
    )
