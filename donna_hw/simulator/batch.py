"""Batch: workloads of one structure as arrays, so that a thousand blocks are simulated by the numpy calls of one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from donna_hw.simulator.hardware import ELEMENT_BYTES, Hardware
from donna_hw.simulator.workload import Geometry, Node, Workload

Numbers = np.ndarray
ACCUMULATOR_BYTES = 4  # of a partial sum and of a bias


def structure(workload: Workload) -> tuple[object, ...]:
    """Return what two workloads must share to be simulated together: everything but sizes."""
    tensors = workload.tensors
    nodes = tuple(
        (
            node.kind,
            node.function,
            node.inputs,
            node.outputs,
            node.elementwise,
            node.precision,
            node.weights > 0,
            _shape_class(node.geometry),
            tuple(tensors[x].elements == tensors[node.outputs[0]].elements for x in node.inputs)
            if node.elementwise
            else None,
        )
        for node in workload.nodes
    )
    return nodes, tuple(tensor.precision for tensor in tensors), workload.inputs, workload.outputs


def _shape_class(g: Geometry | None) -> int:
    """Return what decides how a product is laid out and whether it can go strip by strip."""
    if g is None:
        return -1
    kind = 0 if g.groups == 1 else 1 if g.groups == g.in_channels else 2
    return kind + 3 * (g[7:11] == (1, 1, 1, 1))  # kernel and stride


class Batch:
    """Workloads of one structure. Arrays have a row a workload and one column, ready to be set against candidates."""

    def __init__(self, workloads: Sequence[Workload], hardware: Hardware) -> None:
        self.workloads, self.hardware = workloads, hardware
        self.first = workloads[0]

    def __len__(self) -> int:
        return len(self.workloads)

    @cached_property
    def tensor_bytes(self) -> Numbers:
        """Bytes of every activation in memory, its channels padded; float [n, tensors]."""
        sizes = np.array([[t[:2] for t in w.tensors] for w in self.workloads], np.float64)
        elements, channels = sizes[..., 0], np.maximum(sizes[..., 1], 1)
        multiple = self.hardware.memory.channel_multiple
        padded = elements / channels * (np.ceil(channels / multiple) * multiple)
        return np.asarray(np.ceil(padded) * [self.element_bytes(t.precision) for t in self.first.tensors])

    @cached_property
    def elements(self) -> Numbers:
        """Elements of every activation, float [n, tensors]."""
        return np.array([[t[0] for t in w.tensors] for w in self.workloads], np.float64)

    def bytes_of(self, tensor: int) -> Numbers:
        """Return a tensor's bytes, float [n, 1]."""
        return self.tensor_bytes[:, tensor, None]

    def node(self, number: int) -> Node:
        """Return a node of the first workload, for what all share."""
        return self.first.nodes[number]

    def geometry(self, number: int) -> Geometry:
        """Return the geometry of an array node with arrays [n, 1] for its fields."""
        table = np.array([w.nodes[number].geometry for w in self.workloads], np.float64)
        return Geometry(*table.T[:, :, None])  # type: ignore[arg-type]  arrays in the place of whole numbers

    def work(self, number: int) -> Numbers:
        """Return the elements that a vector node works through, float [n, 1]."""
        return np.array([[w.nodes[number].work] for w in self.workloads], np.float64)

    def weight_bytes(self, number: int) -> tuple[Numbers, Numbers]:
        """Return the bytes of a node's weights and biases in DRAM and on the chip, float [n, 1] each."""
        counts = np.array([w.nodes[number][7:9] for w in self.workloads], np.float64)
        weights = counts[:, :1] * self.element_bytes(self.node(number).precision)
        biases = counts[:, 1:] * ACCUMULATOR_BYTES
        return np.ceil(weights * self.hardware.memory.weight_compression) + biases, weights + biases

    def element_bytes(self, precision: str) -> int:
        """Return the bytes of an element; "" is the hardware's precision."""
        return ELEMENT_BYTES[precision or self.hardware.precision]

    def macs_rate(self, number: int) -> float:
        """Return the multiply-accumulates an element of the array does in a cycle for this node."""
        return self.hardware.macs_per_element(self.node(number).precision or self.hardware.precision)
