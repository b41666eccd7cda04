"""Once-for-All's MobileNetV3 space, layer by layer: 20 searched layers and the resolution, 8.7e20 rows.

Published (Cai et al., arXiv:1908.09791, and its code): five stages of up to four layers; kernel 3/5/7 and expand 3/4/6 in each layer, depth
2/3/4 in each stage, images of 128, 132, ..., 224 pixels; strides, activations and squeeze-and-excite of MobileNetV3. Of the two public
supernets, widths 1.0 and 1.2, this is 1.2, which HELP (arXiv:2106.08630) searches; its measured networks are imported into this space.
HELP does not state the width of its timed networks; that it was 1.2 as well is derived. Channels and fixed parts: `mobilenetv3_1.2`.
Our choice: a depth is written as `skip` in a stage's third and fourth layer. Skipping the third layer gives the same network as skipping
the fourth, so that 9 of a stage's 100 endings repeat another; Once-for-All's own encoding skips the fourth. The reference is the
largest member at 224 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from donna_hw.spaces.cells import InvertedResidual, Skip
from donna_hw.spaces.space import RESOLUTION, Space
from donna_hw.spaces.stage import Axis, Stage, Value
from donna_hw.spaces.zoo.axes import EXPAND, KERNEL
from donna_hw.spaces.zoo.mobilenetv3 import CHANNELS_1_2, STAGES, mobilenetv3_1_2

LAYER_SETTINGS: dict[Value, Mapping[str, Value]] = {
    f"k{kernel}-e{expand}": {"kernel": kernel, "expand": expand} for kernel in (3, 5, 7) for expand in (3, 4, 6)
}
OPTIONAL_LAYER = Axis("layer", (*LAYER_SETTINGS, "skip"), reference="k7-e6", settings=LAYER_SETTINGS | {"skip": {}})
MIN_DEPTH, MAX_DEPTH = 2, 4  # layers of a stage


def ofa_mobilenetv3() -> Space:
    """20 layers of 9 blocks, or of 10 where a layer may be skipped, and 25 resolutions."""
    return replace(
        mobilenetv3_1_2(),
        name="ofa_mobilenetv3",
        title="Once-for-All's MobileNetV3 1.2x: 20 layers, images of 128 to 224 pixels",
        stages=tuple(_stage(stage, layer) for stage in range(len(STAGES)) for layer in range(MAX_DEPTH)),
        global_axes=(Axis(RESOLUTION, tuple(range(128, 225, 4))),),
    )


def _stage(stage: int, layer: int) -> Stage:
    """Return a searched layer; stages and layers count from 0, and a stage's first layer has its stride."""
    stride, activation, attention = STAGES[stage]
    cell = partial(_layer, CHANNELS_1_2[stage], stride if layer == 0 else 1, activation=activation, attention=attention)
    return Stage(
        f"stage{stage + 1}_layer{layer + 1}", (KERNEL, EXPAND) if layer < MIN_DEPTH else (OPTIONAL_LAYER,), cell
    )


def _layer(
    channels: int, stride: int, *, activation: str, attention: str, kernel: int = 0, expand: int = 0
) -> InvertedResidual | Skip:
    """Return a layer's block; a kernel of 0 skips the layer."""
    if not kernel:
        return Skip(channels, stride)
    return InvertedResidual(channels, stride, kernel, expand, activation=activation, attention=attention)
