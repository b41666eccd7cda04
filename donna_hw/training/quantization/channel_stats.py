"""Spread: how the numbers of a tensor are distributed, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from donna_hw.graph.int8 import NUMPY_ACTIVATIONS, Range, activation_range

_NODES = torch.linspace(
    -7, 7, 1401, dtype=torch.float64
)  # fine enough for an activation's kinks, which Gauss's few points miss
_WEIGHTS = torch.softmax(-_NODES.square() / 2, 0)


@dataclass(frozen=True)
class ChannelStats:
    """Mean, standard deviation, lowest and highest number of each channel, float64 [channels] each."""

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def from_normal(cls, mean: Tensor, deviation: Tensor, deviations: float) -> ChannelStats:
        """Return what is taken for normal numbers, cut so many deviations from the mean."""
        reach = deviations * deviation
        return cls(mean, deviation, mean - reach, mean + reach)

    @property
    def range(self) -> Range:
        """Lowest and highest number of all channels."""
        return float(self.low.min()), float(self.high.max())

    def scale(self, factors: Tensor) -> ChannelStats:
        """Return the spread of the numbers times a positive factor a channel."""
        return ChannelStats(self.mean * factors, self.std * factors, self.low * factors, self.high * factors)

    def shift(self, by: Tensor) -> ChannelStats:
        """Return the spread of the numbers plus a number a channel."""
        return ChannelStats(self.mean + by, self.std, self.low + by, self.high + by)

    def apply_activation(self, activation: str) -> ChannelStats:
        """Return the spread of an activation's output; its mean and deviation are those for normal numbers."""
        if activation == "none":
            return self
        points = self.mean[:, None] + self.std[:, None] * _NODES
        values = torch.from_numpy(np.asarray(NUMPY_ACTIVATIONS[activation](points.numpy())))
        mean = values @ _WEIGHTS
        variance = ((values - mean[:, None]).square() @ _WEIGHTS).clamp_min(0)
        ends = [activation_range(activation, pair) for pair in zip(self.low.tolist(), self.high.tolist(), strict=True)]
        low, high = torch.tensor(ends, dtype=torch.float64).T
        return ChannelStats(mean, variance.sqrt(), low, high)

    def add(self, other: ChannelStats, deviations: float) -> ChannelStats:
        """Return the spread of the sum with independent numbers, taken for normal ones."""
        deviation = (self.std.square() + other.std.square()).sqrt()
        return ChannelStats.from_normal(self.mean + other.mean, deviation, deviations)

    def multiply(self, gate: ChannelStats) -> ChannelStats:
        """Return the spread of the product with independent numbers."""
        corners = torch.stack([one * two for one in (self.low, self.high) for two in (gate.low, gate.high)])
        second = (self.std.square() + self.mean.square()) * (gate.std.square() + gate.mean.square())
        mean = self.mean * gate.mean
        deviation = (second - mean.square()).clamp_min(0).sqrt()
        return ChannelStats(mean, deviation, corners.amin(0), corners.amax(0))
