"""8-bit layers in torch's floating point, on the same grids as the ONNX form of the same weights."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from donna_hw.graph.activations import ACTIVATIONS
from donna_hw.graph.graph import INPUT, Graph, Layer
from donna_hw.graph.int8 import FUSED_ACTIVATIONS, GATE, LINEAR, OUTPUT, QUANT_MAX, assumed_ranges, fit_grid, slots


def fake_quantize(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """Return the numbers of a grid nearest to x."""
    return (torch.clamp(torch.round(x / scale) + zero, 0, QUANT_MAX) - zero) * scale


class Int8Layer(nn.Module):
    """One layer of type int8, none of which is trained.

    Attributes:
        scales: float32, one for each of `slots(layer)`.
        zeros: uint8, one for each of `slots(layer)`.
        codes: uint8, of the shape of the weights, for layers with weights as those that follow.
        weight_scales: float32, one for each output channel.
        weight_zeros: uint8, one for each output channel.
        bias: int32, in steps of the input's scale times the weights' scale.
    """

    scales: Tensor
    zeros: Tensor
    codes: Tensor
    weight_scales: Tensor
    weight_zeros: Tensor
    bias: Tensor

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer
        alone = Layer(**{**vars(layer), "inputs": (INPUT,) * len(layer.inputs)})
        ranges = assumed_ranges(Graph(layer.in_shape, (alone,)))[layer.name]
        grids = [fit_grid(*ranges[slot]) for slot in slots(layer)]
        self.register_buffer("scales", torch.tensor([float(grid.scale) for grid in grids]))
        self.register_buffer("zeros", torch.tensor([grid.zero_point for grid in grids], dtype=torch.uint8))
        if layer.weight_shape:
            fan_in = prod(layer.weight_shape[1:])
            weight = torch.randn(layer.weight_shape) * (2 / fan_in) ** 0.5
            channels, step = layer.out_shape[0], weight.abs().max() / (QUANT_MAX // 2)
            self.register_buffer("codes", (torch.round(weight / step) + (QUANT_MAX + 1) // 2).to(torch.uint8))
            self.register_buffer("weight_scales", step.expand(channels).clone())
            self.register_buffer("weight_zeros", torch.full((channels,), (QUANT_MAX + 1) // 2, dtype=torch.uint8))
            self.register_buffer("bias", torch.zeros(channels, dtype=torch.int32))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map the inputs, [batch, channels, height, width] or [batch, features], to the output, each on its grid."""
        x = self._apply_operator([self._fake_quantize(f"input{number}", x) for number, x in enumerate(inputs)])
        activation = self.layer.activation
        if activation in FUSED_ACTIVATIONS:
            x = ACTIVATIONS[activation](x)
        elif activation == "swish":
            x = self._fake_quantize(LINEAR, x)
            x = x * self._fake_quantize(GATE, torch.sigmoid(x))
        else:
            x = ACTIVATIONS[activation](self._fake_quantize(LINEAR, x))
        return self._fake_quantize(OUTPUT, x)

    def _apply_operator(self, inputs: list[Tensor]) -> Tensor:
        layer, x = self.layer, inputs[0]
        if layer.operator in ("conv", "linear"):
            shape = (-1, *[1] * (self.codes.ndim - 1))
            weight = (self.codes.float() - self.weight_zeros.float().view(shape)) * self.weight_scales.view(shape)
            bias = self.bias.double() * (self.scales[0].double() * self.weight_scales.double())
            if layer.operator == "linear":
                return f.linear(x, weight, bias.float())
            return f.conv2d(x, weight, bias.float(), layer.stride, layer.kernel // 2, 1, layer.groups)
        if layer.operator == "max_pool":
            return f.max_pool2d(x, layer.kernel, layer.stride, layer.kernel // 2)
        if layer.operator == "global_pool":
            return x.mean((2, 3), keepdim=True)
        if layer.operator == "flatten":
            return x.flatten(1)
        return x + inputs[1] if layer.operator == "add" else x * inputs[1]

    def _fake_quantize(self, slot: str, x: Tensor) -> Tensor:
        index = slots(self.layer).index(slot)
        return fake_quantize(x, self.scales[index], self.zeros[index].float())
