"""RetinaNet (Lin et al. 2017), torchvision's, on the feature maps of a network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from donna_hw._core import torchvision_compat
from donna_hw.errors import ConfigError

if TYPE_CHECKING:
    from donna_hw.experiments.detection.features import FeatureBackbone

ASPECT_RATIOS = (0.5, 1.0, 2.0)  # height over width; RetinaNet's
GROUP_NORM_CHANNELS = 8  # channels that are normalized together in the head, as in torchvision's second RetinaNet


@dataclass(frozen=True)
class DetectionHead:
    """The head on top of a backbone.

    Attributes:
        reductions: Of the backbone's maps that are used.
        extra_levels: How many smaller maps are added, each half as large as the one before.
        channels: Of every map of the pyramid and of the head.
        octave_scales: Number of anchor sizes within a factor of two; RetinaNet has three.
        anchor_steps: Side of a map's smallest anchor in steps of the map; RetinaNet's is 4, 32 pixels on a map of every eighth pixel.
    """

    reductions: tuple[int, ...]
    extra_levels: int
    channels: int
    octave_scales: int
    anchor_steps: int


@dataclass(frozen=True)
class ImagePreprocessing:
    """Preprocessing of images.

    mean, std: of each channel, of pixels in 0..1. min_size: pixels that the shorter side is scaled to. max_size: limit of the longer
    side in pixels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    min_size: int
    max_size: int


class Pyramid(nn.Module):
    """A feature pyramid over a backbone's maps, with smaller maps on top."""

    def __init__(self, backbone: FeatureBackbone, head: DetectionHead) -> None:
        from torchvision.ops import FeaturePyramidNetwork

        super().__init__()
        self.body, self.out_channels = backbone, head.channels
        self.fpn = FeaturePyramidNetwork(backbone.feature_info.channels(), head.channels)
        self.extra = nn.ModuleList(
            nn.Conv2d(head.channels, head.channels, 3, stride=2, padding=1) for _ in range(head.extra_levels)
        )

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Map images [batch, channels, height, width] to the pyramid's maps, the largest first."""
        maps: OrderedDict[str, Tensor] = self.fpn(OrderedDict((str(n), x) for n, x in enumerate(self.body(images))))
        x = next(reversed(maps.values()))
        for number, down in enumerate(self.extra):
            x = down(torch.relu(x) if number else x)
            maps[f"extra{number}"] = x
        return maps


def retinanet(
    backbone: FeatureBackbone, classes: int, head: DetectionHead, preprocessing: ImagePreprocessing, seed: int
) -> Any:
    """Return torchvision's RetinaNet on a backbone.

    Args:
        backbone: Gives the feature maps.
        classes: How many classes, numbered from 0.
        head: Settings of the pyramid and the head.
        preprocessing: How images are normalized and scaled.
        seed: Of the random weights of the pyramid and the head.

    Returns:
        The detector. In training mode it maps lists of images [channels, height, width] in 0..1 and of targets (`boxes` [n, 4]: left, top,
        right, bottom; `labels` [n]) to its losses; in evaluation mode it maps images to a list of `boxes`, `labels` and `scores`.

    Raises:
        ConfigError: The head's channels are no multiple of 8.
        UnavailableError: torchvision is not installed.
    """
    torchvision_compat.require_torchvision("a detector", extra="detection")
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.retinanet import RetinaNetHead

    if head.channels % GROUP_NORM_CHANNELS:
        raise ConfigError(f"detector.channels must be a multiple of {GROUP_NORM_CHANNELS}", got=head.channels)
    sizes = anchor_sizes(backbone.feature_info.reduction(), head)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        anchors = AnchorGenerator(sizes, (ASPECT_RATIOS,) * len(sizes))
        norm = partial(nn.GroupNorm, head.channels // GROUP_NORM_CHANNELS)
        top = RetinaNetHead(head.channels, len(ASPECT_RATIOS) * head.octave_scales, classes, norm_layer=norm)
        return RetinaNet(
            Pyramid(backbone, head),
            classes,
            min_size=preprocessing.min_size,
            max_size=preprocessing.max_size,
            image_mean=list(preprocessing.mean),
            image_std=list(preprocessing.std),
            anchor_generator=anchors,
            head=top,
            detections_per_img=100,  # what COCO's average precision looks at
        )


def anchor_sizes(reductions: Sequence[int], head: DetectionHead) -> tuple[tuple[int, ...], ...]:
    """Return the sides of the anchors of each map in pixels: `anchor_steps` steps of the map, times 2 ** (k / `octave_scales`)."""
    steps = [*reductions, *(reductions[-1] * 2 ** (number + 1) for number in range(head.extra_levels))]
    scales = [2 ** (k / head.octave_scales) for k in range(head.octave_scales)]
    return tuple(tuple(round(head.anchor_steps * step * scale) for scale in scales) for step in steps)


def out_indices(maps: Sequence[int], head: DetectionHead, space: str) -> list[int]:
    """Return which of a space's maps, given by their reductions, the head uses; raises `ConfigError` for one that is missing."""
    for reduction in head.reductions:
        if reduction not in maps:
            raise ConfigError(
                f"detector.reductions must be among those of {space}: {', '.join(map(str, maps))}", got=reduction
            )
    return [maps.index(reduction) for reduction in head.reductions]
