"""Cells: the kinds of block that spaces are declared from. A new kind is a frozen dataclass with `draw`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.builder import Block, GraphBuilder

CELLS = ("depthwise", "grouped")


@dataclass(frozen=True)
class ConvNormAct:
    """A convolution with batch-norm and activation: a stem or a tail."""

    channels: int
    kernel: int = 1
    stride: int = 1
    activation: str = "relu"

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the one convolution."""
        return builder.conv(
            x, self.channels, kernel=self.kernel, stride=self.stride, activation=self.activation, name="conv"
        )


@dataclass(frozen=True)
class Classifier:
    """Global mean, a hidden layer of `features` where there are any (MobileNetV3 has), then a fully connected layer to the classes."""

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
    """A gate for each hidden channel, from the mean of all: reduce, activate, expand, gate.

    of: what is reduced to a quarter, the bottleneck's `input` channels or its `hidden` ones. divisor: the reduced channels are rounded to a
    multiple of it. activation: between the two layers; empty for the block's own.
    """

    reduce_from: str = "input"
    divisor: int = 1
    activation: str = ""
    gate: str = "sigmoid"

    def add_layers(self, builder: GraphBuilder, x: str, channels: int, activation: str, prefix: str) -> str:
        """Add pool, two layers and the product; `channels` are the bottleneck's input ones."""
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

    The first bottleneck has the stride; the others, and the first where stride and channels allow, add their input. An expansion
    of 1 has no layer, as in MobileNetV2, unless `always_expand`, as in FBNet. width scales the hidden channels only: a block's input
    and output keep the reference's channels (paper, section 3). cell: `depthwise`, or `grouped` with `group_size` channels a group; hidden
    channels are rounded up to whole groups. The group size is our choice; the paper's text at hand does not give it. attention: a key of
    `ATTENTIONS`. pointwise_groups: of both 1x1 convolutions, as in FBNet.
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
        for field, known in (("cell", CELLS), ("attention", tuple(ATTENTIONS))):
            if getattr(self, field) not in known:
                raise UnknownNameError(f"{field} must be a known one", got=getattr(self, field), choices=known)
        if self.depth < 1:
            raise ConfigError("depth must be 1 or more", got=self.depth)

    def sections(self) -> tuple[InvertedResidual, ...]:
        """Return the bottlenecks that the block is a chain of, the first and then its repeats."""
        return (replace(self, depth=1), *[replace(self, depth=1, stride=1)] * (self.depth - 1))

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the bottlenecks one after another."""
        for number in range(1, self.depth + 1):
            x = self._bottleneck(builder, x, self.stride if number == 1 else 1, f"{number}_")
        return x

    def _bottleneck(self, builder: GraphBuilder, x: str, stride: int, prefix: str) -> str:
        into = builder.shape(x)[0]
        hidden = max(1, round(into * self.expand * self.width))
        if self.cell == "grouped":
            hidden = -(-hidden // self.group_size) * self.group_size
        act, y = self.activation, x
        if self.expand != 1 or hidden != into or self.always_expand:
            y = builder.conv(y, hidden, groups=self.pointwise_groups, activation=act, name=f"{prefix}expand")
        y = self.add_spatial(builder, y, hidden, stride, f"{prefix}spatial")
        attention = ATTENTIONS[self.attention]
        if attention is not None:
            y = attention.add_layers(builder, y, into, act, prefix)
        y = builder.conv(y, self.channels, groups=self.pointwise_groups, name=f"{prefix}project")
        if stride == 1 and into == self.channels:
            y = builder.add(y, x, name=f"{prefix}residual")
        return y

    def add_spatial(self, builder: GraphBuilder, x: str, hidden: int, stride: int, name: str) -> str:
        """Add what mixes neighbouring positions: the kxk convolution. Another kind of bottleneck draws something else here."""
        groups = hidden if self.cell == "depthwise" else hidden // self.group_size
        return builder.conv(
            x, hidden, kernel=self.kernel, stride=stride, groups=groups, activation=self.activation, name=name
        )


@dataclass(frozen=True)
class Skip:
    """A searched layer left out: no layer where the shape stays, else a 1x1 convolution with ReLU that changes it, as in FBNet's space."""

    channels: int
    stride: int = 1

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add nothing, or the one convolution."""
        if self.stride == 1 and builder.shape(x)[0] == self.channels:
            return x
        return builder.conv(x, self.channels, stride=self.stride, activation="relu", name="skip")


@dataclass(frozen=True)
class Residual:
    """`depth` residual blocks of ResNet: two 3x3 convolutions, or with `hidden` channels 1x1, 3x3 and 1x1; sum, then ReLU.

    The stride is that of the first block's first 3x3 convolution. Where the shape changes, a 1x1 convolution projects the input.
    """

    channels: int
    stride: int = 1
    hidden: int = 0
    depth: int = 1

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the blocks one after another."""
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
    """The largest value of each window: what follows ResNet's stem."""

    kernel: int = 3
    stride: int = 2

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the one pool."""
        return builder.max_pool(x, kernel=self.kernel, stride=self.stride, name="pool")


@dataclass(frozen=True)
class Chain:
    """A whole network, or a part of one: named blocks one after another."""

    blocks: tuple[tuple[str, Block], ...]

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the blocks one after another, their layers named `<part>.<layer>`."""
        for name, block in self.blocks:
            x = builder.add_block(name, block, x)
        return x


def make_divisible(channels: float, divisor: int) -> int:
    """Return channels rounded to a multiple of `divisor`, at least one and never by more than a tenth down, as MobileNets do.

    With a divisor of 1 the channels are cut to a whole number.
    """
    if divisor == 1:
        return max(1, int(channels))
    found = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * channels else found
