"""Small spaces for real images of 8x8, 28x28 and 32x32 pixels: DONNA's axes at a size that two CPU cores can search completely.

Everything here is our choice. The axes are those of the paper's DONNA space (kernel, expand, depth, activation tied to
attention, cell), with fewer values. The reference is the network of the largest values with depthwise cells.
"""

from __future__ import annotations

from functools import partial

from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage
from donna_hw.spaces.zoo.axes import CELL, STYLE


def _space(
    name: str,
    title: str,
    pixels: int,
    *,
    stem: tuple[int, int],
    stages: list[tuple[int, int]],
    tail: int,
    axes: tuple[Axis, ...],
    channels: int = 1,
) -> Space:
    """Return a space; `stem` and `stages` are (channels, stride), `channels` those of the images."""
    return Space(
        name=name,
        title=title,
        input_shape=(channels, pixels, pixels),
        before=(("stem", ConvNormAct(stem[0], kernel=3, stride=stem[1], activation="swish")),),
        stages=tuple(
            Stage(f"stage{number}", axes, partial(InvertedResidual, channels=width, stride=stride))
            for number, (width, stride) in enumerate(stages, start=1)
        ),
        after=(("tail", ConvNormAct(tail, activation="swish")), ("classifier", Classifier(classes=10))),
    )


def small_8px() -> Space:
    """Three narrow stages for 8x8 images: 24 blocks a stage, 13,824 architectures."""
    axes = (Axis("kernel", (3, 5)), Axis("expand", (1, 2, 4)), Axis("depth", (1, 2)), STYLE)
    return _space(
        "small_8px", "three stages on 8x8 images", 8, stem=(8, 1), stages=[(8, 1), (12, 2), (16, 2)], tail=64, axes=axes
    )


def small_8px_cells() -> Space:
    """Four stages for 8x8 images, with depthwise and grouped cells: 48 blocks a stage, 5.3 million architectures."""
    axes = (Axis("kernel", (3, 5)), Axis("expand", (1, 2, 4)), Axis("depth", (1, 2)), STYLE, CELL)
    return _space(
        "small_8px_cells",
        "four stages on 8x8 images, depthwise and grouped cells",
        8,
        stem=(8, 1),
        stages=[(8, 1), (12, 2), (16, 1), (24, 2)],
        tail=64,
        axes=axes,
    )


def small_28px() -> Space:
    """Four stages for 28x28 images: 72 blocks a stage, 26.9 million architectures."""
    axes = (Axis("kernel", (3, 5)), Axis("expand", (2, 4, 6)), Axis("depth", (1, 2, 3)), STYLE, CELL)
    return _space(
        "small_28px",
        "four stages on 28x28 images",
        28,
        stem=(12, 2),
        stages=[(16, 2), (24, 1), (32, 2), (48, 1)],
        tail=96,
        axes=axes,
    )


def small_32px() -> Space:
    """Four stages for 32x32 color images: 72 blocks a stage, 26.9 million architectures."""
    axes = (Axis("kernel", (3, 5)), Axis("expand", (2, 4, 6)), Axis("depth", (1, 2, 3)), STYLE, CELL)
    return _space(
        "small_32px",
        "four stages on 32x32 color images",
        32,
        stem=(16, 2),
        stages=[(24, 2), (32, 1), (48, 2), (64, 1)],
        tail=128,
        axes=axes,
        channels=3,
    )
