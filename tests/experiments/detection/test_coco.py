"""COCO's format: what is read is what the file says, and every broken rule names itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from donna_hw.errors import FileFormatError
from donna_hw.experiments.detection.coco import CocoImages, validate_splits

CONTENT: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 90, "bbox": [1, 2, 3, 4]},
        {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 2.5, 2]},
        {"id": 3, "image_id": 7, "category_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        {"id": 4, "image_id": 7, "category_id": 3, "bbox": [0, 0, 0.5, 5]},
    ],
    "categories": [{"id": 90, "name": "brush"}, {"id": 3, "name": "car"}],
}


def read(folder: Path, content: object, channels: int = 3) -> CocoImages:
    path = folder / "annotations" / "instances_val.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return CocoImages.read(folder, "val", channels)


def changed(part: str, number: int, **values: object) -> dict[str, Any]:
    copy = json.loads(json.dumps(CONTENT))
    copy[part][number].update(values)
    return copy


def test_boxes_and_classes(tmp_path: Path) -> None:
    images = read(tmp_path, CONTENT)
    assert len(images) == 2
    assert images.ids == [7, 9]
    assert images.categories == ["car", "brush"]  # in the order of their ids, counted from 0
    target = images.target(0)
    assert target["boxes"].tolist() == [[1, 2, 4, 6], [0, 0, 2.5, 2]]  # no crowd, nothing thinner than a pixel
    assert target["labels"].tolist() == [1, 0]
    assert images.target(1)["boxes"].shape == (0, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_read_between_0_and_1(tmp_path: Path, channels: int) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    (tmp_path / "val").mkdir()
    image.fromarray(pixels).save(tmp_path / "val" / "a.png")
    found = read(tmp_path, CONTENT, channels).image(0)
    assert found.shape == (channels, 3, 4)
    for each in found:
        torch.testing.assert_close(each, torch.from_numpy(pixels / 255).float())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON"),
        ([], "images must be a list that is not empty"),
        ({"images": []}, "images must be a list that is not empty"),
        (CONTENT | {"annotations": {}}, "annotations must be a list"),
        (CONTENT | {"categories": [{"id": 3}]}, "must have id, name; got 'no name'"),
        (changed("images", 1, id=7), "ids of images must be unique; got 7"),
        (changed("images", 0, file_name="../a.png"), "file_name must be inside the folder of its split"),
        (changed("images", 0, file_name="/a.png"), "file_name must be inside the folder of its split"),
        (changed("annotations", 0, bbox=[1, 2, 3]), "bbox"),
        (changed("annotations", 0, bbox=[1, 2, float("nan"), 3]), "bbox"),
        (changed("annotations", 0, bbox=[1, 2, "3", 3]), "bbox"),
        (changed("annotations", 0, image_id=8), "image_id"),
        (changed("annotations", 0, category_id=1), "category_id"),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(FileFormatError, match=words):
        read(tmp_path, content)


def test_parts_of_other_categories_or_without_boxes_are_refused(tmp_path: Path) -> None:
    images = read(tmp_path, CONTENT)
    validate_splits(images, read(tmp_path, CONTENT))
    with pytest.raises(FileFormatError, match="the same categories"):
        validate_splits(images, read(tmp_path, changed("categories", 0, name="comb")))
    with pytest.raises(FileFormatError, match="val has no box"):
        validate_splits(images, read(tmp_path, CONTENT | {"annotations": CONTENT["annotations"][2:]}))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        CocoImages.read(tmp_path, "val", 3)
