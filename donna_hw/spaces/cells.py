"""Cells: the kinds of block from which spaces are declared. A new kind is a frozen dataclass with a method `add_layers`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.builder import Block, GraphBuilder

CELLS = ("depthwise", "grouped")


@dataclass(frozen=True)
class ConvNormAct:
    """A convolution with batch-norm and activation: a stem or a tail.

    Args:
        channels: Output channels.
        kernel: Height and width of the kernel, odd.
        stride: Step of the window.
        activation: A name of `donna_hw.graph.graph.ACTIVATIONS`.
    """

    channels: int
    kernel: int = 1
    stride: int = 1
    activation: str = "relu"

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the convolution."""
        return builder.conv(
            x, self.channels, kernel=self.kernel, stride=self.stride, activation=self.activation, name="conv"
        )


@dataclass(frozen=True)
class Classifier:
    """Global mean, an optional hidden layer as in MobileNetV3, then a fully connected layer to the classes.

    Args:
        classes: Number of classes.
        features: Features of the hidden layer; 0 for none.
        activation: Of the hidden layer.
    """

    classes: int
    features: int = 0
    activation: str = "none"

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add pool, flatten and linear layers."""
        x = builder.flatten(builder.global_pool(x, name="pool"), name="flatten")
        if self.features:
            x = builder.linear(x, self.features, activation=self.activation, name="features")
        return builder.linear(x, self.classes, name="linear")


@dataclass(frozen=True)
class SqueezeExcite:
    """A gate for each hidden channel, computed from the means of all: reduce, activate, expand, gate.

    Args:
        reduce_from: Which channels are reduced to a quarter: the bottleneck's `input` ones or its `hidden` ones.
        divisor: The reduced channels are rounded to a multiple of it.
        activation: Between the two layers; empty for the block's activation.
        gate: The activation of the gate.
    """

    reduce_from: str = "input"
    divisor: int = 1
    activation: str = ""
    gate: str = "sigmoid"

    def add_layers(self, builder: GraphBuilder, x: str, channels: int, activation: str, prefix: str) -> str:
        """Add a pool, two layers and the product.

        Args:
            builder: The graph under construction.
            x: The layer whose channels are gated.
            channels: Input channels of the bottleneck.
            activation: Of the block.
            prefix: Of the names of the layers.

        Returns:
            The name of the product.
        """
        hidden = builder.shape(x)[0]
        reduced = make_divisible((channels if self.reduce_from == "input" else hidden) / 4, self.divisor)
        y = builder.global_pool(x, name=f"{prefix}squeeze")
        y = builder.conv(y, reduced, activation=self.activation or activation, batch_norm=False, name=f"{prefix}reduce")
        y = builder.conv(y, hidden, activation=self.gate, batch_norm=False, name=f"{prefix}gate")
        return builder.scale(x, y, name=f"{prefix}excite")


ATTENTIONS = {
    "none": None,
    "se": SqueezeExcite(),  # as in EfficientNet
    "se_v3": SqueezeExcite("hidden", 8, "relu", "hard_sigmoid"),  # as in MobileNetV3
}


@dataclass(frozen=True)
class InvertedResidual:
    """`depth` inverted residual bottlenecks: expand 1x1, spatial kxk, optional squeeze-and-excite, project 1x1, residual.

    The first bottleneck has the stride. The others add their input, and so does the first if its stride and channels allow.

    Args:
        channels: Output channels.
        stride: Of the first bottleneck.
        kernel: Height and width of the spatial convolution, odd.
        expand: Hidden channels per input channel. An expansion of 1 has no layer, as in MobileNetV2, unless `always_expand`.
        depth: Number of bottlenecks.
        activation: A name of `donna_hw.graph.graph.ACTIVATIONS`.
        attention: A key of `ATTENTIONS`.
        cell: The spatial convolution: `depthwise`, or `grouped`, with hidden channels rounded up to whole groups.
        width: Scales the hidden channels only: the input and the output of a block have the reference's channels (paper, section 3).
        group_size: Channels of a group. The default is our choice, since the part of the paper that we have does not state it.
        always_expand: Whether an expansion of 1 has a layer, as in FBNet.
        pointwise_groups: Groups of both 1x1 convolutions, as in FBNet.

    Raises:
        UnknownNameError: If `cell` or `attention` is unknown.
        ConfigError: If the depth is below 1.
    """

    channels: int
    stride: int = 1
    kernel: int = 3
    expand: float = 6
    depth: int = 1
    activation: str = "relu"
    attention: str = "none"
    cell: str = "depthwise"
    width: float = 1.0
    group_size: int = 8
    always_expand: bool = False
    pointwise_groups: int = 1

    def __post_init__(self) -> None:
        for field, choices in (("cell", CELLS), ("attention", tuple(ATTENTIONS))):
            if getattr(self, field) not in choices:
                raise UnknownNameError(f"unknown {field}", got=getattr(self, field), choices=choices)
        if self.depth < 1:
            raise ConfigError("depth must be at least 1", got=self.depth)

    def sections(self) -> tuple[InvertedResidual, ...]:
        """Return the bottlenecks of the block in order, the first and then its repeats."""
        return (replace(self, depth=1), *[replace(self, depth=1, stride=1)] * (self.depth - 1))

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the bottlenecks in order."""
        for number in range(1, self.depth + 1):
            x = self._bottleneck(builder, x, self.stride if number == 1 else 1, f"{number}_")
        return x

    def _bottleneck(self, builder: GraphBuilder, x: str, stride: int, prefix: str) -> str:
        in_channels = builder.shape(x)[0]
        hidden = max(1, round(in_channels * self.expand * self.width))
        if self.cell == "grouped":
            hidden = -(-hidden // self.group_size) * self.group_size
        act, y = self.activation, x
        if self.expand != 1 or hidden != in_channels or self.always_expand:
            y = builder.conv(y, hidden, groups=self.pointwise_groups, activation=act, name=f"{prefix}expand")
        y = self.add_spatial(builder, y, hidden, stride, f"{prefix}spatial")
        attention = ATTENTIONS[self.attention]
        if attention is not None:
            y = attention.add_layers(builder, y, in_channels, act, prefix)
        y = builder.conv(y, self.channels, groups=self.pointwise_groups, name=f"{prefix}project")
        if stride == 1 and in_channels == self.channels:
            y = builder.add(y, x, name=f"{prefix}residual")
        return y

    def add_spatial(self, builder: GraphBuilder, x: str, hidden: int, stride: int, name: str) -> str:
        """Add the layer that mixes neighboring positions: the kxk convolution, which other kinds of bottleneck override."""
        groups = hidden if self.cell == "depthwise" else hidden // self.group_size
        return builder.conv(
            x, hidden, kernel=self.kernel, stride=stride, groups=groups, activation=self.activation, name=name
        )


@dataclass(frozen=True)
class Skip:
    """A skipped layer: nothing if the shape stays the same, else a 1x1 convolution with ReLU that changes it, as in FBNet."""

    channels: int
    stride: int = 1

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add nothing, or the convolution."""
        if self.stride == 1 and builder.shape(x)[0] == self.channels:
            return x
        return builder.conv(x, self.channels, stride=self.stride, activation="relu", name="skip")


@dataclass(frozen=True)
class Residual:
    """`depth` residual blocks of ResNet: two 3x3 convolutions, or 1x1, 3x3 and 1x1 with `hidden` channels, then a sum and ReLU.

    The first 3x3 convolution of the first block has the stride. Where the shape changes, a 1x1 convolution projects the input.
    """

    channels: int
    stride: int = 1
    hidden: int = 0
    depth: int = 1

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the blocks in order."""
        for number in range(1, self.depth + 1):
            x = self._block(builder, x, self.stride if number == 1 else 1, f"{number}_")
        return x

    def _block(self, builder: GraphBuilder, x: str, stride: int, prefix: str) -> str:
        if self.hidden:
            y = builder.conv(x, self.hidden, activation="relu", name=f"{prefix}reduce")
            y = builder.conv(y, self.hidden, kernel=3, stride=stride, activation="relu", name=f"{prefix}spatial")
            y = builder.conv(y, self.channels, name=f"{prefix}restore")
        else:
            y = builder.conv(x, self.channels, kernel=3, stride=stride, activation="relu", name=f"{prefix}first")
            y = builder.conv(y, self.channels, kernel=3, name=f"{prefix}second")
        if stride != 1 or builder.shape(x)[0] != self.channels:
            x = builder.conv(x, self.channels, stride=stride, name=f"{prefix}shortcut")
        return builder.add(y, x, activation="relu", name=f"{prefix}residual")


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each window, as after ResNet's stem."""

    kernel: int = 3
    stride: int = 2

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the pool."""
        return builder.max_pool(x, kernel=self.kernel, stride=self.stride, name="pool")


@dataclass(frozen=True)
class Chain:
    """A whole network or a part of one: named blocks in sequence."""

    blocks: tuple[tuple[str, Block], ...]

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the blocks in order, with layers named `<part>.<layer>`."""
        for name, block in self.blocks:
            x = builder.add_block(name, block, x)
        return x


def make_divisible(channels: float, divisor: int) -> int:
    """Return channels rounded to a multiple of `divisor`, at least one multiple, never down by more than a tenth, as MobileNets do.

    With a divisor of 1 the channels are truncated to a whole number.
    """
    if divisor == 1:
        return max(1, int(channels))
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
