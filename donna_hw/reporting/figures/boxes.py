"""The boxes of a drawn network: one for each layer of its searched stages, read from the layers as they are built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from donna_hw.graph.builder import Block, lower
from donna_hw.graph.graph import Graph, Layer, Shape
from donna_hw.spaces.cells import Chain, InvertedResidual, Residual
from donna_hw.spaces.mixed_precision import Int8Block
from donna_hw.spaces.space import Architecture, Space
from donna_hw.spaces.vit_cells import Transformer

BOTTLENECK = (
    "expand",
    "spatial",
    "squeeze",
    "reduce",
    "gate",
    "excite",
    "project",
    "residual",
)  # layers of a bottleneck that need no extra label
KINDS = ("inverted_residual", "residual", "transformer", "conv", "other")


@dataclass(frozen=True)
class Box:
    """One layer of a searched stage, which is a bottleneck in most spaces. What is unknown or does not apply is None.

    Args:
        stage: Name of the stage.
        kind: One of `KINDS`.
        kernel: Size of the spatial kernel.
        channels: Output channels; in a transformer the features of a token.
        expand: Hidden channels over input channels, as built, including the width and whole groups.
        stride: Stride of the spatial convolution.
        grouped: Whether the spatial convolution has groups of several channels.
        se: Whether there is squeeze-and-excite.
        swish: Whether the activation is Swish itself.
        activation: Name of the activation.
        int8: Whether its layers are 8-bit.
        label: What the rest does not show, such as a new kind of cell, the heads of a transformer layer, or the name of another block.
    """

    stage: str
    kind: str
    kernel: int | None = None
    channels: int | None = None
    expand: float | None = None
    stride: int | None = None
    grouped: bool | None = None
    se: bool | None = None
    swish: bool | None = None
    activation: str | None = None
    int8: bool = False
    label: str = ""


def build_boxes(space: Space, architecture: Architecture) -> tuple[Box, ...]:
    """Return the boxes of a network's searched stages in order; a skipped layer that nothing replaces has none.

    Raises `ConfigError` or `UnknownNameError` for a network that is not in the space.
    """
    space.validate(architecture)
    at_setting = space.at(architecture.settings)
    boxes: list[Box] = []
    for stage, number in zip(at_setting.stages, architecture.blocks, strict=True):
        name = stage.label(number)
        for block, graph in _layers(stage.block(number), at_setting.input_shapes[stage.name]):
            if graph.layers:
                boxes.append(_box(stage.name, name, block, graph))
    return tuple(boxes)


def _layers(block: Block, shape: Shape) -> Iterator[tuple[Block, Graph]]:
    """Yield each layer of a block that has its own box, with its graph."""
    for part in _parts(block):
        if part is block:
            graph = lower(block, shape)
            yield block, graph
            shape = graph.output_shape
            continue
        for layer, graph in _layers(part, shape):
            yield layer, graph
            shape = graph.output_shape


def _parts(block: Block) -> tuple[Block, ...]:
    """Return the parts of a block that is a chain; the block alone for any other."""
    match block:
        case Int8Block(inner):
            parts = _parts(inner)
            return (block,) if parts == (inner,) else tuple(Int8Block(part) for part in parts)
        case Chain(blocks=named):
            return tuple(part for _, part in named)
        case Residual() if block.depth > 1:
            return (replace(block, depth=1), *[replace(block, depth=1, stride=1)] * (block.depth - 1))
    parts = tuple(getattr(block, "sections", lambda: (block,))())
    return parts if len(parts) > 1 else (block,)


def _box(stage: str, name: str, block: Block, graph: Graph) -> Box:
    """Return the box of one layer; its block determines the kind, its graph the numbers."""
    inner = block.block if isinstance(block, Int8Block) else block
    plain = Box(
        stage,
        "other",
        channels=graph.output_shape[0] if len(graph.output_shape) == 3 else None,
        int8=all(layer.dtype == "int8" for layer in graph.layers),
        label=name,
    )
    match inner:
        case InvertedResidual():
            return _bottleneck(plain, inner, graph)
        case Residual():
            return _residual(plain, graph)
        case Transformer():
            hidden = round(inner.mlp_ratio * inner.embedding)
            heads = f"{inner.heads} head{'' if inner.heads == 1 else 's'}"
            return replace(
                plain,
                kind="transformer",
                channels=inner.features,
                expand=hidden / inner.features,
                label=f"{inner.embedding} in {heads}",
            )
    if len(graph.layers) == 1 and graph.layers[0].operator == "conv":
        return _convolution(plain, graph.layers[0])
    return plain


def _bottleneck(box: Box, cell: InvertedResidual, graph: Graph) -> Box:
    spatial = next((layer for layer in graph.layers if layer.name.endswith("_spatial")), None)
    if spatial is None:
        return box  # a custom cell that overrides the layers: what it computes is unknown here
    conv = spatial.operator == "conv"
    settings = {} if conv else dict(getattr(spatial.module_spec, "settings", ()))  # of a torch module, if it has them
    return replace(
        box,
        kind="inverted_residual",
        kernel=spatial.kernel if conv else settings.get("kernel"),
        expand=spatial.in_shape[0] / graph.input_shape[0],
        stride=spatial.stride if conv else settings.get("stride"),
        grouped=spatial.groups != spatial.in_shape[0] if conv else None,
        se=any(layer.operator == "scale" for layer in graph.layers),
        swish=cell.activation == "swish",
        activation=cell.activation,
        label=_extra_label(cell, graph),
    )


def _residual(box: Box, graph: Graph) -> Box:
    """Return the box of a block of ResNet, whose hidden channels are those between its convolutions."""
    first = graph.layers[0]
    strides = [layer.stride for layer in graph.layers if layer.kernel > 1]
    return replace(
        box,
        kind="residual",
        kernel=max(layer.kernel for layer in graph.layers),
        expand=first.out_shape[0] / graph.input_shape[0],
        stride=max(strides),
        grouped=False,
        se=False,
        swish=False,
        activation="relu",
        label="",
    )


def _convolution(box: Box, layer: Layer) -> Box:
    return replace(
        box,
        kind="conv",
        kernel=layer.kernel,
        stride=layer.stride,
        grouped=1 < layer.groups < layer.in_shape[0],
        se=False,
        swish=layer.activation == "swish",
        activation=layer.activation,
        label="",
    )


def _extra_label(cell: InvertedResidual, graph: Graph) -> str:
    """Return what else distinguishes a bottleneck: torch modules, additional layers, 1x1 convolutions in groups."""
    words = []
    for layer in graph.layers:
        name = layer.name.rpartition("1_")[2]
        if layer.operator == "module":
            words.append(str(getattr(getattr(layer.module_spec, "factory", None), "__name__", name)).lower())
        elif name not in BOTTLENECK:
            words.append(name)
    if cell.pointwise_groups > 1:
        words.append(f"1x1 in {cell.pointwise_groups} groups")
    return ", ".join(words)
