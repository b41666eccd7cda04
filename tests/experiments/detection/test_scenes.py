"""Scenes: boxes are what is seen, no garment is in both parts, and the seed rules all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw.errors import ConfigError
from donna_hw.experiments.detection import synthetic_scenes as module
from donna_hw.experiments.detection.synthetic_scenes import (
    BACKGROUND_MAX,
    SceneSettings,
    box_iou,
    compose_scene,
    crop_garment,
    write_scenes,
)
from donna_hw.training.data.fashion_mnist import RawImages


def garments(brightness: int = 200, count: int = 20) -> RawImages:
    """Return made garments: rectangles of one brightness, each of another shape."""
    rng = np.random.default_rng(brightness)
    pixels = np.zeros((count, 28, 28), np.uint8)
    for one in pixels:
        top, left = rng.integers(0, 10, 2)
        one[top : top + rng.integers(8, 18), left : left + rng.integers(8, 18)] = brightness
    return RawImages(pixels, rng.integers(0, 10, count).astype(np.uint8))


ONE = SceneSettings(4, 2, 48, (1, 1), (18, 32), 0.2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_a_box_is_the_smallest_around_what_is_seen(seed: int) -> None:
    canvas, things = compose_scene(garments(), ONE, np.random.default_rng(seed))
    (thing,) = things
    rows, columns = np.nonzero(canvas > BACKGROUND_MAX)
    assert thing.box == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_garments_lie_on_the_canvas_and_overlap_little(seed: int) -> None:
    many = SceneSettings(1, 1, 64, (2, 5), (18, 32), 0.1)
    canvas, things = compose_scene(garments(), many, np.random.default_rng(seed))
    assert canvas.shape == (64, 64)
    assert 1 <= len(things) <= 5
    seen = np.zeros(canvas.shape, bool)
    for number, thing in enumerate(things):
        left, top, width, height = thing.box
        assert 0 <= left <= left + width <= 64
        assert 0 <= top <= top + height <= 64
        seen[top : top + height, left : left + width] = True
        for other in things[:number]:
            one, two = (np.zeros((64, 64), bool) for _ in range(2))
            one[top : top + height, left : left + width] = True
            two[other.box[1] : other.box[1] + other.box[3], other.box[0] : other.box[0] + other.box[2]] = True
            share = (one & two).sum() / (one | two).sum()
            assert share == pytest.approx(box_iou(thing.box, other.box))
            assert share <= 0.1
    assert not (canvas[~seen] > 0).any()


def test_a_garment_is_scaled_and_cut() -> None:
    whole = np.full((28, 28), 100, np.uint8)
    assert crop_garment(whole, 20).shape == (20, 20)
    framed = np.zeros((28, 28), np.uint8)
    framed[7:21, 7:21] = 100
    assert crop_garment(framed, 28).shape == (14, 14)


def test_what_is_trained_on_and_tested_on_share_no_garment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    made = {"train": garments(100), "test": garments(250)}
    monkeypatch.setattr(module, "read_split", lambda _source, part: made[part])
    write_scenes(tmp_path / "a", ONE, "", 3)
    for part, brightest, count in (("train", 100, 4), ("test", 250, 2)):
        files = sorted((tmp_path / "a" / part).glob("*.png"))
        assert len(files) == count
        assert {np.array(image.open(file)).max() for file in files} == {brightest}
        content = json.loads((tmp_path / "a" / "annotations" / f"instances_{part}.json").read_text())
        assert [one["file_name"] for one in content["images"]] == [file.name for file in files]
        assert len(content["categories"]) == 10
    write_scenes(tmp_path / "b", ONE, "", 3)
    write_scenes(tmp_path / "c", ONE, "", 4)
    same, other = (
        [(tmp_path / name / "train" / f"{n:06d}.png").read_bytes() for n in range(1, 5)] for name in ("b", "c")
    )
    assert [(tmp_path / "a" / "train" / f"{n:06d}.png").read_bytes() for n in range(1, 5)] == same != other
    with pytest.raises(ConfigError, match="other settings"):
        write_scenes(tmp_path / "a", ONE, "", 4)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"garments": (0, 2)}, "data.garments must be a minimum"),
        ({"sizes": (9, 8)}, "data.sizes must be a minimum"),
        ({"sizes": (10, 49)}, "at most data.pixels, 48; got 49"),
    ],
)
def test_scenes_that_cannot_be_are_refused(wrong: dict[str, tuple[int, int]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SceneSettings(**(vars(ONE) | wrong))
