"""ProxylessNAS at width 1.3: five stages of 27 blocks on 224x224 images, 1.4e7 architectures.

From the paper: the name. Derived: the values of Once-for-All's ProxylessNAS supernet, kernel 3/5/7, expand 3/4/6 and depth 2/3/4, whose
channels and strides are used here, with ReLU6 and without squeeze-and-excite. Recalled and unconfirmed: that the paper used exactly these.
A searched block is a whole stage. Our choice: the reference is the largest member, and the last bottleneck, which Once-for-All also
searches, is fixed at the reference's kernel and expansion.
"""

from __future__ import annotations

from functools import partial

from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage
from donna_hw.spaces.zoo.axes import EXPAND, KERNEL

AXES = (KERNEL, EXPAND, Axis("depth", (2, 3, 4)))
STAGES = ((32, 2), (56, 2), (104, 2), (128, 1), (248, 2))  # channels, stride


def proxylessnas_1_3() -> Space:
    """Five stages for 224x224 images: 3 x 3 x 3 = 27 blocks a stage."""
    bottleneck = partial(InvertedResidual, activation="relu6")
    return Space(
        name="proxylessnas_1.3",
        title="ProxylessNAS 1.3x: five stages on 224x224 images",
        input_shape=(3, 224, 224),
        before=(
            ("stem", ConvNormAct(40, kernel=3, stride=2, activation="relu6")),
            ("first", bottleneck(channels=24, expand=1)),
        ),
        stages=tuple(
            Stage(f"stage{number}", AXES, partial(bottleneck, channels=channels, stride=stride))
            for number, (channels, stride) in enumerate(STAGES, start=1)
        ),
        after=(
            ("last", bottleneck(channels=416, kernel=7, expand=6)),
            ("tail", ConvNormAct(1664, activation="relu6")),
            ("classifier", Classifier(classes=1000)),
        ),
    )
