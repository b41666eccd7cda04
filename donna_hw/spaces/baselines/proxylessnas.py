"""ProxylessNAS's networks for CPU, GPU and mobile (Cai et al., 2019): ReLU6, no attention.

Kernels, expansions and channels are published as the configurations of the authors' repository (mit-han-lab/proxylessnas), and are taken
here from osmr/imgclsmob, which restates them. Bottlenecks that the search left out are not listed. Operations and parameters
agree with the authors' logs of these networks.
"""

from __future__ import annotations

from donna_hw.spaces.baselines.mobile import Row, mobile
from donna_hw.spaces.cells import Chain


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
    return mobile(rows, stem=40, head=1432, activation="relu6")


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
    return mobile(rows, stem=40, head=1728, activation="relu6")


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
    return mobile(rows, activation="relu6")
