"""Dropout and stochastic depth, put on a network for its training: layers, weights' names, ONNX and evaluation stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as f

from donna_hw.graph.graph import INPUT, Graph
from donna_hw.graph.torch_module import GraphModule


@dataclass(frozen=True)
class Dropout:
    """A hook before a layer: in training each input is zero with probability `rate`, the others grow by 1 / (1 - rate)."""

    rate: float

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the layer's inputs."""
        return (f.dropout(inputs[0], self.rate, module.training), *inputs[1:])


@dataclass(frozen=True)
class StochasticDepth:
    """A hook before an addition: in training the branch of a whole image is zero with probability `rate`, the others grow likewise."""

    rate: float
    branch: int

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the addition's inputs; the shortcut is untouched."""
        if not module.training:
            return inputs
        x = inputs[self.branch]
        kept = x.new_empty((len(x), *[1] * (x.ndim - 1))).bernoulli_(1 - self.rate) / (1 - self.rate)
        return (*inputs[: self.branch], x * kept, *inputs[self.branch + 1 :])


def add_regularization(network: GraphModule, dropout: float, stochastic_depth: float) -> None:
    """Put dropout before the last linear layer, and stochastic depth on the branch of every residual addition.

    The rate of the k-th of n additions, from 0, is `stochastic_depth * k / n`: as in timm's EfficientNet, which counts the bottlenecks
    without a residual as well.
    """
    hooks: dict[str, Dropout | StochasticDepth] = {}
    linear = [layer.name for layer in network.graph.layers if layer.operator == "linear"]
    if dropout and linear:
        hooks[linear[-1]] = Dropout(dropout)
    branches = _branches(network.graph)
    for k, (name, branch) in enumerate(branches.items()):
        if k and stochastic_depth:
            hooks[name] = StochasticDepth(stochastic_depth * k / len(branches), branch)
    for name, hook in hooks.items():
        network.get_submodule(name).register_forward_pre_hook(hook)


def _branches(graph: Graph) -> dict[str, int]:
    """Return which input of each addition is the residual branch: that with more layers on its way; of equals the first, as in cells."""
    depth, found = {INPUT: 0}, {}
    for layer in graph.layers:
        depths = [depth[name] for name in layer.inputs]
        depth[layer.name] = 1 + max(depths)
        if layer.operator == "add":
            found[layer.name] = depths.index(max(depths))
    return found
