"""Images with boxes in COCO's format: a JSON of images, annotations and categories beside a folder of image files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from donna_hw._core.files import read_text
from donna_hw.errors import FileFormatError
from donna_hw.training.data.image_folder import read_image

KEYS = {"images": ("id", "file_name"), "annotations": ("id", "image_id", "category_id", "bbox"), "categories": ("id", "name")}  # fmt: skip
SIDES = 4  # of a box: left, top, width, height


@dataclass(frozen=True)
class CocoImages:
    """One part of a data set: `<folder>/<part>/` and `<folder>/annotations/instances_<part>.json`, as COCO's own lie.

    channels: that images are read as, 1 (grey) or 3. content: of the JSON.
    """

    folder: Path
    split: str
    channels: int
    content: dict[str, Any]

    @classmethod
    def read(cls, folder: Path, part: str, channels: int) -> CocoImages:
        """Read and check the JSON; images are read when they are asked for. Raises `FileFormatError` with the first broken rule."""
        path = folder / "annotations" / f"instances_{part}.json"
        text = read_text(path)
        try:
            content = json.loads(text)
        except ValueError as error:
            raise FileFormatError(f"{path} must be JSON", got=str(error), hint="restore it") from None
        _validate_content(content, path)
        return cls(folder, part, channels, content)

    def __len__(self) -> int:
        return len(self.content["images"])

    @cached_property
    def labels(self) -> dict[int, int]:
        """The class, counted from 0 in the order of the ids, of every category's id; COCO's ids have gaps."""
        return {key: number for number, key in enumerate(sorted(one["id"] for one in self.content["categories"]))}

    @property
    def categories(self) -> list[str]:
        """Names of the classes."""
        names = {one["id"]: one["name"] for one in self.content["categories"]}
        return [names[key] for key in self.labels]

    @property
    def ids(self) -> list[int]:
        """The images' ids."""
        return [image["id"] for image in self.content["images"]]

    def path(self, number: int) -> Path:
        """Return an image's file."""
        return self.folder / self.split / str(self.content["images"][number]["file_name"])

    def image(self, number: int) -> Tensor:
        """Return an image, float32 [channels, height, width] in 0..1; raises `FileFormatError` for a torn one."""
        picture = read_image(str(self.path(number)))
        if self.channels == 1:
            picture = picture.convert("L")
        pixels = torch.from_numpy(np.array(picture, dtype=np.float32) / 255)
        return pixels[None] if self.channels == 1 else pixels.permute(2, 0, 1).contiguous()

    def target(self, number: int) -> dict[str, Tensor]:
        """Return an image's `boxes`, float32 [n, 4] left, top, right, bottom, and `labels`, int64 [n].

        Crowds are no single things and are left out, and so are boxes less than a pixel wide or high, of which COCO has some.
        """
        boxes, labels = self._targets.get(self.content["images"][number]["id"], ([], []))
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, SIDES),
            "labels": torch.tensor(labels, dtype=torch.int64),
        }

    @cached_property
    def _targets(self) -> dict[int, tuple[list[list[float]], list[int]]]:
        found: dict[int, tuple[list[list[float]], list[int]]] = {}
        for one in self.content["annotations"]:
            left, top, width, height = one["bbox"]
            if one.get("iscrowd", 0) or width < 1 or height < 1:
                continue
            boxes, labels = found.setdefault(one["image_id"], ([], []))
            boxes.append([left, top, left + width, top + height])
            labels.append(self.labels[one["category_id"]])
        return found


def validate_splits(learnt: CocoImages, test: CocoImages) -> None:
    """Raise `FileFormatError` where two parts name other categories, by which one's classes would be taken for the other's, or one has no box."""
    mine, its = ({one["id"]: one["name"] for one in part.content["categories"]} for part in (learnt, test))
    if mine != its:
        differing = sorted({*mine.items()} ^ {*its.items()})[0]
        rule = f"{learnt.folder}: {learnt.split} and {test.split} must have the same categories, by id and name"
        raise FileFormatError(rule, got=f"{differing} in one of them only", hint="mend one of the two files")
    for part in (learnt, test):
        if not any(len(part.target(number)["boxes"]) for number in range(len(part))):
            raise FileFormatError(f"{part.folder}: {part.split} must have a box", got="none", hint="name another part")


def _validate_content(content: Any, path: Path) -> None:
    """Raise `FileFormatError` for what would otherwise be passed over, or end in a traceback after hours."""
    cure = "mend the file; the format is COCO's"
    for name, keys in KEYS.items():
        records = content.get(name) if isinstance(content, dict) else None
        if not isinstance(records, list) or (name != "annotations" and not records):
            raise FileFormatError(f"{path} must have a list of {name}", got=type(records).__name__, hint=cure)
        for record in records:
            missing = [key for key in keys if not isinstance(record, dict) or key not in record]
            if missing:
                raise FileFormatError(
                    f"{path}: each of {name} must have {', '.join(keys)}", got=f"none of {missing[0]}", hint=cure
                )
        known = [record["id"] for record in records]
        if len(set(known)) < len(known):
            raise FileFormatError(f"{path}: ids of {name} must differ", got=max(known, key=known.count), hint=cure)
    images, categories = ({one["id"] for one in content[name]} for name in ("images", "categories"))
    for one in content["images"]:
        file = Path(str(one["file_name"]))
        if file.is_absolute() or ".." in file.parts:
            raise FileFormatError(f"{path}: images lie in their part's folder", got=str(file), hint=cure)
    for one in content["annotations"]:
        box = one["bbox"]
        if not (isinstance(box, list) and len(box) == SIDES and all(_is_number(side) for side in box)):
            raise FileFormatError(f"{path}: bbox must be left, top, width and height", got=box, hint=cure)
        for key, there in (("image_id", images), ("category_id", categories)):
            if one[key] not in there:
                raise FileFormatError(f"{path}: {key} must be one that the file has", got=one[key], hint=cure)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
