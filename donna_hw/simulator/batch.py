"""Workloads of one structure as arrays, so that a thousand blocks, or all blocks of a network, need the numpy calls of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from donna_hw.simulator.hardware import ELEMENT_BYTES, Hardware
from donna_hw.simulator.schedule_graph import TileRun
from donna_hw.simulator.workload import Geometry, Node, Workload

FloatArray = np.ndarray
ACCUMULATOR_BYTES = 4  # of a partial sum and of a bias


def structure_key(workload: Workload) -> tuple[object, ...]:
    """Return what two workloads must share to be simulated together: everything except sizes."""
    sizes = [tensor[0] for tensor in workload.tensors]
    nodes = []
    for node in workload.nodes:
        shared: tuple[object, ...] = node[:2] + node[4:6] + node[10:]  # kind, function, tensors, elementwise, precision
        if node[6] is not None:
            shared += (node[7] > 0, _shape_class(node[6]))
        elif node[10] and len(node[4]) > 1:
            size = sizes[node[5][0]]
            shared += tuple([sizes[x] == size for x in node[4]])
        nodes.append(shared)
    return tuple(nodes), tuple([tensor[2] for tensor in workload.tensors]), workload.inputs, workload.outputs


def _shape_class(g: Geometry) -> int:
    """Return what determines how a product is laid out and whether it can run strip by strip."""
    kind = 0 if g[13] == 1 else 1 if g[13] == g[1] else 2  # groups, channels
    return kind + 3 * (g[7:11] == (1, 1, 1, 1))  # kernel and stride


@dataclass(frozen=True)
class GeometryArrays:
    """The geometry of one array node in every workload: `Geometry` with an array [n, 1] for each field."""

    batch: FloatArray
    in_channels: FloatArray
    in_height: FloatArray
    in_width: FloatArray
    out_channels: FloatArray
    out_height: FloatArray
    out_width: FloatArray
    kernel_height: FloatArray
    kernel_width: FloatArray
    stride_height: FloatArray
    stride_width: FloatArray
    dilation_height: FloatArray
    dilation_width: FloatArray
    groups: FloatArray

    @cached_property
    def taps(self) -> FloatArray:
        """Positions of the kernel."""
        return np.asarray(self.kernel_height * self.kernel_width)

    @cached_property
    def columns(self) -> FloatArray:
        """Output channels of a group."""
        return np.asarray(self.out_channels / self.groups)

    @cached_property
    def depth(self) -> FloatArray:
        """Input channels of a group."""
        return np.asarray(self.in_channels / self.groups)

    @cached_property
    def outputs(self) -> FloatArray:
        """Results of the product, of the whole batch."""
        return np.asarray(self.batch * self.out_channels * self.out_height * self.out_width)


class WorkloadBatch:
    """Workloads of one structure, as tables with a row for each."""

    def __init__(self, workloads: Sequence[Workload], hardware: Hardware) -> None:
        self.workloads, self.hardware = workloads, hardware
        self.first = workloads[0]

    def __len__(self) -> int:
        return len(self.workloads)

    @cached_property
    def sizes(self) -> FloatArray:
        """Elements and channels of every activation, float [n, tensors, 2]."""
        return self._table((w.tensors for w in self.workloads), itemgetter(0, 1), 2)

    @cached_property
    def tensor_bytes(self) -> FloatArray:
        """Bytes of every activation in memory, its channels padded; float [n, tensors]."""
        elements, channels = self.sizes[..., 0], np.maximum(self.sizes[..., 1], 1)
        multiple = self.hardware.memory.channel_multiple
        padded = elements / channels * (np.ceil(channels / multiple) * multiple)
        return np.asarray(np.ceil(padded) * [self.element_bytes(t.precision) for t in self.first.tensors])

    @cached_property
    def shapes(self) -> FloatArray:
        """The geometry of every array node, float [n, array nodes, 14]."""
        nodes = ([w.nodes[number] for number in self.array_nodes] for w in self.workloads)
        return self._table(nodes, itemgetter(6), len(Geometry._fields))

    @cached_property
    def array_nodes(self) -> dict[int, int]:
        """{node: index among the array nodes}."""
        numbers = [number for number, node in enumerate(self.first.nodes) if node.kind == "array"]
        return {number: index for index, number in enumerate(numbers)}

    @cached_property
    def counts(self) -> FloatArray:
        """Weights, biases and work of every node, float [n, nodes, 3]."""
        return self._table((w.nodes for w in self.workloads), itemgetter(7, 8, 9), 3)

    def _table(self, items: Iterable[Iterable[Any]], numbers: Callable[[Any], Iterable[int]], count: int) -> FloatArray:
        """Return `count` numbers of each item of each workload, float [n, items, count]; without a Python loop, for speed."""
        flat = chain.from_iterable(map(numbers, chain.from_iterable(items)))
        return np.fromiter(flat, np.float64).reshape(len(self), -1, count)

    @cached_property
    def weight_bytes(self) -> tuple[FloatArray, FloatArray]:
        """Bytes of every node's weights and biases in DRAM and on the chip, float [n, nodes] each."""
        weights = self.counts[..., 0] * [self.element_bytes(node.precision) for node in self.first.nodes]
        biases = self.counts[..., 1] * ACCUMULATOR_BYTES
        return np.ceil(weights * self.hardware.memory.weight_compression) + biases, weights + biases

    def element_bytes(self, precision: str) -> int:
        """Return the bytes of an element; "" is the hardware's precision."""
        return ELEMENT_BYTES[precision or self.hardware.precision]


