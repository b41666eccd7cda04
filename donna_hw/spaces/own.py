"""A user's own space, from a Python file of theirs."""

from __future__ import annotations

import hashlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from donna_hw.errors import BadFile, UnknownName
from donna_hw.spaces.space import Space

OWN = "_donna_hw_own_"  # how the names of users' modules begin


def own_module(path: Path) -> ModuleType:
    """Return a user's Python file as a module; it is run once in a process, as any Python file is.

    Raises `BadFile` when it is missing or cannot be run.
    """
    if not path.is_file():
        raise BadFile(f"{path} must be a Python file with a space in it", found="no such file", cure="check the path")
    name = f"{OWN}{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101  a .py file has one
    assert spec.loader is not None  # noqa: S101
    module = module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look up their own annotations
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BadFile(
            f"{path} must be a Python file that runs", found=f"{type(error).__name__}: {error}", cure="mend it"
        ) from error
    return module


def own_space(path: Path, function: str) -> Space:
    """Return what `function` of the file at `path` returns.

    Raises `BadFile` when the file is missing or cannot be run, `UnknownName` when it has no such
    function that returns a Space.
    """
    module = own_module(path)
    name = module.__name__
    known = [key for key, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == name]
    try:
        found = getattr(module, function)() if function in known else None
    except (Exception, SystemExit) as error:
        raise BadFile(
            f"{path}: {function}() must return a Space", found=f"{type(error).__name__}: {error}", cure="mend it"
        ) from error
    if not isinstance(found, Space):
        raise UnknownName(
            f"{path} must have a function that returns a Space", found=function or "no function", known=known
        )
    return found
