"""Default candidates for a stage of any convolutional network, from the shapes at its boundaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from donna_hw.errors import ConfigError
from donna_hw.graph.builder import Block
from donna_hw.graph.graph import Shape
from donna_hw.spaces.cells import InvertedResidual, Residual
from donna_hw.spaces.zoo.axes import STYLE

_HINT = "choose other boundaries, or pass custom blocks: space_from_model(..., blocks=...)"


def default_blocks(
    in_shape: Shape,
    out_shape: Shape,
    *,
    kernels: Sequence[int] = (3, 5),
    expands: Sequence[float] = (2, 4),
    depths: Sequence[int] = (1, 2),
    styles: Sequence[str] = ("relu", "swish_se"),
    cells: Sequence[str] = ("depthwise", "grouped"),
    widths: Sequence[float] = (),
) -> Mapping[str, Block]:
    """Return candidate blocks from maps of one shape to maps of another.

    The candidates are inverted residual bottlenecks of every combination, such as `k3-e2-d1-relu-depthwise`, and residual blocks, such as
    `res-w0.5-d1`. Their first bottleneck has the stride that the two sizes require.

    Args:
        in_shape: (channels, height, width) before the stage.
        out_shape: (channels, height, width) after the stage.
        kernels: Sizes of the spatial convolution.
        expands: Hidden channels per input channel.
        depths: Numbers of bottlenecks.
        styles: Values of the axis `STYLE`: activation and attention.
        cells: `depthwise`, `grouped` or both.
        widths: Inner channels of residual blocks of 3x3 convolutions, as fractions of the stage's; none by default.

    Returns:
        The candidates by label.

    Raises:
        ConfigError: If no stride leads from one size to the other, or a boundary has no map.
    """
    stride = _stride(in_shape, out_shape)
    blocks: dict[str, Block] = {}
    for kernel, expand, depth, style, cell in product(kernels, expands, depths, styles, cells):
        settings = STYLE.cell_settings(style)
        blocks[f"k{kernel}-e{expand:g}-d{depth}-{style}-{cell}"] = InvertedResidual(
            out_shape[0],
            stride,
            kernel,
            expand,
            depth,
            activation=str(settings["activation"]),
            attention=str(settings["attention"]),
            cell=cell,
        )
    for width, depth in product(widths, depths):
        hidden = max(1, round(width * out_shape[0]))
        blocks[f"res-w{width:g}-d{depth}"] = Residual(out_shape[0], stride, hidden, depth)
    return blocks


def _stride(in_shape: Shape, out_shape: Shape) -> int:
    if len(in_shape) != 3 or len(out_shape) != 3:
        raise ConfigError(
            "the default blocks need maps (channels, height, width) before and after a stage",
            got=f"{in_shape} to {out_shape}",
            hint=_HINT,
        )
    for stride in range(1, max(in_shape[1:]) + 1):
        if all(-(-size // stride) == target for size, target in zip(in_shape[1:], out_shape[1:], strict=True)):
            return stride
    raise ConfigError(
        "no stride of the default blocks leads from the size before a stage to the size after it",
        got=f"{in_shape[1:]} to {out_shape[1:]}",
        hint=_HINT,
    )
