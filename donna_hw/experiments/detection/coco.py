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
from donna_hw.errors import BadFile
from donna_hw.training.data.image_folder import read_image

KEYS = {"images": ("id", "file_name"), "annotations": ("id", "image_id", "category_id", "bbox"), "categories": ("id", "name")}  # fmt: skip
SIDES = 4  # of a box: left, top, width, height


@dataclass(frozen=True)
class CocoImages:
    """One part of a data set: `<folder>/<part>/` and `<folder>/annotations/instances_<part>.json`, as COCO's own lie.

    channels: that images are read as, 1 (grey) or 3. content: of the JSON.
    """

    folder: Path
    part: str
    channels: int
    content: dict[str, Any]

    @classmethod
    def read(cls, folder: Path, part: str, channels: int) -> CocoImages:
        """Read and check the JSON; images are read when they are asked for. Raises `BadFile` with the first broken rule."""
        path = folder / "annotations" / f"instances_{part}.json"
        try:
            content = json.loads(read_text(path))
        except ValueError as error:
            raise BadFile(f"{path} must be JSON", found=str(error), cure="restore it") from None
        _check(content, path)
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
        return self.folder / self.part / str(self.content["images"][number]["file_name"])

    def image(self, number: int) -> Tensor:
        """Return an image, float32 [channels, height, width] in 0..1; raises `BadFile` for a torn one."""
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


def check_alike(learnt: CocoImages, test: CocoImages) -> None:
    """Raise `BadFile` where two parts name other categories, by which one's classes would be taken for the other's, or one has no box."""
    mine, its = ({one["id"]: one["name"] for one in part.content["categories"]} for part in (learnt, test))
    if mine != its:
        differing = sorted({*mine.items()} ^ {*its.items()})[0]
        rule = f"{learnt.folder}: {learnt.part} and {test.part} must have the same categories, by id and name"
        raise BadFile(rule, found=f"{differing} in one of them only", cure="mend one of the two files")
    for part in (learnt, test):
        if not any(len(part.target(number)["boxes"]) for number in range(len(part))):
            raise BadFile(f"{part.folder}: {part.part} must have a box", found="none", cure="name another part")


def _check(content: Any, path: Path) -> None:
    """Raise `BadFile` for what would otherwise be passed over, or end in a traceback after hours."""
    cure = "mend the file; the format is COCO's"
    for name, keys in KEYS.items():
        records = content.get(name) if isinstance(content, dict) else None
        if not isinstance(records, list) or (name != "annotations" and not records):
            raise BadFile(f"{path} must have a list of {name}", found=type(records).__name__, cure=cure)
        for record in records:
            missing = [key for key in keys if not isinstance(record, dict) or key not in record]
            if missing:
                raise BadFile(
                    f"{path}: each of {name} must have {', '.join(keys)}", found=f"none of {missing[0]}", cure=cure
                )
        known = [record["id"] for record in records]
        if len(set(known)) < len(known):
            raise BadFile(f"{path}: ids of {name} must differ", found=max(known, key=known.count), cure=cure)
    images, categories = ({one["id"] for one in content[name]} for name in ("images", "categories"))
    for one in content["images"]:
        file = Path(str(one["file_name"]))
        if file.is_absolute() or ".." in file.parts:
            raise BadFile(f"{path}: images lie in their part's folder", found=str(file), cure=cure)
    for one in content["annotations"]:
        box = one["bbox"]
        if not (isinstance(box, list) and len(box) == SIDES and all(_number(side) for side in box)):
            raise BadFile(f"{path}: bbox must be left, top, width and height", found=box, cure=cure)
        for key, there in (("image_id", images), ("category_id", categories)):
            if one[key] not in there:
                raise BadFile(f"{path}: {key} must be one that the file has", found=one[key], cure=cure)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
