"""Baselines of inverted residual bottlenecks, each as a table of rows.

Channels, strides and all else are those of the papers named, as built by timm, whose weights give the same outputs here (see the
tests). DNA's are from its authors' repository (changlin31/DNA). Dropout and stochastic depth play no role in inference and are left out.
"""

from __future__ import annotations

from typing import NamedTuple

from donna_hw.graph.builder import Block
from donna_hw.spaces.cells import Chain, Classifier, ConvNormAct, InvertedResidual, make_divisible

NUM_CLASSES = 1000


class Row(NamedTuple):
    """`depth` equal bottlenecks, of which the first has the stride; an empty attention or activation is the network's."""

    kernel: int
    expand: float
    channels: int
    stride: int
    depth: int = 1
    attention: str = ""
    activation: str = ""


def build_network(
    rows: tuple[Row, ...],
    *,
    stem: int = 32,
    head: int = 1280,
    features: int = 0,
    width: float = 1.0,
    activation: str = "relu",
    attention: str = "none",
    always_expand: bool = False,
) -> Chain:
    """Return a network: a 3x3 stem of stride 2, bottlenecks, a 1x1 head and a classifier.

    Args:
        rows: The bottlenecks.
        stem: Channels of the stem.
        head: Channels of the head, which `width` does not scale.
        features: Features of the classifier's hidden layer; 0 for none.
        width: Scales the channels of stem and rows, to multiples of 8.
        activation: Of all parts, unless a row has another.
        attention: Of all rows, unless a row has another.
        always_expand: Whether an expansion of 1 has a layer.

    Returns:
        The network.
    """
    blocks: list[tuple[str, Block]] = [
        ("stem", ConvNormAct(make_divisible(stem * width, 8), kernel=3, stride=2, activation=activation))
    ]
    for number, row in enumerate(rows, start=1):
        block = InvertedResidual(
            make_divisible(row.channels * width, 8),
            row.stride,
            row.kernel,
            row.expand,
            row.depth,
            activation=row.activation or activation,
            attention=row.attention or attention,
            always_expand=always_expand,
        )
        blocks.append((f"row{number}", block))
    blocks.append(("head", ConvNormAct(head, activation=activation)))
    return Chain((*blocks, ("classifier", Classifier(NUM_CLASSES, features, activation if features else "none"))))


def efficientnet_b0() -> Chain:
    """Tan and Le, 2019."""
    rows = (
        Row(3, 1, 16, 1),
        Row(3, 6, 24, 2, 2),
        Row(5, 6, 40, 2, 2),
        Row(3, 6, 80, 2, 3),
        Row(5, 6, 112, 1, 3),
        Row(5, 6, 192, 2, 4),
        Row(3, 6, 320, 1),
    )
    return build_network(rows, activation="swish", attention="se")


def mobilenetv2(width: float) -> Chain:
    """Sandler et al., 2018; a width above 1 also widens the head."""
    rows = (
        Row(3, 1, 16, 1),
        Row(3, 6, 24, 2, 2),
        Row(3, 6, 32, 2, 3),
        Row(3, 6, 64, 2, 4),
        Row(3, 6, 96, 1, 3),
        Row(3, 6, 160, 2, 3),
        Row(3, 6, 320, 1),
    )
    return build_network(rows, head=max(1280, make_divisible(1280 * width, 8)), width=width, activation="relu6")


def mobilenetv3_large() -> Chain:
    """Howard et al., 2019."""
    rows = (
        Row(3, 1, 16, 1, 1, "none", "relu"),
        Row(3, 4, 24, 2, 1, "none", "relu"),
        Row(3, 3, 24, 1, 1, "none", "relu"),
        Row(5, 3, 40, 2, 3, "se_v3", "relu"),
        Row(3, 6, 80, 2),
        Row(3, 2.5, 80, 1),
        Row(3, 2.3, 80, 1, 2),
        Row(3, 6, 112, 1, 2, "se_v3"),
        Row(5, 6, 160, 2, 3, "se_v3"),
    )
    return build_network(rows, stem=16, head=960, features=1280, activation="hard_swish")


