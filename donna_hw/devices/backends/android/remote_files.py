"""Files on the phone, all below one folder: models are removed after use, programs and libraries are pushed once and stay."""

from __future__ import annotations

import hashlib
import re
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from donna_hw.devices.backends.android.adb import Adb, CommandError, PhoneStorageError
from donna_hw.errors import ConfigError

ROOT = "/data/local/tmp/donna_hw"


class RemoteFolder:
    """The files of one run: programs in `kept/` by the hash of their content, models in `models/` under names of this run."""

    def __init__(self, adb: Adb) -> None:
        self._adb = adb
        self._run = secrets.token_hex(4)
        self._number = 0
        self._folders: set[str] = set()
        self._pushed_folders: dict[tuple[Path, ...], str] = {}

    def push_once(self, local: Path, *, executable: bool = False) -> str:
        """Push a file, unless it is already there completely, and return its path on the phone."""
        remote = f"{self.push_all_once([local])}/{_sanitize(local.name)}"
        if executable:
            self._adb.shell("chmod", "755", remote)
        return remote

    def push_all_once(self, files: Sequence[Path]) -> str:
        """Push files that belong together, unless they are already there, and return the folder on the phone that has them."""
        paths = tuple(files)
        if paths not in self._pushed_folders:
            digest = hashlib.sha256()
            for path in paths:
                digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
            folder = f"{ROOT}/kept/{digest.hexdigest()[:16]}"
            self._make_folder(folder)
            for path in paths:
                self._push_if_changed(path, f"{folder}/{_sanitize(path.name)}")
            self._pushed_folders[paths] = folder
        return self._pushed_folders[paths]

    def write(self, data: bytes, suffix: str) -> str:
        """Write a file of this run, and return its path on the phone."""
        self._number += 1
        remote = f"{ROOT}/models/{self._run}-{self._number}{_sanitize(suffix)}"
        self._make_folder(f"{ROOT}/models")
        with tempfile.NamedTemporaryFile(suffix=_sanitize(suffix)) as file:
            file.write(data)
            file.flush()
            self._push(Path(file.name), remote)
        return remote

    def remove(self, remote: str) -> None:
        """Remove a file of this package, if it exists."""
        self._adb.shell("rm", "-f", validate_remote_path(remote))

    def clean_all(self) -> None:
        """Remove everything that this package has put on the phone."""
        self._adb.shell("rm", "-rf", ROOT)
        self._folders.clear()
        self._pushed_folders.clear()

    def free_bytes(self) -> int | None:
        """Return the free space of the phone's storage in bytes, None where `df` cannot be read."""
        try:
            lines = self._adb.shell("df", "-k", "/data/local/tmp").splitlines()
            return 1024 * int(lines[-1].split()[3])
        except (CommandError, IndexError, ValueError):
            return None

    def _push_if_changed(self, local: Path, remote: str) -> None:
        try:
            remote_size = self._adb.shell("stat", "-c", "%s", remote).strip()
        except CommandError:  # no such file
            remote_size = ""
        if remote_size != str(local.stat().st_size):
            partial = (
                f"{remote}.{self._run}"  # another name, so that an interrupted push is never taken for a complete one
            )
            self._push(local, partial)
            self._adb.shell("mv", "-f", partial, remote)

    def _push(self, local: Path, remote: str) -> None:
        try:
            self._adb.push(local, validate_remote_path(remote))
        except PhoneStorageError as error:
            free = self.free_bytes()
            space = (
                "" if free is None else f"; {free / 1e6:.1f} MB are free of {local.stat().st_size / 1e6:.1f} MB needed"
            )
            raise PhoneStorageError(error.message, got=f"{error.got}{space}", hint=error.hint) from None

    def _make_folder(self, folder: str) -> None:
        if folder not in self._folders:
            self._adb.shell("mkdir", "-p", validate_remote_path(folder))
            self._folders.add(folder)


def validate_remote_path(remote: str) -> str:
    """Return a path on the phone; raises `ConfigError` unless it is below this package's folder there."""
    path = PurePosixPath(remote)
    if ".." in path.parts or PurePosixPath(ROOT) not in path.parents:
        raise ConfigError(f"a file on the phone must be below {ROOT}", got=remote)
    return str(path)


def _sanitize(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", name, flags=re.ASCII)
