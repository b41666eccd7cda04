"""Cells: the kinds of block that spaces are declared from. A new kind is a frozen dataclass with `draw`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from donna_hw.blocks.layers import Draft
from donna_hw.errors import BadSetting, UnknownName

CELLS = ("depthwise", "grouped")
ATTENTIONS = ("none", "se")


@dataclass(frozen=True)
class ConvNormAct:
    """A convolution with batch-norm and activation: a stem or a tail."""

    channels: int
    kernel: int = 1
    stride: int = 1
    activation: str = "relu"

    def draw(self, draft: Draft, x: str) -> str:
        """Add the one convolution."""
        return draft.conv(
            x, self.channels, kernel=self.kernel, stride=self.stride, activation=self.activation, name="conv"
        )


@dataclass(frozen=True)
class Classifier:
    """Global mean, then a fully connected layer to the classes."""

    classes: int

    def draw(self, draft: Draft, x: str) -> str:
        """Add pool, flatten and linear."""
        pooled = draft.global_pool(x, name="pool")
        return draft.linear(draft.flatten(pooled, name="flatten"), self.classes, name="linear")


@dataclass(frozen=True)
class InvertedResidual:
    """`depth` inverted residual bottlenecks: expand 1x1, spatial kxk, optional squeeze-and-excite, project 1x1, residual.

    The first bottleneck has the stride; the others, and the first where stride and channels allow, add their input.
    width scales the hidden channels only: a block's input and output keep the reference's channels (paper, section 3).
    cell: `depthwise`, or `grouped` with `group_size` channels a group; hidden channels are rounded up to whole groups.
    attention: `se` squeezes to a quarter of the bottleneck's input channels, as EfficientNet does. The group size and this
    quarter are our choice; the paper's text at hand does not give them.
    """

    channels: int
    stride: int = 1
    kernel: int = 3
    expand: int = 6
    depth: int = 1
    activation: str = "relu"
    attention: str = "none"
    cell: str = "depthwise"
    width: float = 1.0
    group_size: int = 8

    def __post_init__(self) -> None:
        for field, known in (("cell", CELLS), ("attention", ATTENTIONS)):
            if getattr(self, field) not in known:
                raise UnknownName(f"{field} must be a known one", found=getattr(self, field), known=known)
        if self.depth < 1:
            raise BadSetting("depth must be 1 or more", found=self.depth)

    def sections(self) -> tuple[InvertedResidual, ...]:
        """Return the bottlenecks that the block is a chain of, the first and then its repeats."""
        return (replace(self, depth=1), *[replace(self, depth=1, stride=1)] * (self.depth - 1))

    def draw(self, draft: Draft, x: str) -> str:
        """Add the bottlenecks one after another."""
        for number in range(1, self.depth + 1):
            x = self._bottleneck(draft, x, self.stride if number == 1 else 1, f"{number}_")
        return x

    def _bottleneck(self, draft: Draft, x: str, stride: int, prefix: str) -> str:
        into = draft.shape(x)[0]
        hidden = max(1, round(into * self.expand * self.width))
        if self.cell == "grouped":
            hidden = -(-hidden // self.group_size) * self.group_size
        groups = hidden if self.cell == "depthwise" else hidden // self.group_size
        act = self.activation
        y = draft.conv(x, hidden, activation=act, name=f"{prefix}expand")
        y = draft.conv(
            y, hidden, kernel=self.kernel, stride=stride, groups=groups, activation=act, name=f"{prefix}spatial"
        )
        if self.attention == "se":
            squeezed = draft.global_pool(y, name=f"{prefix}squeeze")
            reduced = max(1, into // 4)
            gate = draft.conv(squeezed, reduced, activation=act, normalised=False, name=f"{prefix}reduce")
            gate = draft.conv(gate, hidden, activation="sigmoid", normalised=False, name=f"{prefix}gate")
            y = draft.scale(y, gate, name=f"{prefix}excite")
        y = draft.conv(y, self.channels, name=f"{prefix}project")
        if stride == 1 and into == self.channels:
            y = draft.add(y, x, name=f"{prefix}residual")
        return y
