"""A user's Python file as a module, where custom spaces and layers are defined."""

from __future__ import annotations

import hashlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from donna_hw.errors import FileFormatError

MODULE_PREFIX = "_donna_hw_own_"  # of the names of users' modules


def load_user_module(path: Path) -> ModuleType:
    """Return a user's Python file as a module; it runs once in a process, as any Python module does.

    Raises:
        FileFormatError: The file is missing, or fails when it runs.
    """
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file", hint="check the path of the Python file")
    name = f"{MODULE_PREFIX}{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101  a .py file has one
    assert spec.loader is not None  # noqa: S101
    module = module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look up their annotations there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise FileFormatError(f"{path}: fails when it runs", got=f"{type(error).__name__}: {error}") from error
    return module
