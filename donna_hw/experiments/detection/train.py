"""One detector: trained on one part of a data set and judged on another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from donna_hw.experiments.detection.coco import CocoImages
from donna_hw.experiments.detection.features import feature_maps, features_only
from donna_hw.experiments.detection.metrics import AveragePrecision, average_precision
from donna_hw.experiments.detection.retinanet import DetectionHead, ImagePreprocessing, out_indices, retinanet
from donna_hw.graph.graph import layers_hash
from donna_hw.spaces import load_space
from donna_hw.spaces.space import Architecture, Space
from donna_hw.training.checkpoints import save_weights
from donna_hw.training.loop import OptimConfig, train

EVAL_BATCH = 16  # images that are judged at once
READERS = 8  # threads that read images; most of a JPEG's decoding leaves Python's lock


@dataclass(frozen=True)
class CocoSplit:
    """Where a part of a data set lies; see `CocoImages`."""

    folder: Path
    split: str
    channels: int

    def read(self) -> CocoImages:
        """Return the part; raises `BadFile`."""
        return CocoImages.read(self.folder, self.split, self.channels)


@dataclass(frozen=True)
class DetectorJob:
    """What a worker needs to train one detector and judge it.

    backbone: the file of the network's weights; None: from scratch. frozen: these stay as they are, and only the head learns. weights:
    where the detector's go. flip: half of the images are mirrored. device: torch's name.
    """

    space: str
    architecture: Architecture
    backbone: Path | None
    head: DetectionHead
    preprocessing: ImagePreprocessing
    train: CocoSplit
    test: CocoSplit
    fit: OptimConfig
    flip: bool
    seed: int
    weights: Path
    frozen: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class DetectorResult:
    """What a detector reached, and the seconds it took."""

    precision: AveragePrecision
    train_s: float


def train_detector(task: DetectorJob) -> DetectorResult:
    """Train a detector, judge it and save it; a killed training goes on after its last whole epoch, to the same end."""
    started = time.perf_counter()
    space = load_space(task.space)
    learnt, test = task.train.read(), task.test.read()
    module = build_detector(task, space, classes=len(learnt.categories)).to(task.device)
    if task.frozen:
        module.backbone.body.freeze()
    seed = (task.seed << 32) ^ int(layers_hash(space.network_graph(task.architecture))[:8], 16)
    mirrored: dict[int, Tensor] = {}
    with ThreadPoolExecutor(READERS) as readers:

        def loss(epoch: int, indices: Tensor) -> Tensor:
            if epoch not in mirrored:
                mirrored.clear()
                draws = torch.rand(len(learnt), generator=torch.Generator().manual_seed(seed + epoch))
                mirrored[epoch] = (draws < 0.5) & task.flip
            pairs = list(
                readers.map(
                    lambda number: load_example(learnt, number, bool(mirrored[epoch][number])), indices.tolist()
                )
            )
            images = [image.to(task.device) for image, _ in pairs]
            targets = [{key: value.to(task.device) for key, value in target.items()} for _, target in pairs]
            losses: dict[str, Tensor] = module(images, targets)
            return torch.stack(list(losses.values())).sum()

        checkpoint = task.weights.with_suffix(".checkpoint.pt")
        train(module, len(learnt), task.fit, seed, loss, checkpoint=checkpoint)
    precision = average_precision(test, predict_boxes(module, test, task.device))
    save_weights(module, task.weights)
    checkpoint.unlink(missing_ok=True)
    return DetectorResult(precision, time.perf_counter() - started)


def build_detector(task: DetectorJob, space: Space, classes: int) -> Any:
    """Return an untrained detector on the task's backbone."""
    reductions = [one.reduction for one in feature_maps(space)]
    indices = out_indices(reductions, task.head, space.name)
    backbone = features_only(space, task.architecture, out_indices=indices, weights=task.backbone, seed=task.seed)
    return retinanet(backbone, classes, task.head, task.preprocessing, task.seed)


def load_example(images: CocoImages, number: int, mirrored: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """Return an image, [channels, height, width], and its target, mirrored left to right if asked."""
    image, target = images.image(number), images.target(number)
    if not mirrored:
        return image, target
    left, top, right, bottom = target["boxes"].unbind(1)
    width = image.shape[2]
    return image.flip(2), target | {"boxes": torch.stack([width - right, top, width - left, bottom], dim=1)}


def predict_boxes(module: Any, images: CocoImages, device: str) -> Sequence[dict[str, Tensor]]:
    """Return what a detector finds in each image."""
    module.eval()
    found: list[dict[str, Tensor]] = []
    with torch.inference_mode():
        for start in range(0, len(images), EVAL_BATCH):
            numbers = range(start, min(start + EVAL_BATCH, len(images)))
            batch = [images.image(number).to(device) for number in numbers]
            found += [{key: value.cpu() for key, value in each.items()} for each in module(batch)]
    return found
