"""FBNet's space, layer by layer: 22 searched layers of nine operators, 9.8e20 architectures; for ImageNet and for CIFAR-100.

Published (Wu et al., arXiv:1812.03443): channels, layers and strides of the stages, and the operators: kernel 3 or 5, expand 1, 3 or 6,
1x1 convolutions in two groups, skip. From HW-NAS-Bench's code (Li et al., arXiv:2103.10584): the order of the operators, which is that of
its numbers 0 to 8 and of HELP's; that a skip is a 1x1 convolution with ReLU where stride or channels change; heads of 1984 and 1504
channels; and the CIFAR-100 form, with images of 32 pixels and strides of 1 in the stem and in the first two stages. According to HELP's
files (arXiv:2106.08630), its measured networks have this form. Our choice: the reference is the largest member, and the channel shuffle
between the grouped 1x1 convolutions is left out, since it computes nothing, although a device spends time on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual, Skip
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage, Value

OPERATORS: Mapping[Value, Mapping[str, Value]] = {
    "k3-e1": {"kernel": 3, "expand": 1},
    "k3-e1-g2": {"kernel": 3, "expand": 1, "groups": 2},
    "k3-e3": {"kernel": 3, "expand": 3},
    "k3-e6": {"kernel": 3, "expand": 6},
    "k5-e1": {"kernel": 5, "expand": 1},
    "k5-e1-g2": {"kernel": 5, "expand": 1, "groups": 2},
    "k5-e3": {"kernel": 5, "expand": 3},
    "k5-e6": {"kernel": 5, "expand": 6},
    "skip": {},
}
OPERATOR = Axis("operator", tuple(OPERATORS), reference="k5-e6", settings=OPERATORS)
CHANNELS, LAYERS = (16, 24, 32, 64, 112, 184, 352), (1, 4, 4, 4, 4, 4, 1)


def fbnet() -> Space:
    """22 layers of nine operators on 224x224 images, 1000 classes."""
    return _space("fbnet", "ImageNet", 224, 1000, stem_stride=2, strides=(1, 2, 2, 2, 1, 2, 1), head=1984)


def fbnet_cifar100() -> Space:
    """22 layers of nine operators on 32x32 images, 100 classes."""
    return _space("fbnet_cifar100", "CIFAR-100", 32, 100, stem_stride=1, strides=(1, 1, 2, 2, 1, 2, 1), head=1504)


def _space(
    name: str, images: str, pixels: int, classes: int, *, stem_stride: int, strides: tuple[int, ...], head: int
) -> Space:
    layers = [
        (f"stage{stage}_layer{layer + 1}", channels, stride if layer == 0 else 1)
        for stage, (channels, count, stride) in enumerate(zip(CHANNELS, LAYERS, strides, strict=True), start=1)
        for layer in range(count)
    ]
    return Space(
        name=name,
        title=f"FBNet's space for {images}: 22 layers on {pixels}x{pixels} images",
        input_shape=(3, pixels, pixels),
        before=(("stem", ConvNormAct(16, kernel=3, stride=stem_stride)),),
        stages=tuple(
            Stage(layer, (OPERATOR,), partial(_layer, channels, stride)) for layer, channels, stride in layers
        ),
        after=(("head", ConvNormAct(head)), ("classifier", Classifier(classes))),
    )


def _layer(channels: int, stride: int, *, kernel: int = 0, expand: int = 0, groups: int = 1) -> InvertedResidual | Skip:
    """Return a layer's block; a kernel of 0 skips the layer."""
    if not kernel:
        return Skip(channels, stride)
    return InvertedResidual(channels, stride, kernel, expand, always_expand=True, pointwise_groups=groups)
