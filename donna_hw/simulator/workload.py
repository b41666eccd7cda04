"""Workload: what a network asks of a tensor unit, in the two kinds of work it has: products for the array, elements for the vector unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Tensor(NamedTuple):
    """An activation: its elements, of which `channels` lie side by side, and its precision ("": the hardware's)."""

    elements: int
    channels: int
    precision: str = ""


class Geometry(NamedTuple):
    """A product of the array, as a grouped 2-D convolution; sizes are of one image, `batch` says how many.

    A matrix product of m x k by k x n is a convolution of k channels to n on a map of m x 1; a batch of products of two activations has
    a group for each. A 1-D convolution has a height of 1.
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
    """One operator. Tensors are numbers into the workload's `tensors`; views are no nodes, their tensor is their input's.

    kind: `array` or `vector`. function: of a vector node, the key of its cost (`relu`, `add`, `softmax`, `move`, ...); else "".
    inputs: of an array node the map, then, where the weights are themselves computed (`weights` 0), the second factor, then what else it
    reads, such as a computed bias or mask.
    outputs: one or more. geometry: of an array node. weights: elements of constant weights. biases: elements of the bias.
    work: elements that a vector node works through. elementwise: the output has the shape of input 0, and each element needs only its own
    (and what broadcasts onto it): the node can run on tiles of its producer.
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

    inputs, outputs: numbers of the network's own tensors. unknown_ops: names of operators that are costed as data movement for want of
    a rule. free_ops: names of operators that cost nothing, since they only rename data or depend on constants alone.
    """

    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    unknown_ops: tuple[str, ...] = ()
    free_ops: tuple[str, ...] = ()
