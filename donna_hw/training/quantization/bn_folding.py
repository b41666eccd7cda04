"""Trained layers as they are deployed, with batch-norm folded into the weights, and the output statistics that batch-norms give."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from donna_hw.graph.torch_module import GraphModule, LayerModule
from donna_hw.training.quantization.channel_stats import ChannelStats


@dataclass(frozen=True)
class FoldedLayer:
    """A layer's weights with its batch-norm folded in.

    Args:
        weight: Float64, of the layer's `weight_shape`.
        bias: Float64 [channels].
        groups: Groups of the convolution, 1 for a linear layer.
    """

    weight: Tensor
    bias: Tensor
    groups: int

    @property
    def grouped_weight(self) -> Tensor:
        """The weights as a view [groups, outputs of a group, inputs of a group, kernel positions]."""
        return self.weight.view(self.groups, len(self.weight) // self.groups, self.weight.shape[1], -1)

    def reshape_for_inputs(self, factors: Tensor) -> Tensor:
        """Return factors of the input channels, [channels], in a shape that broadcasts with `grouped_weight`."""
        return factors.view(self.groups, 1, -1, 1)

    def response(self, mean: Tensor) -> Tensor:
        """Return what a constant input, one number for each input channel, adds to each output channel away from borders."""
        return (self.grouped_weight * self.reshape_for_inputs(mean)).sum((2, 3)).flatten()


def fold_batch_norms(module: GraphModule) -> dict[str, FoldedLayer]:
    """Return {name: folded layer} of every layer that has weights."""
    folded = {}
    for layer in module.graph.layers:
        if not layer.weight_shape:
            continue
        submodule = _get_layer(module, layer.name)
        assert submodule.weights is not None  # noqa: S101  such a layer has them
        weight = _double(submodule.weights.weight)
        if submodule.norm is None:
            bias = _double(submodule.weights.bias)
        else:
            gain = _double(submodule.norm.weight) / (_double(submodule.norm.running_var) + submodule.norm.eps).sqrt()
            bias = _double(submodule.norm.bias) - _double(submodule.norm.running_mean) * gain
            weight = weight * gain[:, None, None, None]
        folded[layer.name] = FoldedLayer(weight.contiguous(), bias, layer.groups)
    return folded


def read_bn_stats(module: GraphModule, range_stds: float) -> dict[str, ChannelStats]:
    """Return {name: output statistics} of every batch-norm, whose shift is the mean and whose scale is the standard deviation."""
    stats = {}
    for layer in module.graph.layers:
        if layer.batch_norm:
            norm = _get_layer(module, layer.name).norm
            assert norm is not None  # noqa: S101  such a layer has one
            stats[layer.name] = ChannelStats.from_normal(_double(norm.bias), _double(norm.weight).abs(), range_stds)
    return stats


def _get_layer(module: GraphModule, name: str) -> LayerModule:
    submodule = module.get_submodule(name)
    assert isinstance(submodule, LayerModule)  # noqa: S101  only float32 networks are folded
    return submodule


def _double(values: object) -> Tensor:
    assert isinstance(values, Tensor)  # noqa: S101  a parameter or a buffer
    return values.detach().to("cpu", torch.float64)
