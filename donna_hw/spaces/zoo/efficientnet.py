"""Around EfficientNet-B0: six stages of 36 blocks on 224x224 images, 2.2e9 architectures. The reference is EfficientNet-B0 itself.

The paper searches an "EfficientNet-B0" space and states (appendix F) that none of its networks exceeds the reference's accuracy, but
gives neither its stages nor its values. Derived: a stage is one row of EfficientNet's own table (Tan and Le, 2019), from the second on;
stem, first row and head are fixed. From the paper's other spaces: kernel and expand. Our choice: depth 1 to 4, with the depths of that
table as the reference. Every bottleneck has Swish, and squeeze-and-excite to a quarter of its input, as in EfficientNet.
"""

from __future__ import annotations

from functools import partial

from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage
from donna_hw.spaces.zoo.axes import EXPAND, KERNEL

DEPTH = Axis("depth", (1, 2, 3, 4))
STAGES = (  # channels, stride; kernel and depth of EfficientNet-B0, whose expand is 6
    (24, 2, 3, 2),
    (40, 2, 5, 2),
    (80, 2, 3, 3),
    (112, 1, 5, 3),
    (192, 2, 5, 4),
    (320, 1, 3, 1),
)


def efficientnet_b0() -> Space:
    """Six stages for 224x224 images: 3 x 3 x 4 = 36 blocks a stage."""
    bottleneck = partial(InvertedResidual, activation="swish", attention="se")
    return Space(
        name="efficientnet_b0",
        title="around EfficientNet-B0: six stages on 224x224 images",
        input_shape=(3, 224, 224),
        before=(
            ("stem", ConvNormAct(32, kernel=3, stride=2, activation="swish")),
            ("first", bottleneck(channels=16, expand=1)),
        ),
        stages=tuple(
            Stage(
                f"stage{number}",
                (KERNEL.with_reference(kernel), EXPAND, DEPTH.with_reference(depth)),
                partial(bottleneck, channels=channels, stride=stride),
            )
            for number, (channels, stride, kernel, depth) in enumerate(STAGES, start=1)
        ),
        after=(("head", ConvNormAct(1280, activation="swish")), ("classifier", Classifier(classes=1000))),
    )
