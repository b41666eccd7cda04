"""Build graphs: blocks add their layers to a `GraphBuilder`, and `lower` returns the finished graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Protocol

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.graph import ACTIVATIONS, INPUT, RESERVED, Graph, Layer, ModuleSpec, Shape


class Block(Protocol):
    """Anything that can add its layers to a graph: a frozen dataclass whose fields are its settings."""

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the block's layers to a graph.

        Args:
            builder: The graph under construction.
            x: The name of the layer that feeds the block.

        Returns:
            The name of the layer that holds the block's output.
        """
        ...


class GraphBuilder:
    """A graph under construction: each method adds one layer and returns its name."""

    def __init__(self, input_shape: Shape) -> None:
        self.input_shape = input_shape
        self.layers: list[Layer] = []
        self._shapes: dict[str, Shape] = {INPUT: input_shape}
        self._prefix = ""
        self._dtype = "float32"

    def shape(self, name: str) -> Shape:
        """Return the output shape of the layer called `name`."""
        return self._shapes[name]

    def conv(
        self,
        x: str,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: str = "none",
        batch_norm: bool = True,
        name: str,
    ) -> str:
        """Add a 2-D convolution with padding `kernel // 2` on each side.

        Args:
            x: The name of the layer that feeds it.
            channels: Output channels.
            kernel: Height and width of the kernel, odd.
            stride: Step of the window in both directions.
            groups: Groups of channels, as in torch.
            activation: A name of `ACTIVATIONS`.
            batch_norm: Whether a batch-norm follows in training.
            name: The layer's name within the block.

        Returns:
            The layer's full name.

        Raises:
            ConfigError: If the groups do not divide the channels, the kernel is even, or a size is below 1.
        """
        shape = in_channels, height, width = self._shapes[x]
        if channels < 1 or stride < 1:
            raise ConfigError(
                "the channels and the stride of a convolution must be at least 1", got=min(channels, stride)
            )
        if groups < 1 or in_channels % groups or channels % groups:
            side, count = ("input", in_channels) if groups < 1 or in_channels % groups else ("output", channels)
            raise ConfigError(f"the groups of a convolution must divide its {side} channels ({count})", got=groups)
        _validate_odd(kernel, "a convolution")
        out = (channels, -(-height // stride), -(-width // stride))
        return self._add(
            Layer(self._prefix + name, "conv", (x,), shape, out, kernel, stride, groups, activation, batch_norm)
        )

    def linear(self, x: str, features: int, *, activation: str = "none", name: str) -> str:
        """Add a fully connected layer on a (features,) input."""
        if len(self._shapes[x]) != 1:
            raise ConfigError(
                "the input of a linear layer must have the shape (features,)",
                got=self._shapes[x],
                hint="flatten it first",
            )
        return self._add(
            Layer(self._prefix + name, "linear", (x,), self._shapes[x], (features,), activation=activation)
        )

    def max_pool(self, x: str, *, kernel: int, stride: int, name: str) -> str:
        """Add the largest value of each window; padding never counts as the largest."""
        _validate_odd(kernel, "a max pool")
        if stride < 1:
            raise ConfigError("the stride of a max pool must be at least 1", got=stride)
        shape = channels, height, width = self._shapes[x]
        out = (channels, -(-height // stride), -(-width // stride))
        return self._add(Layer(self._prefix + name, "max_pool", (x,), shape, out, kernel, stride))

    def global_pool(self, x: str, *, name: str) -> str:
        """Add the mean over height and width, of shape (channels, 1, 1)."""
        return self._add(Layer(self._prefix + name, "global_pool", (x,), self._shapes[x], (self._shapes[x][0], 1, 1)))

    def flatten(self, x: str, *, name: str) -> str:
        """Add a reshape to (features,)."""
        return self._add(Layer(self._prefix + name, "flatten", (x,), self._shapes[x], (prod(self._shapes[x]),)))

    def add(self, x: str, y: str, *, activation: str = "none", name: str) -> str:
        """Add the sum of two layers of the same shape."""
        if self._shapes[x] != self._shapes[y]:
            raise ConfigError(f"both inputs of an addition must have the shape {self._shapes[x]}", got=self._shapes[y])
        shape = self._shapes[x]
        return self._add(Layer(self._prefix + name, "add", (x, y), shape, shape, activation=activation))

    def scale(self, x: str, gate: str, *, name: str) -> str:
        """Add the product of a map and one gate per channel (squeeze-and-excite)."""
        if self._shapes[gate] != (self._shapes[x][0], 1, 1):
            raise ConfigError(f"a gate must have the shape {(self._shapes[x][0], 1, 1)}", got=self._shapes[gate])
        return self._add(Layer(self._prefix + name, "scale", (x, gate), self._shapes[x], self._shapes[x]))

    def module(self, x: str, spec: ModuleSpec, out_shape: Shape, *, activation: str = "none", name: str) -> str:
        """Add a torch module of one input, whose output has the shape `out_shape`."""
        shape = self._shapes[x]
        return self._add(
            Layer(self._prefix + name, "module", (x,), shape, out_shape, activation=activation, module_spec=spec)
        )

    def add_block(self, prefix: str, block: Block, x: str) -> str:
        """Add a whole block, with `prefix` in front of the names of its layers."""
        self._prefix, outer = f"{self._prefix}{prefix}.", self._prefix
        try:
            return block.add_layers(self, x)
        finally:
            self._prefix = outer

    @contextmanager
    def use_dtype(self, dtype: str) -> Iterator[None]:
        """Give this type to the layers added within the context; a torch module must stay float32."""
        self._dtype, outer = dtype, self._dtype
        try:
            yield
        finally:
            self._dtype = outer

    def _add(self, layer: Layer) -> str:
        if self._dtype != layer.dtype:
            if layer.module_spec is not None:
                message = f"{layer.name}: a custom torch module must be float32"
                raise ConfigError(message, got=self._dtype, hint="leave the block in float32")
            layer = replace(layer, dtype=self._dtype)
        if layer.activation not in ACTIVATIONS:
            raise UnknownNameError("unknown activation", got=layer.activation, choices=ACTIVATIONS)
        name = layer.name
        if name in RESERVED:
            raise ConfigError(f"a layer must not have a reserved name ({', '.join(RESERVED)})", got=name)
        if name in self._shapes:
            raise ConfigError("the layers of a block must have different names", got=name)
        self._shapes[name] = layer.out_shape
        self.layers.append(layer)
        return name


def lower(block: Block, input_shape: Shape) -> Graph:
    """Return the graph of a block for an input of shape (channels, height, width)."""
    builder = GraphBuilder(input_shape)
    return _finish(builder, block.add_layers(builder, INPUT))


def lower_chain(parts: Sequence[tuple[str, Block]], input_shape: Shape) -> Graph:
    """Return the graph of named blocks in sequence; a layer's name is `<part>.<layer>`."""
    builder = GraphBuilder(input_shape)
    x = INPUT
    for name, block in parts:
        x = builder.add_block(name, block, x)
    return _finish(builder, x)


def _validate_odd(kernel: int, operator: str) -> None:
    if kernel % 2 == 0 or kernel < 1:
        raise ConfigError(f"the kernel of {operator} must be odd, so that padding preserves the size", got=kernel)


def _finish(builder: GraphBuilder, output: str) -> Graph:
    if output != (builder.layers[-1].name if builder.layers else INPUT):
        raise ConfigError("a block must end with the layer that it returns", got=output)
    return Graph(builder.input_shape, tuple(builder.layers))
