"""Layers: the single description of a block, from which its torch module, its ONNX form and its counts are all built.

A block adds its layers to a `GraphBuilder`, and `lower` returns the finished `Graph` of `Layer`s. Shapes are (channels, height, width)
of one image, (features,) after the pool; the batch size belongs to the measurement, not to the block.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]

OPERATORS = ("conv", "linear", "max_pool", "global_pool", "flatten", "add", "scale")
ACTIVATIONS = ("none", "relu", "relu6", "swish", "hard_swish", "sigmoid", "hard_sigmoid")
DTYPES = ("float32", "int8")
INPUT = "input"
RESERVED = (INPUT, "output")


class ModuleSpec(Protocol):
    """What a layer of operator `module` computes: a torch module of one input.

    Equal specs compute the same up to their weights. `key` identifies what is computed; `macs` and `params` are counted for one image. A
    spec is hashable, and picklable because layers are sent to other processes.
    """

    @property
    def key(self) -> str: ...  # noqa: D102  see the class

    @property
    def macs(self) -> int: ...  # noqa: D102

    @property
    def params(self) -> int: ...  # noqa: D102

    def build(self) -> nn.Module:
        """Return a new module with random weights from torch's generator."""
        ...


@dataclass(frozen=True)
class Layer:
    """One operator with its activation, as a device runs it.

    Attributes:
        name: Unique within the graph.
        operator: One of `OPERATORS`, or `module`. `add` and `scale` take two inputs; `scale` multiplies a map by one gate per channel.
        inputs: Names of the layers that feed it, `input` for the block's own input.
        in_shape: Shape of the first input for one image.
        out_shape: Shape of the output for one image.
        kernel: Of a convolution or max pool. Padding is kernel // 2 on each side, so that stride 1 preserves the size.
        stride: Of a convolution or max pool.
        groups: Of a convolution.
        activation: One of `ACTIVATIONS`.
        batch_norm: Whether a batch-norm follows in training; it is folded into weights and bias wherever the layer is deployed.
        dtype: One of `DTYPES`. An `int8` layer reads and writes 8-bit numbers, has 8-bit weights, and is made from a trained float32 one.
        module_spec: What a `module` computes.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    in_shape: Shape
    out_shape: Shape
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    activation: str = "none"
    batch_norm: bool = False
    dtype: str = "float32"
    module_spec: ModuleSpec | None = None

    @property
    def weight_shape(self) -> Shape:
        """Shape of the weights in torch and ONNX; empty for a layer without weights, and for a `module`, which has its own."""
        if self.operator == "conv":
            return (self.out_shape[0], self.in_shape[0] // self.groups, self.kernel, self.kernel)
        if self.operator == "linear":
            return (self.out_shape[0], self.in_shape[0])
        return ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the weights for one image, none for biases, activations and pools; those of a `module` are counted."""
        if self.module_spec is not None:
            return self.module_spec.macs
        if self.operator == "conv":
            return prod(self.weight_shape) * self.out_shape[1] * self.out_shape[2]
        return prod(self.weight_shape) if self.operator == "linear" else 0

    @property
    def params(self) -> int:
        """Trainable parameters: weights, and a bias or the scale and shift of the batch-norm."""
        if self.module_spec is not None:
            return self.module_spec.params
        if not self.weight_shape:
            return 0
        return prod(self.weight_shape) + self.out_shape[0] * (2 if self.batch_norm else 1)


@dataclass(frozen=True)
class Graph:
    """The layers of a block or network, each after those that feed it; the last one's output is the graph's.

    A graph without layers passes its input on, as a skipped layer of a network does.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]

    @property
    def output_shape(self) -> Shape:
        """Shape of the last layer's output for one image."""
        return self.layers[-1].out_shape if self.layers else self.input_shape

    @property
    def output(self) -> str:
        """Name of the layer whose output is the graph's."""
        return self.layers[-1].name if self.layers else INPUT

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers for one image, by closed form."""
        return sum(layer.macs for layer in self.layers)

    @property
    def params(self) -> int:
        """Trainable parameters of all layers, by closed form."""
        return sum(layer.params for layer in self.layers)


def with_dtype(graph: Graph, dtype: str) -> Graph:
    """Return the graph with all layers of one type."""
    return Graph(graph.input_shape, tuple(replace(layer, dtype=dtype) for layer in graph.layers))


def graph_dtypes(graph: Graph) -> frozenset[str]:
    """Return the types of a graph's layers."""
    return frozenset(layer.dtype for layer in graph.layers)


_HASHED_BATCH_NORM, _HASHED_MODULE_SPEC = (
    "normalised",
    "made",
)  # keys in the hash of the first tables, which must stay valid


def layers_hash(graph: Graph) -> str:
    """Return 16 hexadecimal digits that identify what is computed, independent of the names of layers and axes."""
    indices = {INPUT: -1} | {layer.name: number for number, layer in enumerate(graph.layers)}
    rows = [
        vars(layer) | {"name": number, "inputs": [indices[x] for x in layer.inputs]}
        for number, layer in enumerate(graph.layers)
    ]
    for row, layer in zip(rows, graph.layers, strict=True):
        del row["module_spec"]  # hashed only where there is one: the first tables are older than modules
        row[_HASHED_BATCH_NORM] = row.pop("batch_norm")
        if layer.module_spec is not None:
            row[_HASHED_MODULE_SPEC] = layer.module_spec.key
    text = json.dumps([graph.input_shape, rows], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
