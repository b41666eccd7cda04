"""The layers of MobileNetV2 (1.0, 224 px), as its paper's table 2 has them.

Standard library only: peers' interpreters read it too.
"""

from __future__ import annotations

from typing import NamedTuple

STAGES = (  # expansion, channels, blocks, stride of the first: Sandler et al., CVPR 2018, table 2
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class Layer(NamedTuple):
    """A layer on square maps. kind: `conv`, `depthwise`, `add` or `pool`. inputs: numbers of the layers that feed it, -1 for the image."""

    name: str
    kind: str
    inputs: tuple[int, ...]
    in_channels: int
    in_size: int
    out_channels: int
    out_size: int
    kernel: int = 1
    stride: int = 1
    relu6: bool = False


def layers() -> list[Layer]:
    """Return the 64 layers: 52 convolutions, 10 sums, the pool and the classifier, a convolution of 1 x 1."""
    network = [Layer("stem", "conv", (-1,), 3, 224, 32, 112, 3, 2, True)]

    def conv(name: str, channels: int, kernel: int = 1, stride: int = 1, *, relu6: bool, kind: str = "conv") -> None:
        above = network[-1]
        size = above.out_size // stride
        network.append(
            Layer(
                name,
                kind,
                (len(network) - 1,),
                above.out_channels,
                above.out_size,
                channels,
                size,
                kernel,
                stride,
                relu6,
            )
        )

    for stage, (expansion, channels, blocks, first) in enumerate(STAGES, start=1):
        for block in range(blocks):
            stride, name = (first if block == 0 else 1), f"s{stage}b{block + 1}"
            into, width = len(network) - 1, network[-1].out_channels
            if expansion > 1:
                conv(f"{name} expand", expansion * width, relu6=True)
            conv(f"{name} depthwise", network[-1].out_channels, 3, stride, relu6=True, kind="depthwise")
            conv(f"{name} project", channels, relu6=False)
            if stride == 1 and width == channels:
                size = network[-1].out_size
                network.append(Layer(f"{name} add", "add", (into, len(network) - 1), channels, size, channels, size))
    conv("head", 1280, relu6=True)
    network.append(Layer("pool", "pool", (len(network) - 1,), 1280, 7, 1280, 1, 7))
    conv("classifier", 1000, relu6=False)
    return network
