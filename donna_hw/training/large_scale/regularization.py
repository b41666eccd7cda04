"""Dropout and stochastic depth as hooks on a network: its layers, names of weights, ONNX export and evaluation do not change."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as f

from donna_hw.graph.graph import INPUT, Graph
from donna_hw.graph.torch_module import GraphModule


@dataclass(frozen=True)
class Dropout:
    """A hook before a layer: in training each input is zero with probability `rate`, and the others are multiplied by 1 / (1 - rate)."""

    rate: float

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the layer's inputs, the first one with dropout."""
        return (f.dropout(inputs[0], self.rate, module.training), *inputs[1:])


@dataclass(frozen=True)
class StochasticDepth:
    """A hook before an addition: in training an image's branch is zero with probability `rate`, else multiplied by 1 / (1 - rate)."""

    rate: float
    branch: int

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the addition's inputs; the shortcut does not change."""
        if not module.training:
            return inputs
        x = inputs[self.branch]
        scale = x.new_empty((len(x), *[1] * (x.ndim - 1))).bernoulli_(1 - self.rate) / (1 - self.rate)
        return (*inputs[: self.branch], x * scale, *inputs[self.branch + 1 :])


def add_regularization(network: GraphModule, dropout: float, stochastic_depth: float) -> None:
    """Add dropout before the last linear layer, and stochastic depth to the branch of every residual addition.

    The rate of the k-th of n additions, from 0, is `stochastic_depth * k / n`, as in timm's EfficientNet, which however also counts the
    bottlenecks without a residual.

    Args:
        network: The network, changed in place.
        dropout: The rate of dropout.
        stochastic_depth: The rate that the additions approach.
    """
    hooks: dict[str, Dropout | StochasticDepth] = {}
    linear = [layer.name for layer in network.graph.layers if layer.operator == "linear"]
    if dropout and linear:
        hooks[linear[-1]] = Dropout(dropout)
    branches = _find_branches(network.graph)
    for k, (name, branch) in enumerate(branches.items()):
        if k and stochastic_depth:
            hooks[name] = StochasticDepth(stochastic_depth * k / len(branches), branch)
    for name, hook in hooks.items():
        network.get_submodule(name).register_forward_pre_hook(hook)


def _find_branches(graph: Graph) -> dict[str, int]:
    """Return which input of each addition is the residual branch: the one with more layers before it, the first of equal ones."""
    depth, branches = {INPUT: 0}, {}
    for layer in graph.layers:
        depths = [depth[name] for name in layer.inputs]
        depth[layer.name] = 1 + max(depths)
        if layer.operator == "add":
            branches[layer.name] = depths.index(max(depths))
    return branches
