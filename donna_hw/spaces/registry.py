"""A user's own space, from a Python file of theirs."""

from __future__ import annotations

from pathlib import Path

from donna_hw._core.user_modules import load_user_module
from donna_hw.errors import FileFormatError, UnknownNameError
from donna_hw.spaces.space import Space


def load_custom_space(path: Path, function: str) -> Space:
    """Return what `function` of the file at `path` returns.

    Raises `FileFormatError` when the file is missing or cannot be run, `UnknownNameError` when it has no such
    function that returns a Space.
    """
    module = load_user_module(path)
    name = module.__name__
    known = [key for key, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == name]
    try:
        found = getattr(module, function)() if function in known else None
    except (Exception, SystemExit) as error:
        raise FileFormatError(
            f"{path}: {function}() must return a Space", got=f"{type(error).__name__}: {error}", hint="mend it"
        ) from error
    if not isinstance(found, Space):
        raise UnknownNameError(
            f"{path} must have a function that returns a Space", got=function or "no function", choices=known
        )
    return found
