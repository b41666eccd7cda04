"""A user's Python file as a module: spaces and layers of their own lie in such."""

from __future__ import annotations

import hashlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from donna_hw.errors import FileFormatError

MODULE_PREFIX = "_donna_hw_own_"  # how the names of users' modules begin


def load_user_module(path: Path) -> ModuleType:
    """Return a user's Python file as a module; it is run once in a process, as any Python file is.

    Raises `FileFormatError` when it is missing or cannot be run.
    """
    if not path.is_file():
        raise FileFormatError(
            f"{path} must be a Python file with a space in it", got="no such file", hint="check the path"
        )
    name = f"{MODULE_PREFIX}{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
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
        raise FileFormatError(
            f"{path} must be a Python file that runs", got=f"{type(error).__name__}: {error}", hint="mend it"
        ) from error
    return module
