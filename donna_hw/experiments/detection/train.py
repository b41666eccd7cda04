"""Training of one detector on one split of a data set, and its evaluation on another."""

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

EVAL_BATCH = 16  # images that are evaluated at once
READERS = 8  # threads that read images; most of a JPEG's decoding leaves Python's lock


@dataclass(frozen=True)
class CocoSplit:
    """The place of a split of a data set; see `CocoImages`."""

    folder: Path
    split: str
    channels: int

    def read(self) -> CocoImages:
        """Return the split; raises `FileFormatError`."""
        return CocoImages.read(self.folder, self.split, self.channels)


@dataclass(frozen=True)
class DetectorJob:
    """What a worker needs to train and evaluate one detector.

    Attributes:
        space: What `load_space` is given.
        architecture: The network that becomes the backbone.
        backbone: File of the network's weights; None trains from scratch.
        head: Settings of the head.
        preprocessing: Of the images.
        train: The split to train on.
        test: The split to evaluate on.
        fit: Settings of the training loop.
        flip: Whether half of the images are mirrored.
        seed: Of weights, order and mirroring.
        weights: Where the detector's weights are saved.
        frozen: Whether the backbone stays as it is, and only the head is trained.
        device: By torch's name.
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
    """The precision of a detector, and the seconds of its training and evaluation."""

    precision: AveragePrecision
    train_s: float


def train_detector(job: DetectorJob) -> DetectorResult:
    """Train, evaluate and save a detector; a killed training resumes after its last whole epoch, with the same result."""
    started = time.perf_counter()
    space = load_space(job.space)
    train_images, test_images = job.train.read(), job.test.read()
    module = build_detector(job, space, classes=len(train_images.categories)).to(job.device)
    if job.frozen:
        module.backbone.body.freeze()
    seed = (job.seed << 32) ^ int(layers_hash(space.network_graph(job.architecture))[:8], 16)
    mirrored: dict[int, Tensor] = {}
    with ThreadPoolExecutor(READERS) as readers:

        def loss(epoch: int, indices: Tensor) -> Tensor:
            if epoch not in mirrored:
                mirrored.clear()
                draws = torch.rand(len(train_images), generator=torch.Generator().manual_seed(seed + epoch))
                mirrored[epoch] = (draws < 0.5) & job.flip
            pairs = list(
                readers.map(
                    lambda number: load_example(train_images, number, bool(mirrored[epoch][number])), indices.tolist()
                )
            )
            images = [image.to(job.device) for image, _ in pairs]
            targets = [{key: value.to(job.device) for key, value in target.items()} for _, target in pairs]
            losses: dict[str, Tensor] = module(images, targets)
            return torch.stack(list(losses.values())).sum()

        checkpoint = job.weights.with_suffix(".checkpoint.pt")
        train(module, len(train_images), job.fit, seed, loss, checkpoint=checkpoint)
    precision = average_precision(test_images, predict_boxes(module, test_images, job.device))
    save_weights(module, job.weights)
    checkpoint.unlink(missing_ok=True)
    return DetectorResult(precision, time.perf_counter() - started)


def build_detector(job: DetectorJob, space: Space, classes: int) -> Any:
    """Return an untrained detector on the job's backbone."""
    reductions = [feature_map.reduction for feature_map in feature_maps(space)]
    indices = out_indices(reductions, job.head, space.name)
    backbone = features_only(space, job.architecture, out_indices=indices, weights=job.backbone, seed=job.seed)
    return retinanet(backbone, classes, job.head, job.preprocessing, job.seed)


def load_example(images: CocoImages, number: int, mirrored: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """Return an image, [channels, height, width], and its target, mirrored left to right if `mirrored`."""
    image, target = images.image(number), images.target(number)
    if not mirrored:
        return image, target
    left, top, right, bottom = target["boxes"].unbind(1)
    width = image.shape[2]
    return image.flip(2), target | {"boxes": torch.stack([width - right, top, width - left, bottom], dim=1)}


def predict_boxes(module: Any, images: CocoImages, device: str) -> Sequence[dict[str, Tensor]]:
    """Return the `boxes`, `labels` and `scores` that a detector finds in each image."""
    module.eval()
    detections: list[dict[str, Tensor]] = []
    with torch.inference_mode():
        for start in range(0, len(images), EVAL_BATCH):
            numbers = range(start, min(start + EVAL_BATCH, len(images)))
            batch = [images.image(number).to(device) for number in numbers]
            detections += [{key: value.cpu() for key, value in detected.items()} for detected in module(batch)]
    return detections
