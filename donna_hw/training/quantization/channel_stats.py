"""ChannelStats: how the values of a tensor are distributed, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from donna_hw.graph.int8 import NUMPY_ACTIVATIONS, Range, activation_range

# fine enough for an activation's kinks, which the few points of a Gauss quadrature miss
_NODES = torch.linspace(-7, 7, 1401, dtype=torch.float64)
_WEIGHTS = torch.softmax(-_NODES.square() / 2, 0)


@dataclass(frozen=True)
class ChannelStats:
    """Mean, standard deviation, lowest and highest value of each channel, float64 [channels] each."""

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def from_normal(cls, mean: Tensor, deviation: Tensor, deviations: float) -> ChannelStats:
        """Return the statistics of normal values, whose range ends `deviations` standard deviations from the mean."""
        margin = deviations * deviation
        return cls(mean, deviation, mean - margin, mean + margin)

    @property
    def range(self) -> Range:
        """Lowest and highest value of all channels."""
        return float(self.low.min()), float(self.high.max())

    def scale(self, factors: Tensor) -> ChannelStats:
        """Return the statistics after each channel is multiplied by a positive factor."""
        return ChannelStats(self.mean * factors, self.std * factors, self.low * factors, self.high * factors)

    def shift(self, offsets: Tensor) -> ChannelStats:
        """Return the statistics after an offset is added to each channel."""
        return ChannelStats(self.mean + offsets, self.std, self.low + offsets, self.high + offsets)

    def apply_activation(self, activation: str) -> ChannelStats:
        """Return the statistics of an activation's output; its mean and deviation are those for normal values."""
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
        """Return the statistics of the sum with independent values, which is assumed to be normal."""
        deviation = (self.std.square() + other.std.square()).sqrt()
        return ChannelStats.from_normal(self.mean + other.mean, deviation, deviations)

    def multiply(self, gate: ChannelStats) -> ChannelStats:
        """Return the statistics of the product with independent values."""
        corners = torch.stack([value * factor for value in (self.low, self.high) for factor in (gate.low, gate.high)])
        second_moment = (self.std.square() + self.mean.square()) * (gate.std.square() + gate.mean.square())
        mean = self.mean * gate.mean
        deviation = (second_moment - mean.square()).clamp_min(0).sqrt()
        return ChannelStats(mean, deviation, corners.amin(0), corners.amax(0))
