"""MobileNetV3 at widths 1.0 and 1.2: five stages of 27 blocks on 224x224 images; and 1.2 with 216 a stage, as in the paper's section D.

From the paper: the names, and for 1.2 kernel, expand and depth (appendix D: 3/5/7, 3/4/6, 2/3/4), hence 27 blocks a stage; the extended
space adds ReLU or Swish, no attention or squeeze-and-excite, and channel scaling by 0.5 or 1.0. Derived: these are the values of
Once-for-All's supernets, whose channels, strides, activations and attentions are used here. Recalled and unconfirmed: that the paper
used exactly these. A searched block is a whole stage; stem, first bottleneck, tail and classifier are fixed.
Our choice: the reference is the largest member, and the fixed parts of the extended space have Hard-Swish.
"""

from __future__ import annotations

from functools import partial

from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage
from donna_hw.spaces.zoo.axes import EXPAND, KERNEL, WIDTH

AXES = (KERNEL, EXPAND, Axis("depth", (2, 3, 4)))
ACTIVATION = Axis("activation", ("relu", "swish"))
ATTENTION = Axis("attention", ("none", "se"), settings={"none": {"attention": "none"}, "se": {"attention": "se_v3"}})
STAGES = (  # stride, activation, attention
    (2, "relu", "none"),
    (2, "relu", "se_v3"),
    (2, "hard_swish", "none"),
    (1, "hard_swish", "se_v3"),
    (2, "hard_swish", "se_v3"),
)
CHANNELS_1_0 = (24, 40, 80, 112, 160)
CHANNELS_1_2 = (32, 48, 96, 136, 192)


def mobilenetv3_1_0() -> Space:
    """Five stages of 3 x 3 x 3 = 27 blocks, 1.4e7 architectures; MobileNetV3's own channels."""
    return Space(
        name="mobilenetv3_1.0",
        title="MobileNetV3 1.0x: five stages on 224x224 images",
        input_shape=(3, 224, 224),
        before=_before(stem=16, first=16),
        stages=_stages(CHANNELS_1_0),
        after=_after(tail=960, features=1280),
    )


def mobilenetv3_1_2() -> Space:
    """Five stages of 3 x 3 x 3 = 27 blocks, 1.4e7 architectures; channels 1.2 times as many."""
    return Space(
        name="mobilenetv3_1.2",
        title="MobileNetV3 1.2x: five stages on 224x224 images",
        input_shape=(3, 224, 224),
        before=_before(stem=24, first=24),
        stages=_stages(CHANNELS_1_2),
        after=_after(tail=1152, features=1536),
    )


def mobilenetv3_1_2_extended() -> Space:
    """Five stages of 27 x 2 x 2 x 2 = 216 blocks, 4.7e11 architectures; the fixed parts are those of 1.2."""
    return Space(
        name="mobilenetv3_1.2_extended",
        title="MobileNetV3 1.2x with activation, attention and width (section D): five stages on 224x224 images",
        input_shape=(3, 224, 224),
        before=_before(stem=24, first=24),
        stages=tuple(
            Stage(
                f"stage{number}",
                (*AXES, ACTIVATION, ATTENTION, WIDTH),
                partial(InvertedResidual, channels=channels, stride=stride),
            )
            for number, (channels, (stride, *_)) in enumerate(zip(CHANNELS_1_2, STAGES, strict=True), start=1)
        ),
        after=_after(tail=1152, features=1536),
    )


def _before(stem: int, first: int) -> tuple[tuple[str, ConvNormAct | InvertedResidual], ...]:
    return (
        ("stem", ConvNormAct(stem, kernel=3, stride=2, activation="hard_swish")),
        ("first", InvertedResidual(first, expand=1)),
    )


def _stages(channels: tuple[int, ...]) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            f"stage{number}",
            AXES,
            partial(InvertedResidual, channels=width, stride=stride, activation=activation, attention=attention),
        )
        for number, (width, (stride, activation, attention)) in enumerate(zip(channels, STAGES, strict=True), start=1)
    )


def _after(tail: int, features: int) -> tuple[tuple[str, ConvNormAct | Classifier], ...]:
    return (
        ("tail", ConvNormAct(tail, activation="hard_swish")),
        ("classifier", Classifier(1000, features, "hard_swish")),
    )
