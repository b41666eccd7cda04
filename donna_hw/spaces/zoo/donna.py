"""The paper's DONNA space at its full size: five stages of 384 blocks on 224x224 images, 8.3e12 architectures.

From the paper's appendix F: inverted residual bottlenecks; kernel 3, 5 or 7; depthwise or grouped; Swish wherever there is
squeeze-and-excite; varying depth, expansion and channel scaling. From appendix E: 224x224 images.
Recalled and unconfirmed, since we do not have the main text: the values of expand, depth and width; that the reference is the largest
member; and, with little confidence, stem, channels, strides and head.
Derived: the width scales only the inside of a block, whose input and output have the reference's channels.
Our choice: groups of 8 channels, Swish in stem and head, squeezing to a quarter, and depthwise cells in the reference.
Expand 4 and 6 at width 0.5 have the layers of 2 and 3 at 1.0, so that a table measures 288 of a stage's 384 blocks.
"""

from __future__ import annotations

from functools import partial

from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage
from donna_hw.spaces.zoo.axes import CELL, KERNEL, STYLE, WIDTH

AXES = (
    KERNEL,
    Axis("expand", (2, 3, 4, 6)),
    Axis("depth", (1, 2, 3, 4)),
    STYLE,
    CELL,
    WIDTH,
)
STAGES = ((64, 2), (96, 2), (128, 2), (196, 1), (256, 2))  # channels, stride


def donna() -> Space:
    """Five stages for 224x224 images: 3 x 4 x 4 x 2 x 2 x 2 = 384 blocks a stage, 8.3e12 architectures."""
    return Space(
        name="donna",
        title="the paper's DONNA space: five stages on 224x224 images",
        input_shape=(3, 224, 224),
        before=(("stem", ConvNormAct(32, kernel=3, stride=2, activation="swish")),),
        stages=tuple(
            Stage(f"stage{number}", AXES, partial(InvertedResidual, channels=channels, stride=stride, group_size=8))
            for number, (channels, stride) in enumerate(STAGES, start=1)
        ),
        after=(("head", ConvNormAct(1536, activation="swish")), ("classifier", Classifier(classes=1000))),
    )