class TileRunBatch:
    """Runs of equal structure, of all workloads of a batch; runs of equal sizes share a row.

    Nodes and tensors have the numbers of the first run. Arrays are [rows, 1], to broadcast against candidates.

    Args:
        batch: The workloads.
        runs: The runs.
        prefetch_bytes: Bytes in DRAM and on the chip of nothing, and of the weights of each run that may follow, [2, rows, next].

    Attributes:
        row_indices: The row of each run of each workload, [runs, workloads].
    """

    def __init__(self, batch: WorkloadBatch, runs: Sequence[TileRun], prefetch_bytes: FloatArray) -> None:
        self.batch, self.runs, self.hardware, self.step = batch, runs, batch.hardware, runs[0].step
        self._nodes = dict(zip(runs[0].nodes, zip(*(run.nodes for run in runs), strict=True), strict=True))
        self._tensors = dict(zip(runs[0].tensors, zip(*(run.tensors for run in runs), strict=True), strict=True))
        self._bytes: dict[int, FloatArray] = {}
        self._first = np.arange(len(runs) * len(batch))
        sizes = [self._gather(batch.sizes, tensors) for tensors in self._tensors.values()]
        sizes += [self._gather(batch.counts, nodes) for nodes in self._nodes.values()]
        sizes += [
            self._gather(batch.shapes, self._array_indices(node)) for node in self._nodes if node in batch.array_nodes
        ]
        table = np.concatenate([*(size[:, 0] for size in sizes), *prefetch_bytes], axis=1)
        row_bytes = table.view(np.dtype((np.void, table.shape[1] * table.itemsize)))[:, 0]
        _, self._first, rows = np.unique(row_bytes, return_index=True, return_inverse=True)
        self.prefetch_bytes, self.row_indices = prefetch_bytes[:, self._first], rows.reshape(len(runs), len(batch))

    def _gather(self, table: FloatArray, numbers: tuple[int, ...]) -> FloatArray:
        """Return the columns of these numbers stacked, one row for each size; float [rows, 1, ...]."""
        return np.swapaxes(table[:, numbers], 0, 1).reshape(-1, 1, *table.shape[2:])[self._first]

    def node(self, number: int) -> Node:
        """Return a node of the first workload, for properties that all rows share."""
        return self.batch.first.nodes[number]

    def tensor_bytes(self, tensor: int) -> FloatArray:
        """Return a tensor's bytes in memory."""
        if tensor not in self._bytes:
            self._bytes[tensor] = self._gather(self.batch.tensor_bytes, self._tensors[tensor])
        return self._bytes[tensor]

    def tensor_elements(self, tensor: int) -> FloatArray:
        """Return a tensor's elements."""
        return self._gather(self.batch.sizes[..., 0], self._tensors[tensor])

    def geometry(self, node: int) -> GeometryArrays:
        """Return the geometry of an array node."""
        return GeometryArrays(*np.moveaxis(self._gather(self.batch.shapes, self._array_indices(node)), 2, 0))

    def _array_indices(self, node: int) -> tuple[int, ...]:
        """Return the indices of a node among the array nodes, one for each run."""
        return tuple(self.batch.array_nodes[number] for number in self._nodes[node])

    def vector_work(self, node: int) -> FloatArray:
        """Return the elements that a vector node processes."""
        return self._gather(self.batch.counts[..., 2], self._nodes[node])

    def weight_bytes(self, node: int) -> tuple[FloatArray, FloatArray]:
        """Return the bytes of a node's weights and biases in DRAM and on the chip."""
        dram, chip = (self._gather(table, self._nodes[node]) for table in self.batch.weight_bytes)
        return dram, chip

    def element_bytes(self, node: int) -> int:
        """Return the bytes of an operand of a node."""
        return self.batch.element_bytes(self.node(node).precision)

    def macs_per_element(self, node: int) -> float:
        """Return the multiply-accumulates of an element of the array in a cycle for a node."""
        return self.hardware.macs_per_element(self.node(node).precision or self.hardware.precision)
