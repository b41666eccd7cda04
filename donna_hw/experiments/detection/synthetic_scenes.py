"""Scenes of real garments: images of Fashion-MNIST pasted on a dark canvas, with their boxes, as a data set in COCO's format.

Scenes to train on contain garments of the train set only, those to test on garments of the test set, so that no garment is in both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from donna_hw._core.files import write_atomic
from donna_hw._core.toml_files import read_toml, write_toml
from donna_hw.errors import ConfigError
from donna_hw.training.data.fashion_mnist import CLASSES, RawImages, read_split

BACKGROUND_MAX = 16  # of 255: a pixel as dark as this or darker is background
TRIES = 20  # positions tried for a garment; where all overlap too much, the scene has one garment less


@dataclass(frozen=True)
class SceneSettings:
    """Settings of the scenes.

    Attributes:
        train: How many scenes to train on.
        test: How many scenes to test on.
        pixels: Side of the canvas.
        garments: Fewest and most garments of a scene.
        sizes: Smallest and largest side of a garment's image in pixels.
        max_iou: The largest intersection over union of two boxes.
    """

    train: int
    test: int
    pixels: int
    garments: tuple[int, int]
    sizes: tuple[int, int]
    max_iou: float

    def __post_init__(self) -> None:
        for name, (low, high) in (("garments", self.garments), ("sizes", self.sizes)):
            if not 1 <= low <= high:
                raise ConfigError(f"data.{name} must be a minimum of at least 1 and a maximum", got=f"{low}, {high}")
        if self.sizes[1] > self.pixels:
            raise ConfigError(f"data.sizes must be at most data.pixels, {self.pixels}", got=self.sizes[1])


@dataclass(frozen=True)
class SceneObject:
    """A garment in a scene: its class and its box, left, top, width and height in whole pixels."""

    label: int
    box: tuple[int, int, int, int]


def write_scenes(folder: Path, scenes: SceneSettings, source: str, seed: int) -> None:
    """Write the data set with its splits `train` and `test`, unless the folder already holds it.

    Args:
        folder: Where to write it.
        scenes: Settings of the scenes.
        source: A folder with Fashion-MNIST; empty for its usual places.
        seed: Of the choice and the positions of garments.

    Raises:
        ConfigError: The folder holds scenes of other settings.
        FileFormatError: Fashion-MNIST is damaged.
        UnavailableError: Fashion-MNIST is not there.
    """
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(scenes).items()}
    facts = {"seed": seed, **settings}
    done = folder / "scenes.toml"
    if done.exists():
        if read_toml(done) != facts:
            raise ConfigError(f"{folder} holds scenes of other settings", got=read_toml(done), hint="delete it")
        return
    for number, split in enumerate(("train", "test")):
        garments, rng = read_split(source, split), np.random.default_rng([seed, number])
        count = scenes.train if split == "train" else scenes.test
        _write_split(folder, split, [compose_scene(garments, scenes, rng) for _ in range(count)])
    write_toml(done, facts)


def _write_split(folder: Path, split: str, scenes: Sequence[tuple[np.ndarray, list[SceneObject]]]) -> None:
    from PIL import Image

    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    (folder / split).mkdir(parents=True, exist_ok=True)
    for number, (canvas, objects) in enumerate(scenes, start=1):
        name, (height, width) = f"{number:06d}.png", canvas.shape
        Image.fromarray(canvas).save(folder / split / name)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for scene_object in objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": scene_object.label + 1,
                    "bbox": list(scene_object.box),
                    "area": scene_object.box[2] * scene_object.box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_atomic(folder / "annotations" / f"instances_{split}.json", json.dumps(content))


def compose_scene(
    garments: RawImages, scenes: SceneSettings, rng: np.random.Generator
) -> tuple[np.ndarray, list[SceneObject]]:
    """Return a canvas, uint8 [pixels, pixels], and the objects on it; where garments overlap the brighter pixel is visible."""
    canvas = np.zeros((scenes.pixels, scenes.pixels), np.uint8)
    objects: list[SceneObject] = []
    for _ in range(rng.integers(scenes.garments[0], scenes.garments[1] + 1)):
        number = int(rng.integers(len(garments.labels)))
        garment = crop_garment(garments.pixels[number], int(rng.integers(scenes.sizes[0], scenes.sizes[1] + 1)))
        height, width = garment.shape
        for _ in range(TRIES):
            left, top = (int(rng.integers(scenes.pixels - side + 1)) for side in (width, height))
            box = (left, top, width, height)
            if all(box_iou(box, other.box) <= scenes.max_iou for other in objects):
                place = canvas[top : top + height, left : left + width]
                np.maximum(place, garment, out=place)
                objects.append(SceneObject(int(garments.labels[number]), box))
                break
    return canvas, objects


def crop_garment(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a garment's image, uint8 [28, 28], scaled to a square of `side` pixels and cut to what is not background."""
    from PIL import Image

    scaled = np.array(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
    rows, columns = (np.flatnonzero((scaled > BACKGROUND_MAX).any(axis=axis)) for axis in (1, 0))
    if not len(rows):  # dark all over; no such garment is known
        return scaled
    return scaled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def box_iou(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Return the intersection over union of two boxes, left, top, width and height."""
    width, height = (min(a[axis] + a[axis + 2], b[axis] + b[axis + 2]) - max(a[axis], b[axis]) for axis in (0, 1))
    intersection = max(width, 0) * max(height, 0)
    return intersection / (a[2] * a[3] + b[2] * b[3] - intersection)
