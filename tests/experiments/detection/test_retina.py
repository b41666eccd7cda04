"""The head on a backbone, and the boxes that stay of overlapping ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from requirements import needs

from donna_hw._core import torchvision_compat
from donna_hw.errors import ConfigError
from donna_hw.experiments.detection.features import features_only
from donna_hw.experiments.detection.retinanet import (
    DetectionHead,
    ImagePreprocessing,
    anchor_sizes,
    out_indices,
    retinanet,
)
from donna_hw.spaces import load_space

HEAD = DetectionHead((4, 8), 1, 16, 3, 4)


def test_anchors_are_retinanets() -> None:
    sizes = anchor_sizes([8, 16, 32], DetectionHead((8, 16, 32), 2, 256, 3, 4))
    assert [one[0] for one in sizes] == [32, 64, 128, 256, 512]
    assert sizes[0] == (32, round(32 * 2 ** (1 / 3)), round(32 * 2 ** (2 / 3)))


def test_maps_are_found_by_their_reductions() -> None:
    assert out_indices([2, 4, 8], HEAD, "s") == [1, 2]
    with pytest.raises(ConfigError, match=r"2, 8.*got 4"):
        out_indices([2, 8], HEAD, "s")


def test_a_detector_learns_and_finds_and_its_head_begins_alike_whatever_the_backbone() -> None:
    needs(torchvision_compat.patch_torchvision(), "torchvision")
    space = load_space("small_28px")
    made = [
        retinanet(
            features_only(space, space.reference, out_indices=(1, 2), seed=seed),
            4,
            HEAD,
            ImagePreprocessing((0.3,), (0.3,), 32, 64),
            7,
        )
        for seed in (1, 2)
    ]
    states = [{key: value for key, value in one.state_dict().items() if ".body." not in key} for one in made]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    image = torch.rand(1, 32, 48)
    target = {"boxes": torch.tensor([[3.0, 4.0, 25.0, 30.0]]), "labels": torch.tensor([3])}
    losses = made[0](
        [image, image], [target, {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}]
    )
    assert set(losses) == {"classification", "bbox_regression"}
    assert all(torch.isfinite(value) and value > 0 for value in losses.values())
    with torch.no_grad():
        pyramid = made[0].backbone(torch.rand(1, 1, 32, 64))
        found = made[0].eval()([image])[0]
    assert [tuple(one.shape) for one in pyramid.values()] == [(1, 16, 8, 16), (1, 16, 4, 8), (1, 16, 2, 4)]
    assert len(found["boxes"]) == len(found["labels"]) == len(found["scores"]) <= 100
    with pytest.raises(ConfigError, match="multiple of 8"):
        retinanet(
            features_only(space, space.reference),
            4,
            DetectionHead((2, 4, 8), 0, 12, 1, 4),
            ImagePreprocessing((0,), (1,), 8, 8),
            0,
        )


boxes = st.lists(
    st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 12)] * 2, st.floats(0, 1, width=32)), min_size=1, max_size=12
)


@settings(max_examples=100, deadline=None)
@given(boxes, st.sampled_from([0.1, 0.3, 0.5, 0.7]))
def test_suppression_keeps_what_no_better_box_that_stays_overlaps(
    drawn: list[tuple[int, int, int, int, float]], threshold: float
) -> None:
    dets = torch.tensor([[x, y, x + w, y + h] for x, y, w, h, _ in drawn], dtype=torch.float32)
    scores = torch.tensor([score for *_, score in drawn])
    kept = torchvision_compat.nms(dets, scores, threshold).tolist()

    def share(one: int, other: int) -> float:
        (a, b, c, d), (e, f, g, h) = dets[one].tolist(), dets[other].tolist()
        inside = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
        return inside / ((c - a) * (d - b) + (g - e) * (h - f) - inside)

    expected: list[int] = []
    for number in sorted(range(len(drawn)), key=lambda n: -float(scores[n])):
        if all(share(number, better) <= threshold for better in expected):
            expected.append(number)
    assert kept == expected
