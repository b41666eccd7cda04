"""Convolutions: their rules, and how any product is added whose weights are constants, or are not."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxOp, Shape
from donna_hw.simulator.workload import Geometry

if TYPE_CHECKING:
    from donna_hw.simulator.onnx_frontend.workload_builder import WorkloadBuilder


def add_convolution(builder: WorkloadBuilder, op: OnnxOp, operands: tuple[int, int, int] = (0, 1, 2)) -> None:
    """Add a convolution on a line or a map. operands: the places of map, weights and bias."""
    net, (x, w, b) = builder.graph, operands
    image, weights, out = net.shape(op.input(x), op), net.shape(op.input(w), op), net.shape(op.outputs[0], op)
    groups, line = op.int_attribute("group", 1), len(image) == 3
    if len(image) not in {3, 4}:
        raise ConfigError(
            "a convolution must be on a line or a map, [batch, channels, (height,) width]",
            got=f"{op.name}: {list(image)}",
        )
    if (
        not len(image) == len(weights) == len(out)
        or groups < 1
        or weights[1] * groups != image[1]
        or weights[0] % groups
    ):
        raise FileFormatError(
            f"the weights {list(weights)} of a convolution must fit its input and groups",
            got=f"{op.name}: {list(image)}",
        )
    if out[0] != image[0] or out[1] != weights[0]:
        raise FileFormatError(
            f"the output of a convolution must have its batch and its filters: {op.name}", got=list(out)
        )
    strides, dilations = (_pair(op, name, line) for name in ("strides", "dilations"))
    kernel, inside, outside = ((1, s[2]) if line else (s[2], s[3]) for s in (weights, image, out))
    geometry = Geometry(image[0], image[1], *inside, out[1], *outside, *kernel, *strides, *dilations, groups)
    add_product(builder, op, geometry, (op.inputs[x], op.inputs[w]), bias=op.inputs[b] if b < len(op.inputs) else "")


def _pair(op: OnnxOp, name: str, line: bool) -> tuple[int, int]:
    values = op.ints_attribute(name, (1,) if line else (1, 1))
    if len(values) != (1 if line else 2) or min(values) < 1:
        raise FileFormatError(
            f"the {name} of a convolution must be one number of 1 or more a dimension",
            got=f"{op.name}: {list(values)}",
        )
    return (1, values[0]) if line else (values[0], values[1])


def add_transposed_convolution(builder: WorkloadBuilder, op: OnnxOp) -> None:
    """Add a transposed convolution as the product of each pixel with all weights of its channel; adding up the overlaps is left out."""
    net = builder.graph
    image, weights, groups = net.shape(op.input(0), op), net.shape(op.input(1), op), op.int_attribute("group", 1)
    if len(image) not in {3, 4}:
        raise ConfigError(
            "a convolution must be on a line or a map, [batch, channels, (height,) width]",
            got=f"{op.name}: {list(image)}",
        )
    if len(weights) != len(image) or groups < 1 or weights[0] != image[1] or image[1] % groups:
        raise FileFormatError(
            f"the weights {list(weights)} of a convolution must fit its input and groups",
            got=f"{op.name}: {list(image)}",
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
    """Add a product whose weights and bias are constants, or are read like the map where they are not."""
    net, biases = builder.graph, op.biases
    inputs = [name for name in (*factors, bias) if name and name not in net.constants]
    if bias and bias in net.constants and not biases:
        biases = net.elements(bias, op)
    weights = sum(net.elements(name, op) for name in factors if name in net.constants)
    builder.add_array_node(op, geometry, inputs, weights=weights, biases=biases, output=output)
