"""COCO's average precision, by pycocotools."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from torch import Tensor

from donna_hw.errors import UnavailableError
from donna_hw.experiments.detection.coco import CocoImages


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's average precision in per cent.

    map_percent: the mean over intersections over union of 0.50 to 0.95. ap50_percent, ap75_percent: at 0.50 and 0.75. by_class: the mean
    of each class.
    """

    map_percent: float
    ap50_percent: float
    ap75_percent: float
    by_class: tuple[float, ...]


def require_pycocotools() -> None:
    """Raise `UnavailableError` without pycocotools."""
    if find_spec("pycocotools") is None:
        raise UnavailableError(
            "average precision needs the package pycocotools", hint="pip install 'donna-hw[detection]'"
        )


def average_precision(images: CocoImages, detections: Sequence[dict[str, Tensor]]) -> AveragePrecision:
    """Return the average precision of detections.

    Args:
        images: The images and their true boxes.
        detections: For each image, `boxes`, `labels` and `scores` as `retinanet` returns them.

    Returns:
        The precision; a class without boxes does not count, and is NaN in `by_class`.

    Raises:
        UnavailableError: pycocotools is not installed.
    """
    require_pycocotools()
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(io.StringIO()):  # its own report
        truth = COCO()
        truth.dataset = images.content | {
            "annotations": [_complete_annotation(annotation) for annotation in images.content["annotations"]]
        }
        truth.createIndex()
        results = [
            result
            for image, detected in zip(images.ids, detections, strict=True)
            for result in _results(images, image, detected)
        ]
        if not results:
            return AveragePrecision(0.0, 0.0, 0.0, tuple(0.0 for _ in images.categories))
        scorer = COCOeval(truth, truth.loadRes(results), "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    precision = scorer.eval["precision"][:, :, :, 0, -1]  # [threshold, recall, class] of all sizes, 100 boxes an image
    by_class = [_mean(precision[:, :, number]) for number in range(precision.shape[2])]
    total, half, three_quarters = (100 * float(value) for value in scorer.stats[:3])
    return AveragePrecision(total, half, three_quarters, tuple(by_class))


def _mean(values: np.ndarray) -> float:
    known = values[values > -1]  # its mark for a class without boxes
    return 100 * float(known.mean()) if len(known) else float("nan")


def _complete_annotation(annotation: dict[str, Any]) -> dict[str, Any]:
    """Return an annotation with the keys that pycocotools needs where the file leaves them out."""
    _, _, width, height = annotation["bbox"]
    return {"area": width * height, "iscrowd": 0} | annotation


def _results(images: CocoImages, image: int, detected: dict[str, Tensor]) -> list[dict[str, Any]]:
    categories = list(images.labels)
    boxes = detected["boxes"].tolist()
    return [
        {
            "image_id": image,
            "category_id": categories[label],
            "bbox": [left, top, right - left, bottom - top],
            "score": score,
        }
        for (left, top, right, bottom), label, score in zip(
            boxes, detected["labels"].tolist(), detected["scores"].tolist(), strict=True
        )
    ]
