"""Folded: a trained layer's weights as they are deployed, its batch-norm in them, and what the batch-norm says of its output."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from donna_hw.graph.torch_module import GraphModule, LayerModule
from donna_hw.training.quantization.channel_stats import ChannelStats


@dataclass(frozen=True)
class FoldedLayer:
    """weight: float64, of the layer's `weight_shape`; bias: float64 [channels]. groups: of the convolution, 1 for a linear layer."""

    weight: Tensor
    bias: Tensor
    groups: int

    @property
    def grouped_weight(self) -> Tensor:
        """The weights as [groups, outputs a group, inputs a group, places], a view."""
        return self.weight.view(self.groups, len(self.weight) // self.groups, self.weight.shape[1], -1)

    def reshape_for_inputs(self, factors: Tensor) -> Tensor:
        """Return numbers of the input channels, [channels], in a shape that multiplies `by_input`."""
        return factors.view(self.groups, 1, -1, 1)

    def response(self, mean: Tensor) -> Tensor:
        """Return what a constant input, a number for each input channel, adds to each output channel away from borders."""
        return (self.grouped_weight * self.reshape_for_inputs(mean)).sum((2, 3)).flatten()


def fold_batch_norms(module: GraphModule) -> dict[str, FoldedLayer]:
    """Return the folded form of every layer that has weights, by its name."""
    found = {}
    for layer in module.graph.layers:
        if not layer.weight_shape:
            continue
        own = _get_layer(module, layer.name)
        assert own.weights is not None  # noqa: S101  such a layer has them
        weight = _double(own.weights.weight)
        if own.norm is None:
            bias = _double(own.weights.bias)
        else:
            gain = _double(own.norm.weight) / (_double(own.norm.running_var) + own.norm.eps).sqrt()
            bias = _double(own.norm.bias) - _double(own.norm.running_mean) * gain
            weight = weight * gain[:, None, None, None]
        found[layer.name] = FoldedLayer(weight.contiguous(), bias, layer.groups)
    return found


def read_bn_stats(module: GraphModule, range_stds: float) -> dict[str, ChannelStats]:
    """Return what each batch-norm says of its output, which training gave its shift as mean and its scale as deviation."""
    found = {}
    for layer in module.graph.layers:
        if layer.batch_norm:
            norm = _get_layer(module, layer.name).norm
            assert norm is not None  # noqa: S101  such a layer has one
            found[layer.name] = ChannelStats.from_normal(_double(norm.bias), _double(norm.weight).abs(), range_stds)
    return found


def _get_layer(module: GraphModule, name: str) -> LayerModule:
    own = module.get_submodule(name)
    assert isinstance(own, LayerModule)  # noqa: S101  only float32 networks are folded
    return own


def _double(values: object) -> Tensor:
    assert isinstance(values, Tensor)  # noqa: S101  a parameter or a buffer
    return values.detach().to("cpu", torch.float64)
