"""The rules of convolutions, and how any product is added, with constant or computed weights."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxOp, Shape
from donna_hw.simulator.workload import Geometry

if TYPE_CHECKING:
    from donna_hw.simulator.onnx_frontend.workload_builder import WorkloadBuilder


def add_convolution(builder: WorkloadBuilder, op: OnnxOp, operands: tuple[int, int, int] = (0, 1, 2)) -> None:
    """Add a 1-D or 2-D convolution; `operands` are the indices of map, weights and bias."""
    graph, (x, w, b) = builder.graph, operands
    image, weights, out = (graph.shape(name, op) for name in (op.input(x), op.input(w), op.outputs[0]))
    groups, is_1d = op.int_attribute("group", 1), len(image) == 3
    if len(image) not in {3, 4}:
        raise ConfigError(
            f"{op.name}: the input of a convolution must be [batch, channels, (height,) width]", got=list(image)
        )
    if (
        not len(image) == len(weights) == len(out)
        or groups < 1
        or weights[1] * groups != image[1]
        or weights[0] % groups
    ):
        raise FileFormatError(
            f"{op.name}: the weights of a convolution must fit its input {list(image)} and its groups",
            got=list(weights),
        )
    if out[0] != image[0] or out[1] != weights[0]:
        raise FileFormatError(
            f"{op.name}: the output of a convolution must fit its batch and its filters", got=list(out)
        )
    strides, dilations = (_pair(op, name, is_1d) for name in ("strides", "dilations"))
    kernel, inside, outside = ((1, s[2]) if is_1d else (s[2], s[3]) for s in (weights, image, out))
    geometry = Geometry(image[0], image[1], *inside, out[1], *outside, *kernel, *strides, *dilations, groups)
    add_product(builder, op, geometry, (op.inputs[x], op.inputs[w]), bias=op.inputs[b] if b < len(op.inputs) else "")


def _pair(op: OnnxOp, name: str, is_1d: bool) -> tuple[int, int]:
    values = op.ints_attribute(name, (1,) if is_1d else (1, 1))
    if len(values) != (1 if is_1d else 2) or min(values) < 1:
        raise FileFormatError(
            f"{op.name}: the {name} of a convolution must be at least 1, one for each dimension", got=list(values)
        )
    return (1, values[0]) if is_1d else (values[0], values[1])


def add_transposed_convolution(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a transposed convolution as the product of each pixel with all weights of its channel, without the sums of overlaps."""
    graph = builder.graph
    image, weights, groups = graph.shape(op.input(0), op), graph.shape(op.input(1), op), op.int_attribute("group", 1)
    if len(image) not in {3, 4}:
        raise ConfigError(
            f"{op.name}: the input of a convolution must be [batch, channels, (height,) width]", got=list(image)
        )
    if len(weights) != len(image) or groups < 1 or weights[0] != image[1] or image[1] % groups:
        raise FileFormatError(
            f"{op.name}: the weights of a convolution must fit its input {list(image)} and its groups",
            got=list(weights),
        )
    size = (1, image[2]) if len(image) == 3 else (image[2], image[3])
    geometry = Geometry(image[0], image[1], *size, prod(weights[1:]) * groups, *size, groups=groups)
    add_product(builder, op, geometry, (op.inputs[0], op.inputs[1]), bias=op.inputs[2] if len(op.inputs) > 2 else "")


def add_product(
    builder: WorkloadBuilder,
    op: OnnxOp,
    geometry: Geometry,
    factors: tuple[str, str],
    *,
    bias: str,
    output: Shape | None = None,
) -> None:
    """Add a product; weights and bias that are not constants are read like the map.

    Args:
        builder: The workload under construction.
        op: The operator.
        geometry: The product.
        factors: Names of the two factors.
        bias: Name of the bias, "" for none.
        output: Shape of an output that is not in the model.
    """
    graph, biases = builder.graph, op.biases
    inputs = [name for name in (*factors, bias) if name and name not in graph.constants]
    if bias and bias in graph.constants and not biases:
        biases = graph.elements(bias, op)
    weights = sum(graph.elements(name, op) for name in factors if name in graph.constants)
    builder.add_array_node(op, geometry, inputs, weights=weights, biases=biases, output=output)
