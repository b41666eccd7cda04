"""Tiles: what a step computes, moves and keeps on the chip, for each way in which it can be cut; arrays [n, candidates]."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from donna_hw.simulator import array as systolic
from donna_hw.simulator.batch import ACCUMULATOR_BYTES, GeometryArrays, TileRunBatch
from donna_hw.simulator.fusion import is_depthwise
from donna_hw.simulator.tile_sizes import (
    BY_STRIPS,
    WEIGHTS_RESIDENT,
    Tile,
    enumerate_tiles,
    input_cols,
    input_rows,
    reread_factor,
)

FloatArray = np.ndarray
SPLITS = (1, 2, 4, 8, 16, 64, 512, 2**13, 2**20)  # of a vector operator


@dataclass(frozen=True)
class Transfer:
    """How a tensor is moved: bytes in all, and bytes that lie on the chip while it passes through."""

    dram_bytes: FloatArray
    sram_bytes: FloatArray


@dataclass(frozen=True)
class UnitCycles:
    """Cycles of a tile in each unit, and what the operands of all tiles take from the memories of the chip, in bytes."""

    array: FloatArray
    output: FloatArray
    vector: FloatArray
    sram: FloatArray
    operand_bytes: FloatArray

    @property
    def longest(self) -> FloatArray:
        """Cycles of a tile: the units work at the same time."""
        return np.asarray(np.maximum.reduce(np.broadcast_arrays(self.array, self.output, self.vector, self.sram)))


@dataclass(frozen=True)
class Tiling:
    """Candidates of a step.

    tiles: how many. compute: cycles of one. units: of each head, for a tile. reads, writes: by tensor. held_bytes: weights fetched before
    the first tile, in DRAM's bytes; streamed_bytes: those fetched tile by tile. buffer_bytes: weights on the chip; whole_buffer_bytes: were
    all of them held. sums_bytes: in the accumulators. inner_bytes: strips between the heads of a group. cut: for people, sizes by name.
    """

    tiles: FloatArray
    tile_cycles: FloatArray
    units: tuple[UnitCycles, ...]
    reads: dict[int, Transfer]
    writes: dict[int, Transfer]
    resident_weight_bytes: FloatArray
    streamed_weight_bytes: FloatArray
    weight_buffer_bytes: FloatArray
    full_weight_buffer_bytes: FloatArray
    accumulator_bytes: FloatArray
    inner_bytes: FloatArray
    tile_sizes: dict[str, FloatArray] = field(default_factory=dict)


def array_tiling(rows: TileRunBatch) -> Tiling:
    """Return the candidates of one array operator with what is fused to it.

    Orders: `WEIGHTS_RESIDENT`, all weights are fetched once and stay; `BY_STRIPS`, each strip of the map stays while the weights stream by, again for
    every strip; `BY_CHANNELS`, each block of weights stays while the map streams by, again for every block. Where the depth is cut into
    chunks, both are fetched again.
    """
    step = rows.step
    head = step.heads[0]
    g = rows.geometry(head)
    order, cut = enumerate_tiles(g, rows.hardware.array.cols)
    tiles, chunked = cut.tiles, cut.chunks > 1
    held = (order == WEIGHTS_RESIDENT) | (
        cut.blocks * cut.chunks == 1
    )  # one block of weights has to be there before the first tile
    by_strips = ~held & (order == BY_STRIPS)
    units, sums = unit_cycles(rows, head, step.fused_vector_nodes[0], g, cut)
    dram, chip = rows.weight_bytes(head)
    passes = np.where(held, 1, np.where(by_strips | chunked, cut.strips, 1))  # over all weights
    part_of_weights = cut.blocks * cut.chunks
    none, twice = np.zeros_like(tiles), np.where(cut.strips * cut.blocks > 1, 2, 1)
    out_part = cut.pixels * cut.groups * cut.block / g.outputs
    reads = {step.maps[0]: _map_transfer(rows.tensor_bytes(step.maps[0]), g, cut, ~held & ~by_strips)}
    reads |= {tensor: operand_transfer(rows, tensor, out_part, twice) for tensor in step.operands}
    for tensor in step.factor:  # weights that are themselves computed come by the way of the map
        size = rows.tensor_bytes(tensor)
        reads[tensor] = Transfer(
            size * passes, np.where(held, size, np.minimum(2 * np.ceil(size / part_of_weights), size))
        )
    return Tiling(
        tiles=tiles,
        tile_cycles=units.longest,
        units=(units,),
        reads=reads,
        writes={t: tiled_transfer(rows.tensor_bytes(t), out_part, twice) for t in step.writes},
        resident_weight_bytes=np.where(held, dram, 0),
        streamed_weight_bytes=np.where(held, 0, dram * passes),
        weight_buffer_bytes=np.where(held, chip, np.minimum(2 * np.ceil(chip / part_of_weights), chip)),
        full_weight_buffer_bytes=chip + none,
        accumulator_bytes=np.where(chunked, cut.pixels * cut.block, sums) * ACCUMULATOR_BYTES,
        inner_bytes=none,
        tile_sizes={
            "rows": cut.images * cut.rows,
            "columns": cut.cols,
            "channels": cut.groups * cut.block,
            "depth": np.where(chunked, cut.depth, 0),
            "order": np.where(held, WEIGHTS_RESIDENT, order + none),
        },
    )


def _map_transfer(size: FloatArray, g: GeometryArrays, cut: Tile, by_channels: FloatArray) -> Transfer:
    """Return how the map is moved: once by strips, with what neighbours share; by channels, again for each block of the same channels."""
    same = np.ceil(cut.blocks / cut.group_blocks)
    again = np.where(by_channels & ((cut.strips > 1) | (cut.chunks > 1)), same, 1)
    part = cut.images * input_rows(g, cut.rows) * input_cols(g, cut.cols) / (g.batch * g.in_height * g.in_width)
    part = part * cut.groups * cut.depth / g.in_channels
    twice = np.where(cut.strips * cut.group_blocks * cut.chunks > 1, 2, 1)
    return Transfer(
        np.ceil(size * reread_factor(g, cut.row_strips, cut.col_strips)) * again, np.ceil(size * part) * twice
    )


def tiled_transfer(size: FloatArray, part: FloatArray, twice: FloatArray) -> Transfer:
    """Return how a tensor is moved that is moved once, in parts; twice: 2 where it is double-buffered."""
    return Transfer(size + np.zeros_like(part), np.ceil(size * part) * twice)


def operand_transfer(rows: TileRunBatch, tensor: int, part: FloatArray, twice: FloatArray) -> Transfer:
    """Return how an operand beside is moved: along with the output's tiles, or, where it broadcasts, held whole."""
    size = rows.tensor_bytes(tensor)
    if (rows.tensor_elements(tensor) == rows.tensor_elements(rows.step.writes[0])).all():
        return tiled_transfer(size, part, twice)
    return Transfer(size + np.zeros_like(part), size + np.zeros_like(part))


