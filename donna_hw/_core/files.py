"""Files that survive a kill: they are replaced atomically, and locked against a second process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from donna_hw.errors import FileFormatError, LockedError


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content`: a reader, or a kill at any moment, meets the complete old file or the complete new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(
        f".{path.name}.tmp"
    )  # always the same name: leftovers of a kill are overwritten next time
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """Return the file's text; raises `FileFormatError` where it is missing or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileFormatError(f"{path}: no such file", hint="check the path") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise FileFormatError(
            f"{path}: not a text file in UTF-8", got=str(error), hint="restore or delete it"
        ) from None


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; raises `LockedError` at once where another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(
            f"{path.parent} is locked by another process that writes there",
            hint="wait for it to end, or choose another folder",
        ) from None
    try:
        yield
    finally:
        lock.release()
