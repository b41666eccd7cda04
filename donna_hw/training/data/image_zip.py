"""A folder of images inside a zip file, read in place: nothing is unpacked to the disk."""

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
_OPEN: Handles = {}  # one for each process, since a forked process would move its parent's position in the file


class ZippedImages(ImageFolder):  # type: ignore[misc]  # torchvision has no types
    """torchvision's ImageFolder of a folder in a zip file; `root` is the path of the zip file followed by the folder's name in it."""

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """Return the names of the subfolders in alphabetical order, and {name: number}."""
        classes = sorted({name.split("/")[0] for name in _list_names(directory) if "/" in name})
        if not classes:
            raise FileNotFoundError(f"no classes in {directory}")
        return classes, {name: number for number, name in enumerate(classes)}

    @staticmethod
    def make_dataset(directory: str, class_to_idx: dict[str, int], *_: Any, **__: Any) -> list[tuple[str, int]]:
        """Return (path, class) of every image, sorted; raises `FileNotFoundError` for a class without images, as torchvision does."""
        samples = [
            (f"{directory}/{name}", class_to_idx[name.split("/")[0]])
            for name in sorted(_list_names(directory))
            if name.lower().endswith(IMG_EXTENSIONS)
        ]
        for name, number in class_to_idx.items():
            if all(label != number for _, label in samples):
                raise FileNotFoundError(f"no images of class {name} in {directory}")
        return samples


def list_folders(path: Path) -> set[str]:
    """Return the names of the top-level folders; raises `FileFormatError` when the file is not a zip file."""
    return {name.split("/")[0] for name in _open_archive(str(path)).namelist() if "/" in name}


def open_member(path: str) -> io.BytesIO:
    """Return the bytes of `<zip file>/<name in it>`; raises `OSError` when they cannot be read."""
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
    """Return the path of the zip file and the name in it: the first part that is a file, since a folder may be named like a zip file."""
    parts = Path(path).parts
    for count in range(1, len(parts)):
        if parts[count - 1].lower().endswith(".zip") and Path(*parts[:count]).is_file():
            return str(Path(*parts[:count])), "/".join(parts[count:])
    raise FileNotFoundError(path)


def _open_archive(path: str) -> zipfile.ZipFile:
    key = path, os.getpid()
    if key not in _OPEN:
        try:
            _OPEN[key] = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise FileFormatError(f"{path}: not a readable zip file", got=str(error), hint="restore it") from None
    return _OPEN[key]