def unit_cycles(
    rows: TileRunBatch, head: int, behind: tuple[int, ...], g: GeometryArrays, cut: Tile
) -> tuple[UnitCycles, FloatArray]:
    """Return the cycles of a tile in each unit, and how many partial sums wait at a time."""
    hardware, node, tiles = rows.hardware, rows.node(head), cut.tiles
    mode = "per_group"
    if node.weights and node.geometry and node.geometry.groups > 1:
        mode = hardware.array.depthwise if is_depthwise(node.geometry) else hardware.array.grouped
    product = systolic.Product(cut.pixels, cut.block, g.taps, cut.depth, cut.groups)
    size, outputs = rows.element_bytes(head), product.m * product.n * product.groups
    vector = vector_cycles(rows, behind, tiles)
    if mode == "vector":
        macs = outputs * product.k
        vector = vector + np.ceil(macs / hardware.vector.lanes * hardware.vector.element_cycles("mac"))
        in_array, streamed, operands = np.zeros_like(tiles), macs * size, 2 * macs * size
        waiting = np.zeros_like(tiles)
    else:
        laid = systolic.map_to_array(product, hardware.array, mode)
        folded = systolic.count_folds(laid, hardware.array)
        in_array = systolic.count_cycles(laid, hardware.array, rows.macs_per_element(head), tiles == 1, folded)
        words = systolic.count_operands(laid, hardware.array, folded)
        waiting = systolic.count_partial_sums(laid, hardware.array, folded)
        sum_bytes = np.where(words.sums > laid.m * laid.n * laid.groups, ACCUMULATOR_BYTES, size)
        streamed, operands = words.maps * size, (words.maps + words.weights) * size + words.sums * sum_bytes
    # fewer where products overlap: a transposed convolution
    written = outputs * (rows.tensor_elements(node.outputs[0]) / g.outputs) / cut.chunks
    units = UnitCycles(
        in_array,
        np.ceil(written / hardware.output.elements_per_cycle),
        vector,
        np.ceil((streamed + written * size) / hardware.memory.sram_bytes_per_cycle),
        operands * tiles,
    )
    return units, waiting


def vector_cycles(rows: TileRunBatch, nodes: tuple[int, ...], tiles: FloatArray) -> FloatArray:
    """Return the vector unit's cycles for a tile of elementwise nodes."""
    vector, total = rows.hardware.vector, np.zeros_like(tiles)
    for number in nodes:
        lanes = np.ceil(np.ceil(rows.vector_work(number) / tiles) / vector.lanes)
        total += lanes * vector.element_cycles(rows.node(number).function)
    return np.asarray(np.ceil(total))


def vector_tiling(rows: TileRunBatch) -> Tiling:
    """Return the candidates of a vector operator with what is fused to it: cut into equal parts of all that it reads and writes."""
    step = rows.step
    most = np.maximum(rows.tensor_elements(step.writes[0]), 1)
    tiles = np.minimum(np.array([SPLITS], np.float64), most)
    none, twice, part = np.zeros_like(tiles), np.where(tiles > 1, 2, 1), 1 / tiles
    cycles = vector_cycles(rows, (step.heads[0], *step.fused_vector_nodes[0]), tiles)
    operands = sum((rows.tensor_bytes(t) for t in (*step.reads, *step.writes)), none)
    units = UnitCycles(
        none, none, cycles, np.ceil(operands * part / rows.hardware.memory.sram_bytes_per_cycle), operands
    )
    reads = {t: tiled_transfer(rows.tensor_bytes(t), part, twice) for t in step.maps}
    reads |= {t: operand_transfer(rows, t, part, twice) for t in step.operands}
    writes = {t: tiled_transfer(rows.tensor_bytes(t), part, twice) for t in step.writes}
    return Tiling(tiles, units.longest, (units,), reads, writes, none, none, none, none, none, none, {"parts": tiles})
