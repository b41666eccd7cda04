"""COCO's average precision in cases whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from requirements import needs
from torch import Tensor

from donna_hw.errors import UnavailableError
from donna_hw.experiments.detection import metrics as module
from donna_hw.experiments.detection.coco import CocoImages
from donna_hw.experiments.detection.metrics import average_precision

BOX = [10.0, 10.0, 10.0, 10.0]


def images(*boxes: tuple[int, list[float]], categories: int = 2) -> CocoImages:
    """Return one image with boxes of categories counted from 1."""
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [
            {"id": n + 1, "image_id": 1, "category_id": category, "bbox": box}
            for n, (category, box) in enumerate(boxes)
        ],
        "categories": [{"id": n + 1, "name": str(n)} for n in range(categories)],
    }
    return CocoImages(Path(), "val", 1, content)


def found(*things: tuple[int, list[float], float]) -> list[dict[str, Tensor]]:
    """Return what was found in the one image: class counted from 0, left, top, width, height, score."""
    boxes = [[left, top, left + width, top + height] for _, (left, top, width, height), _ in things]
    return [
        {
            "boxes": torch.tensor(boxes).reshape(-1, 4),
            "labels": torch.tensor([label for label, _, _ in things], dtype=torch.int64),
            "scores": torch.tensor([score for *_, score in things]),
        }
    ]


@pytest.fixture(autouse=True)
def _pycocotools() -> None:
    try:
        module.require_pycocotools()
    except UnavailableError:
        needs(False, "pycocotools")


def test_all_found_exactly_is_100() -> None:
    result = average_precision(images((1, BOX), (2, [30, 30, 8, 6])), found((0, BOX, 0.9), (1, [30, 30, 8, 6], 0.8)))
    assert result.map_percent == pytest.approx(100)
    assert result.ap50_percent == pytest.approx(100)
    assert result.by_class == pytest.approx((100, 100))


def test_nothing_found_or_only_other_classes_is_0() -> None:
    truth = images((1, BOX))
    assert average_precision(truth, found()).map_percent == 0
    assert average_precision(truth, found((1, BOX, 0.9))).map_percent == 0


def test_one_of_two_found_is_the_share_of_recall_levels_that_are_reached() -> None:
    result = average_precision(images((1, BOX), (1, [40, 40, 9, 9])), found((0, BOX, 0.9)))
    assert result.map_percent == pytest.approx(100 * 51 / 101)  # recalls 0.00 to 0.50 of COCO's 101


def test_a_box_that_overlaps_by_0_7_counts_at_five_of_ten_thresholds() -> None:
    shifted = found((0, [10.0, 10.0, 10.0, 7.2], 0.9))  # 72 of 100 pixels
    result = average_precision(images((1, BOX)), shifted)
    assert result.map_percent == pytest.approx(50)
    assert (result.ap50_percent, result.ap75_percent) == pytest.approx((100, 0))


def test_a_class_without_boxes_counts_for_nothing() -> None:
    result = average_precision(images((1, BOX), categories=3), found((0, BOX, 0.9)))
    assert result.map_percent == pytest.approx(100)
    assert result.by_class[0] == pytest.approx(100)
    assert np.isnan(result.by_class[1:]).all()
