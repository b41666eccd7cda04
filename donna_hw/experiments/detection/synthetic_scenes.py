"""Scenes of real garments: images of Fashion-MNIST pasted on a dark canvas, with their boxes, as a data set in COCO's format.

Scenes to train on hold garments of the train set alone, those to test on of the test set, so that no garment is in both.
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

BACKGROUND_MAX = 16  # of 255: what is darker counts as background where a garment ends
TRIES = 20  # places that are tried for a garment; where all overlap too much, the scene has one less


@dataclass(frozen=True)
class SceneSettings:
    """What scenes are like.

    train, test: how many. pixels: side of the canvas. garments, sizes: least and most of them in a scene, and of the pixels of a garment's
    image. overlap: the largest intersection over union of two boxes.
    """

    train: int
    test: int
    pixels: int
    garments: tuple[int, int]
    sizes: tuple[int, int]
    max_iou: float

    def __post_init__(self) -> None:
        for name, (least, most) in (("garments", self.garments), ("sizes", self.sizes)):
            if not 1 <= least <= most:
                raise ConfigError(f"data.{name} must be the least and the most, 1 or more", got=f"{least}, {most}")
        if self.sizes[1] > self.pixels:
            raise ConfigError("data.sizes must fit on the canvas, data.pixels", got=self.sizes[1])


@dataclass(frozen=True)
class SceneObject:
    """A garment in a scene: its class and its box, left, top, width and height in whole pixels."""

    label: int
    box: tuple[int, int, int, int]


def write_scenes(folder: Path, scenes: SceneSettings, source: str, seed: int) -> None:
    """Write the data set to `folder`, its parts `train` and `test`; what is there already and of the same settings is kept.

    source: a folder with Fashion-MNIST, or empty for its usual places. Raises what reading it raises, and `ConfigError` for a folder of
    other scenes.
    """
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(scenes).items()}
    facts = {"seed": seed, **settings}
    done = folder / "scenes.toml"
    if done.exists():
        if read_toml(done) != facts:
            raise ConfigError(f"{folder} holds scenes of other settings", got=read_toml(done), hint="delete it")
        return
    for number, part in enumerate(("train", "test")):
        garments, rng = read_split(source, part), np.random.default_rng([seed, number])
        count = scenes.train if part == "train" else scenes.test
        _write_part(folder, part, [compose_scene(garments, scenes, rng) for _ in range(count)])
    write_toml(done, facts)


def _write_part(folder: Path, part: str, made: Sequence[tuple[np.ndarray, list[SceneObject]]]) -> None:
    from PIL import Image

    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    (folder / part).mkdir(parents=True, exist_ok=True)
    for number, (canvas, things) in enumerate(made, start=1):
        name, (height, width) = f"{number:06d}.png", canvas.shape
        Image.fromarray(canvas).save(folder / part / name)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for thing in things:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": thing.label + 1,
                    "bbox": list(thing.box),
                    "area": thing.box[2] * thing.box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_atomic(folder / "annotations" / f"instances_{part}.json", json.dumps(content))


def compose_scene(
    garments: RawImages, scenes: SceneSettings, rng: np.random.Generator
) -> tuple[np.ndarray, list[SceneObject]]:
    """Return a canvas, uint8 [pixels, pixels], and what is on it; where garments overlap the brighter pixel is seen."""
    canvas = np.zeros((scenes.pixels, scenes.pixels), np.uint8)
    things: list[SceneObject] = []
    for _ in range(rng.integers(scenes.garments[0], scenes.garments[1] + 1)):
        number = int(rng.integers(len(garments.labels)))
        garment = crop_garment(garments.pixels[number], int(rng.integers(scenes.sizes[0], scenes.sizes[1] + 1)))
        height, width = garment.shape
        for _ in range(TRIES):
            left, top = (int(rng.integers(scenes.pixels - side + 1)) for side in (width, height))
            box = (left, top, width, height)
            if all(box_iou(box, thing.box) <= scenes.max_iou for thing in things):
                place = canvas[top : top + height, left : left + width]
                np.maximum(place, garment, out=place)
                things.append(SceneObject(int(garments.labels[number]), box))
                break
    return canvas, things


def crop_garment(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return a garment's image, uint8 [28, 28], scaled to a square of `side` pixels and cut to what is not background."""
    from PIL import Image

    scaled = np.array(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
    rows, columns = (np.flatnonzero((scaled > BACKGROUND_MAX).any(axis=axis)) for axis in (1, 0))
    if not len(rows):  # darker than the background all over: no such garment is known
        return scaled
    return scaled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def box_iou(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Return the intersection over union of two boxes, left, top, width and height."""
    width, height = (
        min(one[axis] + one[axis + 2], other[axis] + other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1)
    )
    shared = max(width, 0) * max(height, 0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
