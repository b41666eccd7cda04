"""Workload: the work of a network on a tensor unit, of two kinds: products for the array, elements for the vector unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Tensor(NamedTuple):
    """An activation: its elements, `channels` of them contiguous, and its precision ("" for the hardware's)."""

    elements: int
    channels: int
    precision: str = ""


class Geometry(NamedTuple):
    """A product of the array, as a grouped 2-D convolution; sizes are of one image, and `batch` is the number of images.

    A matrix product of m x k by k x n is a convolution of k channels to n on a map of m x 1. A batch of products of two activations has
    a group for each product. A 1-D convolution has a height of 1.
    """

    batch: int
    in_channels: int
    in_height: int
    in_width: int
    out_channels: int
    out_height: int
    out_width: int
    kernel_height: int = 1
    kernel_width: int = 1
    stride_height: int = 1
    stride_width: int = 1
    dilation_height: int = 1
    dilation_width: int = 1
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole batch."""
        taps = self.kernel_height * self.kernel_width * (self.in_channels // self.groups)
        return self.batch * self.out_height * self.out_width * self.out_channels * taps


class Node(NamedTuple):
    """One operator. Tensors are indices into the workload's `tensors`; a view is not a node, and its tensor is that of its input.

    Attributes:
        kind: `array` or `vector`.
        function: Of a vector node, the key of its cost (`relu`, `add`, `softmax`, `move`, ...); else "".
        name: The operator's name in the model.
        op_type: Its type in the model.
        inputs: Of an array node the map, then the second factor if the weights are computed (`weights` is 0), then all else that it
            reads, such as a computed bias or mask.
        outputs: One or more.
        geometry: Of an array node.
        weights: Elements of constant weights.
        biases: Elements of the bias.
        work: Elements that a vector node processes.
        elementwise: Whether the output has the shape of input 0 and each element depends only on its own (and on what broadcasts onto
            it), so that the node can run on tiles of its producer.
        precision: "" for the hardware's.
    """

    kind: str
    function: str
    name: str
    op_type: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    geometry: Geometry | None = None
    weights: int = 0
    biases: int = 0
    work: int = 0
    elementwise: bool = False
    precision: str = ""


@dataclass(frozen=True)
class Workload:
    """A network: its activations and its operators, each after those that feed it.

    Attributes:
        tensors: The activations.
        nodes: The operators.
        inputs: Indices of the network's inputs.
        outputs: Indices of the network's outputs.
        unknown_ops: Names of operators without a rule, whose cost is that of moving their data.
        free_ops: Names of operators that cost nothing, since they only rename data or depend only on constants.
    """

    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    unknown_ops: tuple[str, ...] = ()
    free_ops: tuple[str, ...] = ()
