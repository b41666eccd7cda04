"""Images with boxes in COCO's format: a JSON of images, annotations and categories next to a folder of image files."""

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
    """One split of a data set: `<folder>/<split>/` and `<folder>/annotations/instances_<split>.json`, as in COCO itself.

    channels: 1 reads images as gray, 3 as RGB. content: of the JSON.
    """

    folder: Path
    split: str
    channels: int
    content: dict[str, Any]

    @classmethod
    def read(cls, folder: Path, split: str, channels: int) -> CocoImages:
        """Read and check the JSON; images are read later, one by one. Raises `FileFormatError` for the first error."""
        path = folder / "annotations" / f"instances_{split}.json"
        text = read_text(path)
        try:
            content = json.loads(text)
        except ValueError as error:
            raise FileFormatError(f"{path} is no JSON", got=str(error), hint="restore it") from None
        _validate_content(content, path)
        return cls(folder, split, channels, content)

    def __len__(self) -> int:
        return len(self.content["images"])

    @cached_property
    def labels(self) -> dict[int, int]:
        """The class, counted from 0 in the order of the ids, of every category's id; COCO's ids have gaps."""
        return {
            key: label for label, key in enumerate(sorted(category["id"] for category in self.content["categories"]))
        }

    @property
    def categories(self) -> list[str]:
        """Names of the classes."""
        names = {category["id"]: category["name"] for category in self.content["categories"]}
        return [names[key] for key in self.labels]

    @property
    def ids(self) -> list[int]:
        """The images' ids."""
        return [image["id"] for image in self.content["images"]]

    def path(self, number: int) -> Path:
        """Return an image's file."""
        return self.folder / self.split / str(self.content["images"][number]["file_name"])

    def image(self, number: int) -> Tensor:
        """Return an image, float32 [channels, height, width] in 0..1; raises `FileFormatError` for a damaged one."""
        picture = read_image(str(self.path(number)))
        if self.channels == 1:
            picture = picture.convert("L")
        pixels = torch.from_numpy(np.array(picture, dtype=np.float32) / 255)
        return pixels[None] if self.channels == 1 else pixels.permute(2, 0, 1).contiguous()

    def target(self, number: int) -> dict[str, Tensor]:
        """Return an image's `boxes`, float32 [n, 4] left, top, right, bottom, and `labels`, int64 [n].

        Crowds are left out, since they are no single objects, and so are boxes less than a pixel wide or high, of which COCO has some.
        """
        boxes, labels = self._targets.get(self.content["images"][number]["id"], ([], []))
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, SIDES),
            "labels": torch.tensor(labels, dtype=torch.int64),
        }

    @cached_property
    def _targets(self) -> dict[int, tuple[list[list[float]], list[int]]]:
        targets: dict[int, tuple[list[list[float]], list[int]]] = {}
        for annotation in self.content["annotations"]:
            left, top, width, height = annotation["bbox"]
            if annotation.get("iscrowd", 0) or width < 1 or height < 1:
                continue
            boxes, labels = targets.setdefault(annotation["image_id"], ([], []))
            boxes.append([left, top, left + width, top + height])
            labels.append(self.labels[annotation["category_id"]])
        return targets


def validate_splits(train: CocoImages, test: CocoImages) -> None:
    """Raise `FileFormatError` where two splits have different categories, so that classes would be mixed up, or where one has no box."""
    train_names, test_names = (
        {category["id"]: category["name"] for category in images.content["categories"]} for images in (train, test)
    )
    if train_names != test_names:
        difference = sorted({*train_names.items()} ^ {*test_names.items()})[0]
        raise FileFormatError(
            f"{train.folder}: {train.split} and {test.split} must have the same categories, by id and name",
            got=f"{difference} in one of them only",
            hint="correct one of the two files",
        )
    for images in (train, test):
        if not any(len(images.target(number)["boxes"]) for number in range(len(images))):
            raise FileFormatError(f"{images.folder}: {images.split} has no box", hint="name another split")


def _validate_content(content: Any, path: Path) -> None:
    """Raise `FileFormatError` for what would otherwise be ignored, or end in a traceback after hours."""
    hint = "correct the file; the format is COCO's"
    for name, keys in KEYS.items():
        records = content.get(name) if isinstance(content, dict) else None
        if not isinstance(records, list) or (name != "annotations" and not records):
            raise FileFormatError(
                f"{path}: {name} must be a list that is not empty", got=type(records).__name__, hint=hint
            )
        for record in records:
            missing = [key for key in keys if not isinstance(record, dict) or key not in record]
            if missing:
                raise FileFormatError(
                    f"{path}: each of {name} must have {', '.join(keys)}", got=f"no {missing[0]}", hint=hint
                )
        known = [record["id"] for record in records]
        if len(set(known)) < len(known):
            raise FileFormatError(f"{path}: ids of {name} must be unique", got=max(known, key=known.count), hint=hint)
    image_ids, category_ids = ({record["id"] for record in content[name]} for name in ("images", "categories"))
    for image in content["images"]:
        file = Path(str(image["file_name"]))
        if file.is_absolute() or ".." in file.parts:
            raise FileFormatError(f"{path}: file_name must be inside the folder of its split", got=str(file), hint=hint)
    for annotation in content["annotations"]:
        box = annotation["bbox"]
        if not (isinstance(box, list) and len(box) == SIDES and all(_is_number(side) for side in box)):
            raise FileFormatError(f"{path}: bbox must be left, top, width and height", got=box, hint=hint)
        for key, ids in (("image_id", image_ids), ("category_id", category_ids)):
            if annotation[key] not in ids:
                raise FileFormatError(
                    f"{path}: {key} must be the id of a record of the file", got=annotation[key], hint=hint
                )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
