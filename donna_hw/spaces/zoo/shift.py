"""Shift cells, added to a space: the paper's example of new blocks whose accuracy an old predictor predicts (section 4.1.2).

A shift (Wu et al., "Shift: A Zero FLOP, Zero Parameter Alternative to Spatial Convolutions", CVPR 2018) moves each of its channels by one
of the kernel's kxk displacements. Our choice: the bottleneck is otherwise that of the space, and the channels are spread evenly over the
displacements.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from donna_hw.graph.builder import GraphBuilder
from donna_hw.graph.torch_layer import TorchLayer
from donna_hw.spaces.cells import InvertedResidual
from donna_hw.spaces.extend import add_cell
from donna_hw.spaces.space import Space
from donna_hw.spaces.zoo.donna import donna
from donna_hw.spaces.zoo.small import small_8px_cells

SHIFT = "shift"


class Shift(nn.Module):
    """Moves groups of channels by the displacements of a kxk kernel, zeros flow in; then keeps every stride-th position."""

    def __init__(self, channels: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.channels, self.kernel, self.stride = channels, kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, channels, height, width] to [batch, channels, ceil(height / stride), ceil(width / stride)]."""
        places = self.kernel**2  # the channels go evenly over them, fewer than places too
        borders = [-(-place * self.channels // places) for place in range(places + 1)]
        padded = f.pad(x, (self.kernel // 2,) * 4)
        moved = [
            padded[:, start:stop, self._output_slice(place // self.kernel), self._output_slice(place % self.kernel)]
            for place, (start, stop) in enumerate(pairwise(borders))
            if start < stop
        ]
        return torch.cat(moved, 1)

    def _output_slice(self, first: int) -> slice:
        """Return the rows, or columns, of the padded map that come out, the first of them `first`."""
        return slice(first, (first + 1 - self.kernel) or None, self.stride)


@dataclass(frozen=True)
class ShiftBottleneck(InvertedResidual):
    """An inverted residual bottleneck whose kxk convolution is replaced by a shift, which has no weights and no arithmetic."""

    def add_spatial(self, builder: GraphBuilder, x: str, hidden: int, stride: int, name: str) -> str:
        """Add the shift."""
        return TorchLayer.of(Shift, name, channels=hidden, kernel=self.kernel, stride=stride).add_layers(builder, x)


def small_8px_shift() -> Space:
    """`small_8px_cells` with shift cells: 72 blocks a stage, 24 of them new."""
    return add_cell(small_8px_cells(), SHIFT, ShiftBottleneck, name="small_8px_shift")


def donna_shift() -> Space:
    """The paper's space with shift cells: 576 blocks a stage, 192 of them new."""
    return add_cell(donna(), SHIFT, ShiftBottleneck, name="donna_shift")
