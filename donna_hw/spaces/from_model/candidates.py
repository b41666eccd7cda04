"""Stock blocks: candidates for a stage of any convolutional network, by the shapes at its borders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from donna_hw.errors import ConfigError
from donna_hw.graph.builder import Block
from donna_hw.graph.graph import Shape
from donna_hw.spaces.cells import InvertedResidual, Residual
from donna_hw.spaces.zoo.axes import STYLE


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
    """Return candidates from maps of `in_shape` to maps of `out_shape`, (channels, height, width), by label.

    Inverted residual bottlenecks of every combination, such as `k3-e2-d1-relu-depthwise`. widths: residual blocks of two 3x3 convolutions
    beside them, `res-w0.5-d1`, their inner channels that share of the stage's. The stride, of the first bottleneck, is what takes
    one size to the other; raises `ConfigError` where no stride does, or a border is no map.
    """
    stride = _stride(in_shape, out_shape)
    found: dict[str, Block] = {}
    for kernel, expand, depth, style, cell in product(kernels, expands, depths, styles, cells):
        settings = STYLE.cell_settings(style)
        found[f"k{kernel}-e{expand:g}-d{depth}-{style}-{cell}"] = InvertedResidual(
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
        found[f"res-w{width:g}-d{depth}"] = Residual(out_shape[0], stride, hidden, depth)
    return found


def _stride(in_shape: Shape, out_shape: Shape) -> int:
    if len(in_shape) != 3 or len(out_shape) != 3:
        raise ConfigError(
            "stock blocks take maps to maps, (channels, height, width)",
            got=f"{in_shape} to {out_shape}",
            hint="cut elsewhere, or give blocks of your own: stages_from(..., blocks=...)",
        )
    for stride in range(1, max(in_shape[1:]) + 1):
        if all(-(-size // stride) == wanted for size, wanted in zip(in_shape[1:], out_shape[1:], strict=True)):
            return stride
    raise ConfigError(
        "a stock block's stride must take the size before it to the size after it",
        got=f"{in_shape[1:]} to {out_shape[1:]}",
        hint="cut elsewhere, or give blocks of your own: stages_from(..., blocks=...)",
    )