def mnasnet_a1(width: float) -> Chain:
    """Tan et al., 2019, with squeeze-and-excite; the width does not change the head."""
    rows = (
        Row(3, 1, 16, 1),
        Row(3, 6, 24, 2, 2),
        Row(5, 3, 40, 2, 3, "se"),
        Row(3, 6, 80, 2, 4),
        Row(3, 6, 112, 1, 2, "se"),
        Row(5, 6, 160, 2, 3, "se"),
        Row(3, 6, 320, 1),
    )
    return build_network(rows, width=width)


def mnasnet_b1() -> Chain:
    """Tan et al., 2019, without squeeze-and-excite."""
    rows = (
        Row(3, 1, 16, 1),
        Row(3, 3, 24, 2, 3),
        Row(5, 3, 40, 2, 3),
        Row(5, 6, 80, 2, 3),
        Row(3, 6, 96, 1, 2),
        Row(5, 6, 192, 2, 4),
        Row(3, 6, 320, 1),
    )
    return build_network(rows)


def spnasnet() -> Chain:
    """Single-Path NAS: Stamoulis et al., 2019."""
    rows = (
        Row(3, 1, 16, 1),
        Row(3, 3, 24, 2, 3),
        *(Row(5, 6, 40, 2), Row(3, 3, 40, 1, 3)),
        *(Row(5, 6, 80, 2), Row(3, 3, 80, 1, 3)),
        *(Row(5, 6, 96, 1), Row(5, 3, 96, 1, 3)),
        Row(5, 6, 192, 2, 4),
        Row(3, 6, 320, 1),
    )
    return build_network(rows)


def fbnet_c() -> Chain:
    """Wu et al., 2019; according to timm, the paper suggests the head of 1984 channels without stating it clearly."""
    rows = (
        Row(3, 1, 16, 1),
        *(Row(3, 6, 24, 2), Row(3, 1, 24, 1, 2)),
        *(Row(5, 6, 32, 2), Row(5, 3, 32, 1), Row(5, 6, 32, 1), Row(3, 6, 32, 1)),
        *(Row(5, 6, 64, 2), Row(5, 3, 64, 1), Row(5, 6, 64, 1, 2)),
        *(Row(5, 6, 112, 1, 3), Row(5, 3, 112, 1)),
        Row(5, 6, 184, 2, 4),
        Row(3, 6, 352, 1),
    )
    return build_network(rows, stem=16, head=1984, always_expand=True)


def build_dna(*rows: Row) -> Chain:
    """Li et al., 2020: all four share the first and the last row, and have squeeze-and-excite and Swish as in EfficientNet."""
    return build_network((Row(3, 1, 16, 1), *rows, Row(3, 6, 320, 1)), activation="swish", attention="se")


def dna_a() -> Chain:
    """DNA-A."""
    return build_dna(
        *(Row(5, 3, 24, 2), Row(3, 3, 24, 1), Row(3, 6, 24, 1)),
        *(Row(3, 3, 40, 2, 2), Row(5, 3, 40, 1), Row(3, 6, 40, 1)),
        *(Row(7, 6, 80, 2), Row(3, 3, 80, 1), Row(5, 3, 80, 1), Row(3, 6, 80, 1)),
        *(Row(5, 6, 96, 1), Row(5, 3, 96, 1, 2), Row(5, 6, 96, 1)),
        *(Row(5, 6, 160, 2), Row(5, 3, 160, 1, 3), Row(5, 6, 160, 1)),
    )


