"""Files that survive a kill: whole files are replaced atomically, journals grow by whole synced lines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from donna_hw.errors import FileFormatError, LockedError


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` so that a reader, or a kill at any moment, sees the old file or the new one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.tmp")  # one name, so that what a kill left is overwritten next time
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """Return the file's text; a file that is missing or not UTF-8 is a `FileFormatError`."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileFormatError("the file must exist", got=str(path), hint="check the path") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise FileFormatError(
            f"{path} must be a text file in UTF-8", got=str(error), hint="restore or delete it"
        ) from None


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; a second process is told so at once with `LockedError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(
            "only one process may write a run at a time",
            got=f"a lock held on {path.parent}",
            hint="wait for it to end, or choose another folder with --out",
        ) from None
    try:
        yield
    finally:
        lock.release()
