"""Draft: blocks draw themselves onto it, layer by layer; `lower` returns the finished graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Protocol

from donna_hw.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    pass
from donna_hw.graph.graph import ACTIVATIONS, INPUT, RESERVED, Graph, Layer, ModuleSpec, Shape


class Block(Protocol):
    """Anything that can draw itself: a frozen dataclass whose fields are its settings."""

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the block's layers to `builder`, fed by layer `x`; return the name of the layer that holds its output."""
        ...


class GraphBuilder:
    """A graph being drawn: each method adds one layer and returns its name."""

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
        """Add a 2-D convolution; raises `ConfigError` when groups do not divide the channels, the kernel is even, or a size is zero."""
        shape = into, height, width = self._shapes[x]
        if channels < 1 or stride < 1:
            raise ConfigError(
                "the channels and the stride of a convolution must be 1 or more", got=min(channels, stride)
            )
        if groups < 1 or into % groups or channels % groups:
            rule, value = ("input", into) if groups < 1 or into % groups else ("output", channels)
            raise ConfigError(f"the groups of a convolution must divide its {rule} channels ({value})", got=groups)
        _validate_odd(kernel, "a convolution")
        out = (channels, -(-height // stride), -(-width // stride))
        return self._add(
            Layer(self._prefix + name, "conv", (x,), shape, out, kernel, stride, groups, activation, batch_norm)
        )

    def linear(self, x: str, features: int, *, activation: str = "none", name: str) -> str:
        """Add a fully connected layer on a (features,) input."""
        if len(self._shapes[x]) != 1:
            raise ConfigError("a linear layer needs a (features,) input: flatten it first", got=self._shapes[x])
        return self._add(
            Layer(self._prefix + name, "linear", (x,), self._shapes[x], (features,), activation=activation)
        )

    def max_pool(self, x: str, *, kernel: int, stride: int, name: str) -> str:
        """Add the largest value of each window; the padding never is the largest."""
        _validate_odd(kernel, "a max pool")
        if stride < 1:
            raise ConfigError("the stride of a max pool must be 1 or more", got=stride)
        shape = channels, height, width = self._shapes[x]
        out = (channels, -(-height // stride), -(-width // stride))
        return self._add(Layer(self._prefix + name, "max_pool", (x,), shape, out, kernel, stride))

    def global_pool(self, x: str, *, name: str) -> str:
        """Add the mean over height and width, which keeps the shape (channels, 1, 1)."""
        return self._add(Layer(self._prefix + name, "global_pool", (x,), self._shapes[x], (self._shapes[x][0], 1, 1)))

    def flatten(self, x: str, *, name: str) -> str:
        """Add a reshape to (features,)."""
        return self._add(Layer(self._prefix + name, "flatten", (x,), self._shapes[x], (prod(self._shapes[x]),)))

    def add(self, x: str, y: str, *, activation: str = "none", name: str) -> str:
        """Add the sum of two layers of one shape."""
        if self._shapes[x] != self._shapes[y]:
            raise ConfigError(f"an addition needs two inputs of one shape, {self._shapes[x]}", got=self._shapes[y])
        shape = self._shapes[x]
        return self._add(Layer(self._prefix + name, "add", (x, y), shape, shape, activation=activation))

    def scale(self, x: str, gate: str, *, name: str) -> str:
        """Add the product of a map and one gate a channel (squeeze-and-excite)."""
        if self._shapes[gate] != (self._shapes[x][0], 1, 1):
            raise ConfigError(f"a gate needs the shape {(self._shapes[x][0], 1, 1)}", got=self._shapes[gate])
        return self._add(Layer(self._prefix + name, "scale", (x, gate), self._shapes[x], self._shapes[x]))

    def module(self, x: str, spec: ModuleSpec, out_shape: Shape, *, activation: str = "none", name: str) -> str:
        """Add a torch module of one input, whose output has the shape `out_shape`."""
        shape = self._shapes[x]
        return self._add(
            Layer(self._prefix + name, "module", (x,), shape, out_shape, activation=activation, module_spec=spec)
        )

    def add_block(self, prefix: str, block: Block, x: str) -> str:
        """Draw a whole block, its layers' names preceded by `prefix`."""
        self._prefix, outer = f"{self._prefix}{prefix}.", self._prefix
        try:
            return block.add_layers(self, x)
        finally:
            self._prefix = outer

    @contextmanager
    def use_dtype(self, dtype: str) -> Iterator[None]:
        """Give layers drawn meanwhile this type; a torch module has none but float32."""
        self._dtype, outer = dtype, self._dtype
        try:
            yield
        finally:
            self._dtype = outer

    def _add(self, layer: Layer) -> str:
        if self._dtype != layer.dtype:
            if layer.module_spec is not None:
                rule = f"{layer.name}: a torch module of one's own has no {self._dtype} form"
                raise ConfigError(rule, got=self._dtype, hint="leave the block in float32")
            layer = replace(layer, dtype=self._dtype)
        if layer.activation not in ACTIVATIONS:
            raise UnknownNameError("an activation must be a known one", got=layer.activation, choices=ACTIVATIONS)
        name = layer.name
        if name in RESERVED:
            raise ConfigError(f"a layer must not be named {' or '.join(RESERVED)}: these are the graph's own", got=name)
        if name in self._shapes:
            raise ConfigError("every layer of a block needs a name of its own", got=name)
        self._shapes[name] = layer.out_shape
        self.layers.append(layer)
        return name


def lower(block: Block, input_shape: Shape) -> Graph:
    """Return the block's layers for an input of `input_shape` (channels, height, width)."""
    builder = GraphBuilder(input_shape)
    return _finish(builder, block.add_layers(builder, INPUT))


def lower_chain(parts: Sequence[tuple[str, Block]], input_shape: Shape) -> Graph:
    """Return the layers of named blocks one after another; a layer's name is `<part>.<layer>`."""
    builder = GraphBuilder(input_shape)
    x = INPUT
    for name, block in parts:
        x = builder.add_block(name, block, x)
    return _finish(builder, x)


def _validate_odd(kernel: int, what: str) -> None:
    if kernel % 2 == 0 or kernel < 1:
        raise ConfigError(f"the kernel of {what} must be odd, so that padding keeps the size", got=kernel)


def _finish(builder: GraphBuilder, output: str) -> Graph:
    if output != (builder.layers[-1].name if builder.layers else INPUT):
        raise ConfigError("a block must end with the layer that it returns", got=output)
    return Graph(builder.input_shape, tuple(builder.layers))
