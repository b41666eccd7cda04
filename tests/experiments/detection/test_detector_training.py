"""One detector's training: mirrored images, and an end that no kill changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from requirements import needs

from donna_hw._core import torchvision_compat
from donna_hw.experiments.detection import synthetic_scenes as scenes
from donna_hw.experiments.detection import train as training
from donna_hw.experiments.detection.features import features_only
from donna_hw.experiments.detection.retinanet import DetectionHead, ImagePreprocessing, retinanet
from donna_hw.experiments.detection.synthetic_scenes import SceneSettings, write_scenes
from donna_hw.experiments.detection.train import CocoSplit, DetectorJob, load_example, train_detector
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces import load_space
from donna_hw.training.checkpoints import read_weights, save_weights
from donna_hw.training.data.fashion_mnist import RawImages
from donna_hw.training.loop import OptimConfig


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DetectorJob:
    """Return a detector of two epochs on twelve made scenes."""
    needs(torchvision_compat.patch_torchvision(), "torchvision")
    pytest.importorskip("pycocotools")
    made = RawImages(np.full((9, 28, 28), 150, np.uint8), np.arange(9, dtype=np.uint8))
    monkeypatch.setattr(scenes, "read_split", lambda _source, _part: made)
    write_scenes(tmp_path / "scenes", SceneSettings(12, 4, 32, (1, 2), (10, 14), 0.2), "", 0)
    space = load_space("small_8px")
    return DetectorJob(
        space="small_8px",
        architecture=space.architecture((0, 0, 0)),
        backbone=None,
        head=DetectionHead((2, 4), 0, 8, 1, 3),
        preprocessing=ImagePreprocessing((0.2,), (0.3,), 32, 32),
        train=CocoSplit(tmp_path / "scenes", "train", 1),
        test=CocoSplit(tmp_path / "scenes", "test", 1),
        fit=OptimConfig(2, 4, 0.01, 10),
        flip=True,
        seed=5,
        weights=tmp_path / "weights" / "a.safetensors",
    )


def test_a_mirrored_scene_has_its_boxes_where_its_things_are(task: DetectorJob) -> None:
    images = task.train.read()
    for number in range(len(images)):
        image, target = load_example(images, number, mirrored=True)
        plain, whole = load_example(images, number, mirrored=False)
        assert torch.equal(image.flip(2), plain)
        assert target["labels"].tolist() == whole["labels"].tolist()
        for left, top, right, bottom in target["boxes"].int().tolist():
            assert (image[0, top:bottom, left:right] > 0).all()


def test_of_a_frozen_backbone_only_the_head_learns(task: DetectorJob, tmp_path: Path) -> None:
    space = load_space("small_8px")
    network = to_torch(space.network_graph(task.architecture), seed=2)
    save_weights(network, tmp_path / "network.safetensors")
    started = replace(task, backbone=tmp_path / "network.safetensors", frozen=True)
    train_detector(started)
    found, own = read_weights(task.weights), dict(network.state_dict())
    body = {key: value for key, value in found.items() if ".body.parts." in key}
    names = features_only(space, task.architecture).names
    for key, value in body.items():
        number, _, rest = key.split(".body.parts.")[1].partition(".")
        torch.testing.assert_close(value, own[f"{names[int(number)]}.{rest}"])
    before = retinanet(
        features_only(space, task.architecture, out_indices=(1, 2)), 10, task.head, task.preprocessing, task.seed
    )
    heads = {key: value for key, value in before.state_dict().items() if "head." in key}
    assert any(not torch.equal(value, found[key]) for key, value in heads.items())


def test_a_killed_training_goes_on_to_the_same_end(task: DetectorJob, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train_detector(task)
    weights, steps = read_weights(task.weights), 0
    task.weights.unlink()
    real = training.load_example

    def dying(images: object, number: int, mirrored: bool) -> object:
        nonlocal steps
        steps += 1
        if steps > 18:  # in the middle of the second epoch of twelve
            raise KeyboardInterrupt
        return real(images, number, mirrored)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "load_example", dying)
    with pytest.raises(KeyboardInterrupt):
        train_detector(task)
    assert not task.weights.exists()
    monkeypatch.setattr(training, "load_example", real)
    again = train_detector(task)
    assert again.precision == whole.precision
    found = read_weights(task.weights)
    assert all(torch.equal(found[key], weights[key]) for key in weights)
    assert list(task.weights.parent.iterdir()) == [task.weights]
