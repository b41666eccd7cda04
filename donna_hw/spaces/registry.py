"""Custom spaces, from Python files of users."""

from __future__ import annotations

from pathlib import Path

from donna_hw._core.user_modules import load_user_module
from donna_hw.errors import FileFormatError, UnknownNameError
from donna_hw.spaces.space import Space


def load_custom_space(path: Path, function: str) -> Space:
    """Return the space that `function` of the file at `path` returns.

    Raises `FileFormatError` if the file is missing or cannot be run, and `UnknownNameError` if it has no such function that returns a
    Space.
    """
    module = load_user_module(path)
    name = module.__name__
    functions = [
        key for key, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == name
    ]
    if function not in functions:
        raise UnknownNameError(f"{path}: unknown function", got=function, choices=functions)
    try:
        space = getattr(module, function)()
    except (Exception, SystemExit) as error:
        raise FileFormatError(
            f"{path}: {function}() failed", got=f"{type(error).__name__}: {error}", hint="fix the function"
        ) from error
    if not isinstance(space, Space):
        raise UnknownNameError(
            f"{path}: no Space, but a {type(space).__name__}, is returned by the function",
            got=function,
            choices=functions,
        )
    return space
