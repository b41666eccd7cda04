"""A folder of images inside a zip file, read where it lies: nothing is unpacked to the disk."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from donna_hw.errors import FileFormatError

Handles = dict[tuple[str, int], zipfile.ZipFile]
_OPEN: Handles = {}  # one for each process: a forked one would move its parent's place in the file


class ZippedImages(ImageFolder):  # type: ignore[misc]  # torchvision has no types
    """torchvision's ImageFolder of a folder in a zip; `root` is the zip's path followed by the folder's name in it."""

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """Return the names of the folder's own folders in alphabetical order, and their numbers."""
        classes = sorted({name.split("/")[0] for name in _list_names(directory) if "/" in name})
        if not classes:
            raise FileNotFoundError(f"no classes in {directory}")
        return classes, {name: number for number, name in enumerate(classes)}

    @staticmethod
    def make_dataset(directory: str, class_to_idx: dict[str, int], *_: Any, **__: Any) -> list[tuple[str, int]]:
        """Return (path, class) of every image, sorted; raises `FileNotFoundError` for a class without one, as torchvision does."""
        found = [
            (f"{directory}/{name}", class_to_idx[name.split("/")[0]])
            for name in sorted(_list_names(directory))
            if name.lower().endswith(IMG_EXTENSIONS)
        ]
        for name, number in class_to_idx.items():
            if all(other != number for _, other in found):
                raise FileNotFoundError(f"no images of class {name} in {directory}")
        return found


def list_folders(path: Path) -> set[str]:
    """Return the names of the zip's own folders; raises `FileFormatError` when it is none."""
    return {name.split("/")[0] for name in _open_archive(str(path)).namelist() if "/" in name}


def open_member(path: str) -> io.BytesIO:
    """Return the bytes of `<zip>/<name in it>`; raises `OSError` when they are not to be had."""
    archive, name = _split(path)
    try:
        return io.BytesIO(_open_archive(archive).read(name))
    except (KeyError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise OSError(f"{error}") from None


def _list_names(directory: str) -> list[str]:
    archive, prefix = _split(directory)
    names = _open_archive(archive).namelist()
    return [name.removeprefix(f"{prefix}/") for name in names if name.startswith(f"{prefix}/") and name[-1] != "/"]


def _split(path: str) -> tuple[str, str]:
    """Return the zip's path and the name in it: a folder may be called like a zip, so the first that is a file counts."""
    parts = Path(path).parts
    for place in range(1, len(parts)):
        if parts[place - 1].lower().endswith(".zip") and Path(*parts[:place]).is_file():
            return str(Path(*parts[:place])), "/".join(parts[place:])
    raise FileNotFoundError(path)


def _open_archive(path: str) -> zipfile.ZipFile:
    key = path, os.getpid()
    if key not in _OPEN:
        try:
            _OPEN[key] = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise FileFormatError(f"{path} must be a zip file", got=str(error), hint="restore it") from None
    return _OPEN[key]