def dna_b() -> Chain:
    """DNA-B."""
    return build_dna(
        *(Row(3, 3, 24, 2), Row(5, 3, 24, 1), Row(7, 6, 24, 1)),
        *(Row(7, 6, 40, 2), Row(5, 3, 40, 1), Row(7, 6, 40, 1)),
        *(Row(5, 6, 80, 2), Row(5, 3, 80, 1, 2), Row(3, 6, 80, 1)),
        *(Row(5, 6, 96, 1), Row(5, 3, 96, 1, 2), Row(5, 6, 96, 1)),
        *(Row(7, 6, 192, 2), Row(5, 3, 192, 1, 3), Row(7, 6, 192, 1)),
    )


def dna_c() -> Chain:
    """DNA-C."""
    return build_dna(
        *(Row(5, 6, 24, 2), Row(3, 6, 24, 1)),
        *(Row(5, 6, 40, 2, 2), Row(3, 6, 40, 1), Row(5, 6, 40, 1)),
        *(Row(5, 6, 80, 2), Row(3, 6, 80, 1), Row(5, 6, 80, 1, 2)),
        *(Row(3, 6, 112, 1), Row(5, 6, 112, 1, 2), Row(5, 3, 112, 1)),
        *(Row(5, 6, 192, 2), Row(5, 3, 192, 1), Row(5, 6, 192, 1, 2)),
    )


def dna_d() -> Chain:
    """DNA-D."""
    return build_dna(
        *(Row(7, 6, 24, 2), Row(5, 6, 24, 1), Row(7, 6, 24, 1)),
        Row(7, 6, 40, 2, 4),
        *(Row(7, 6, 80, 2), Row(5, 6, 80, 1, 2), Row(7, 6, 80, 1)),
        *(Row(7, 6, 112, 1), Row(5, 6, 112, 1), Row(7, 6, 112, 1), Row(5, 6, 112, 1)),
        *(Row(7, 6, 192, 2), Row(5, 6, 192, 1, 3), Row(7, 6, 192, 1)),
    )


def proxylessnas_cpu() -> Chain:
    """ProxylessNAS for a CPU."""
    rows = (
        Row(3, 1, 24, 1),
        *(Row(3, 6, 32, 2), Row(3, 3, 32, 1, 3)),
        *(Row(3, 6, 48, 2), Row(3, 3, 48, 1, 2), Row(5, 3, 48, 1)),
        *(Row(3, 6, 88, 2), Row(3, 3, 88, 1)),
        *(Row(5, 6, 104, 1), Row(3, 3, 104, 1, 3)),
        *(Row(5, 6, 216, 2), Row(5, 3, 216, 1, 2), Row(3, 3, 216, 1)),
        Row(5, 6, 360, 1),
    )
    return build_network(rows, stem=40, head=1432, activation="relu6")


def proxylessnas_gpu() -> Chain:
    """ProxylessNAS for a GPU."""
    rows = (
        Row(3, 1, 24, 1),
        Row(5, 3, 32, 2),
        *(Row(7, 3, 56, 2), Row(3, 3, 56, 1)),
        *(Row(7, 6, 112, 2), Row(5, 3, 112, 1)),
        *(Row(5, 6, 128, 1), Row(3, 3, 128, 1), Row(5, 3, 128, 1)),
        *(Row(7, 6, 256, 2), Row(7, 6, 256, 1, 2), Row(5, 6, 256, 1)),
        Row(7, 6, 432, 1),
    )
    return build_network(rows, stem=40, head=1728, activation="relu6")


def proxylessnas_mobile() -> Chain:
    """ProxylessNAS for a phone."""
    rows = (
        Row(3, 1, 16, 1),
        *(Row(5, 3, 32, 2), Row(3, 3, 32, 1)),
        *(Row(7, 3, 40, 2), Row(3, 3, 40, 1), Row(5, 3, 40, 1, 2)),
        *(Row(7, 6, 80, 2), Row(5, 3, 80, 1, 3)),
        *(Row(5, 6, 96, 1), Row(5, 3, 96, 1, 3)),
        *(Row(7, 6, 192, 2), Row(7, 6, 192, 1), Row(7, 3, 192, 1, 2)),
        Row(7, 6, 320, 1),
    )
    return build_network(rows, activation="relu6")
