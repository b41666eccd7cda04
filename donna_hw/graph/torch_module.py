"""A graph of layers as a torch module, for training and for the backends that run torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from donna_hw.errors import ConfigError
from donna_hw.graph.activations import ACTIVATIONS
from donna_hw.graph.graph import INPUT, Graph, Layer


class SmallMapConvolution(torch.autograd.Function):
    """A convolution of a map smaller than its kernel, on a CPU.

    The gradient of its weights is computed on the padded map without further padding: the same sums, in a quarter of oneDNN's time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, window: tuple[int, int, int]) -> Tensor:
        """Return the output, [batch, channels, height, width]; `window` is stride, padding and groups."""
        ctx.save_for_backward(x, weight)
        ctx.window = stride, padding, groups = window
        return f.conv2d(x, weight, None, stride, padding, 1, groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of the map and of the weights."""
        (x, weight), (stride, padding, groups) = ctx.saved_tensors, ctx.window
        needs_x, needs_weight, _ = ctx.needs_input_grad

        def gradient(image: Tensor, padding: int, mask: list[bool]) -> tuple[Tensor, ...]:
            pairs = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0]
            result: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
                gradients[0], image, weight, None, *pairs, groups, mask
            )
            return result

        x_gradient = gradient(x, padding, [True, False, False])[0] if needs_x else None
        padded = f.pad(x, (padding,) * 4)
        weight_gradient = gradient(padded, 0, [False, True, False])[1] if needs_weight else None
        return x_gradient, weight_gradient, None


class Convolution(nn.Conv2d):
    """torch's convolution, replaced by `SmallMapConvolution` in training on a CPU if the map is smaller than the kernel.

    Attributes:
        small: Whether the map is smaller. It is known in advance, so that a trace of the network has only torch's own convolution.
    """

    small = False

    def forward(self, input: Tensor) -> Tensor:
        """Return the output, [batch, channels, height, width]."""
        if not (self.small and self.training and input.device.type == "cpu"):
            return super().forward(input)
        window = self.stride[0], int(self.padding[0]), self.groups
        output: Tensor = SmallMapConvolution.apply(input, self.weight, window)  # type: ignore[no-untyped-call]
        return output


class LayerModule(nn.Module):
    """One layer: its weights and batch-norm, if it has them, then its activation."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer
        self.weights: nn.Module | None = None
        self.norm: nn.BatchNorm2d | None = None
        if layer.operator == "conv":
            self.weights = Convolution(
                layer.in_shape[0],
                layer.out_shape[0],
                layer.kernel,
                layer.stride,
                layer.kernel // 2,
                groups=layer.groups,
                bias=not layer.batch_norm,
            )
            self.weights.small = layer.batch_norm and layer.kernel > min(layer.in_shape[1:])
        elif layer.operator == "linear":
            self.weights = nn.Linear(layer.in_shape[0], layer.out_shape[0])
        elif layer.module_spec is not None:
            self.weights = layer.module_spec.build()
        if layer.batch_norm:
            self.norm = nn.BatchNorm2d(layer.out_shape[0])
        self.activation = ACTIVATIONS[layer.activation]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Map the inputs, [batch, channels, height, width] or [batch, features], to the output."""
        return self.activation(self.before_activation(*inputs))

    def before_activation(self, *inputs: Tensor) -> Tensor:
        """Return the input of the activation."""
        x = inputs[0]
        if self.weights is not None:
            x = self.weights(x)
        elif self.layer.operator == "max_pool":
            x = f.max_pool2d(x, self.layer.kernel, self.layer.stride, self.layer.kernel // 2)
        elif self.layer.operator == "global_pool":
            x = x.mean((2, 3), keepdim=True)
        elif self.layer.operator == "flatten":
            x = x.flatten(1)
        elif self.layer.operator == "add":
            x = x + inputs[1]
        elif self.layer.operator == "scale":
            x = x * inputs[1]
        else:
            raise NotImplementedError(self.layer.operator)
        if self.norm is not None:
            x = self.norm(x)
        return x


class GraphModule(nn.Module):
    """A whole graph.

    The keys of its `state_dict` are `<layer>.weights.*` and `<layer>.norm.*`; layer names may contain dots. Layers of type int8 have other
    keys and are not trained: see `Int8Layer`.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        for layer in graph.layers:
            owner: nn.Module = self
            *path, last = layer.name.split(".")
            for step in path:
                if not hasattr(owner, step):
                    owner.add_module(step, nn.Module())
                owner = owner.get_submodule(step)
            if hasattr(owner, last):
                raise ConfigError(
                    "a layer must not have the name of an attribute of torch modules", got=last, hint="rename it"
                )
            owner.add_module(last, _build_module(layer))
        self._steps = [(layer, self.get_submodule(layer.name)) for layer in graph.layers]

    def forward(self, x: Tensor) -> Tensor:
        """Map images [batch, *input_shape] to [batch, *output_shape]."""
        values = {INPUT: x}
        for layer, module in self._steps:
            values[layer.name] = module(*(values[name] for name in layer.inputs))
        output: Tensor = values[self.graph.output]
        return output


def _build_module(layer: Layer) -> nn.Module:
    if layer.dtype == "float32":
        return LayerModule(layer)
    from donna_hw.graph.int8_torch import Int8Layer

    return Int8Layer(layer)


def to_torch(graph: Graph, seed: int | None = None) -> GraphModule:
    """Return the torch module of a graph, with torch's default initialization.

    Args:
        graph: The layers.
        seed: Makes the weights repeatable, and leaves torch's global random state as it was. None draws from the global state.

    Returns:
        The module, in training mode.
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return GraphModule(graph)
