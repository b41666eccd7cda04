"""A new kind of layer in an old space: convolutions of two kernel sizes side by side, added to the cells that were there.

`donna-hw study transfer examples/new_cell.toml` trains the new blocks alone, and evaluates on them the predictor of the old ones,
unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from donna_hw import InvertedResidual, Space, TorchLayer, load_space
from donna_hw.graph.builder import GraphBuilder
from donna_hw.spaces.extend import add_cell


class MixedConvolution(nn.Module):
    """Each channel by itself: half of them by a kernel, half by one two larger."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.sizes = (channels - channels // 2, channels // 2)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(size, size, k, stride, k // 2, groups=size, bias=False)
            for size, k in zip(self.sizes, (kernel, kernel + 2), strict=True)
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, channels, height, width] to the same, the sides divided by the stride."""
        parts = zip(self.convolutions, torch.split(x, self.sizes, dim=1), strict=True)
        out: Tensor = nn.functional.relu(self.norm(torch.cat([convolution(part) for convolution, part in parts], 1)))
        return out


@dataclass(frozen=True)
class MixedBottleneck(InvertedResidual):
    """A bottleneck of the space with the new layer in the place of its kxk convolution."""

    def add_spatial(self, builder: GraphBuilder, x: str, hidden: int, stride: int, name: str) -> str:
        """Add the new layer."""
        layer = TorchLayer.of(MixedConvolution, name, channels=hidden, kernel=self.kernel, stride=stride)
        return layer.add_layers(builder, x)


def mixed() -> Space:
    """The digits' four stages with `mixed` in addition to their depthwise and grouped cells."""
    return add_cell(load_space("small_8px_cells"), "mixed", MixedBottleneck, name="small_8px_mixed")


if __name__ == "__main__":
    space = mixed()
    for stage in space.stages:
        new = [m for m in range(stage.size) if stage.choice(m)["cell"] == "mixed"]
        print(f"{stage.name}: {stage.size} blocks, {len(new)} new, such as {stage.label(new[0])}")
