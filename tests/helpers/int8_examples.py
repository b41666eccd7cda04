"""A graph with every operator, float32 modules with realistic batch-norms, and statistics of normal inputs."""

from __future__ import annotations

import torch

from donna_hw.graph.builder import GraphBuilder
from donna_hw.graph.graph import INPUT, Graph
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.training.quantization.channel_stats import ChannelStats


def every_operator() -> Graph:
    """Return a graph with every operator except a torch module."""
    builder = GraphBuilder((4, 9, 9))
    y = builder.conv(INPUT, 8, kernel=3, activation="relu", name="conv")
    x = builder.conv(y, 8, kernel=5, groups=8, activation="relu", name="depthwise")
    x = builder.add(x, y, activation="relu", name="sum")
    x = builder.conv(x, 12, groups=4, stride=2, activation="swish", name="grouped")
    gate = builder.conv(builder.global_pool(x, name="squeeze"), 12, activation="sigmoid", batch_norm=False, name="gate")
    x = builder.max_pool(builder.scale(x, gate, name="excite"), kernel=3, stride=2, name="pool")
    builder.linear(builder.flatten(x, name="flatten"), 5, name="linear")
    return Graph(builder.input_shape, tuple(builder.layers))


def trained_module(graph: Graph) -> GraphModule:
    """Return a float32 module whose batch-norms have random scales and shifts, and the statistics of normal inputs."""
    module = to_torch(graph, seed=0).train()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for norm in (part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)):
            norm.weight.copy_(1 + 0.2 * torch.rand(norm.num_features, generator=generator))
            norm.bias.copy_(0.2 * torch.randn(norm.num_features, generator=generator))
        for _ in range(20):
            module(torch.randn(16, *graph.input_shape, generator=generator))
    return module.eval()


def normal_stats(channels: int) -> ChannelStats:
    """Return the statistics of standard normal numbers, cut at four standard deviations."""
    return ChannelStats.from_normal(torch.zeros(channels).double(), torch.ones(channels).double(), 4.0)
