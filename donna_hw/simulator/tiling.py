"""Tilings: what a step computes, moves and stores on the chip for each candidate division into tiles; arrays [n, candidates]."""

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
    """The transfer of a tensor: bytes moved in total, and bytes that it occupies on the chip meanwhile."""

    dram_bytes: FloatArray
    sram_bytes: FloatArray


@dataclass(frozen=True)
class UnitCycles:
    """Cycles of a tile in each unit, and bytes that the operands of all tiles read from the on-chip memories."""

    array: FloatArray
    output: FloatArray
    vector: FloatArray
    sram: FloatArray
    operand_bytes: FloatArray

    @property
    def longest(self) -> FloatArray:
        """Cycles of a tile, since the units work at the same time."""
        return np.asarray(np.maximum.reduce(np.broadcast_arrays(self.array, self.output, self.vector, self.sram)))


@dataclass(frozen=True)
class Tiling:
    """Candidates of a step.

    Attributes:
        tiles: Number of tiles.
        tile_cycles: Compute cycles of a tile.
        units: Cycles of a tile in each unit, for each head.
        reads: Transfers of the tensors that it reads.
        writes: Transfers of the tensors that it writes.
        resident_weight_bytes: DRAM bytes of weights fetched before the first tile.
        streamed_weight_bytes: DRAM bytes of weights fetched tile by tile.
        weight_buffer_bytes: Bytes of weights on the chip.
        full_weight_buffer_bytes: Bytes of weights on the chip if all of them are resident.
        accumulator_bytes: Bytes of partial sums.
        inner_bytes: Bytes of strips between the heads of a group.
        tile_sizes: Sizes of a tile by name, for the report.
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

    There are three orders. `WEIGHTS_RESIDENT`: all weights are fetched once and stay. `BY_STRIPS`: each strip of the map stays while all
    weights are streamed. `BY_CHANNELS`: each block of weights stays while the whole map is streamed. If the depth is divided into chunks,
    both are fetched again.
    """
    step = rows.step
    head = step.heads[0]
    g = rows.geometry(head)
    order, tile = enumerate_tiles(g, rows.hardware.array.cols)
    tiles, chunked, weight_parts = tile.tiles, tile.chunks > 1, tile.blocks * tile.chunks
    resident = (order == WEIGHTS_RESIDENT) | (weight_parts == 1)  # a single block must arrive before the first tile
    by_strips = ~resident & (order == BY_STRIPS)
    units, sums = unit_cycles(rows, head, step.fused_vector_nodes[0], g, tile)
    dram, chip = rows.weight_bytes(head)
    passes = np.where(resident, 1, np.where(by_strips | chunked, tile.strips, 1))  # over all weights
    none, buffers = np.zeros_like(tiles), np.where(tile.strips * tile.blocks > 1, 2, 1)
    out_part = tile.pixels * tile.groups * tile.block / g.outputs
    reads = {step.maps[0]: _map_transfer(rows.tensor_bytes(step.maps[0]), g, tile, ~resident & ~by_strips)}
    reads |= {tensor: operand_transfer(rows, tensor, out_part, buffers) for tensor in step.operands}
    for tensor in step.factor:  # computed weights are activations, and move like the map
        size = rows.tensor_bytes(tensor)
        reads[tensor] = Transfer(
            size * passes, np.where(resident, size, np.minimum(2 * np.ceil(size / weight_parts), size))
        )
    return Tiling(
        tiles=tiles,
        tile_cycles=units.longest,
        units=(units,),
        reads=reads,
        writes={t: tiled_transfer(rows.tensor_bytes(t), out_part, buffers) for t in step.writes},
        resident_weight_bytes=np.where(resident, dram, 0),
        streamed_weight_bytes=np.where(resident, 0, dram * passes),
        weight_buffer_bytes=np.where(resident, chip, np.minimum(2 * np.ceil(chip / weight_parts), chip)),
        full_weight_buffer_bytes=chip + none,
        accumulator_bytes=np.where(chunked, tile.pixels * tile.block, sums) * ACCUMULATOR_BYTES,
        inner_bytes=none,
        tile_sizes={
            "rows": tile.images * tile.rows,
            "columns": tile.cols,
            "channels": tile.groups * tile.block,
            "depth": np.where(chunked, tile.depth, 0),
            "order": np.where(resident, WEIGHTS_RESIDENT, order + none),
        },
    )


def _map_transfer(size: FloatArray, g: GeometryArrays, tile: Tile, by_channels: FloatArray) -> Transfer:
    """Return the transfer of the map: once by strips, including what neighbors share; by channels, once for each block of them."""
    same_channel_blocks = np.ceil(tile.blocks / tile.group_blocks)
    passes = np.where(by_channels & ((tile.strips > 1) | (tile.chunks > 1)), same_channel_blocks, 1)
    part = tile.images * input_rows(g, tile.rows) * input_cols(g, tile.cols) / (g.batch * g.in_height * g.in_width)
    part = part * tile.groups * tile.depth / g.in_channels
    buffers = np.where(tile.strips * tile.group_blocks * tile.chunks > 1, 2, 1)
    return Transfer(
        np.ceil(size * reread_factor(g, tile.row_strips, tile.col_strips)) * passes, np.ceil(size * part) * buffers
    )


def tiled_transfer(size: FloatArray, part: FloatArray, buffers: FloatArray) -> Transfer:
    """Return the transfer of a tensor that is moved once in parts.

    Args:
        size: Bytes of the tensor.
        part: Fraction of the tensor in a tile.
        buffers: 2 if it is double-buffered, else 1.

    Returns:
        The transfer.
    """
    return Transfer(size + np.zeros_like(part), np.ceil(size * part) * buffers)


def operand_transfer(rows: TileRunBatch, tensor: int, part: FloatArray, buffers: FloatArray) -> Transfer:
    """Return the transfer of a further operand: in the output's tiles, or, if it broadcasts, as a whole that stays on the chip."""
    size = rows.tensor_bytes(tensor)
    if (rows.tensor_elements(tensor) == rows.tensor_elements(rows.step.writes[0])).all():
        return tiled_transfer(size, part, buffers)
    return Transfer(size + np.zeros_like(part), size + np.zeros_like(part))


def unit_cycles(
    rows: TileRunBatch, head: int, fused_nodes: tuple[int, ...], g: GeometryArrays, tile: Tile
) -> tuple[UnitCycles, FloatArray]:
    """Compute the cycles of one array node.

    Args:
        rows: The runs.
        head: The array node.
        fused_nodes: The elementwise nodes that the vector unit runs on its tiles.
        g: The geometry of the node.
        tile: The tile sizes.

    Returns:
        The cycles of a tile in each unit, and the number of partial sums that are held at a time.
    """
    hardware, node, tiles = rows.hardware, rows.node(head), tile.tiles
    mode = "per_group"
    if node.weights and node.geometry and node.geometry.groups > 1:
        mode = hardware.array.depthwise if is_depthwise(node.geometry) else hardware.array.grouped
    product = systolic.Product(tile.pixels, tile.block, g.taps, tile.depth, tile.groups)
    size, outputs = rows.element_bytes(head), product.m * product.n * product.groups
    vector = vector_cycles(rows, fused_nodes, tiles)
    if mode == "vector":
        macs = outputs * product.k
        vector = vector + np.ceil(macs / hardware.vector.lanes * hardware.vector.element_cycles("mac"))
        array_cycles, streamed, operands = np.zeros_like(tiles), macs * size, 2 * macs * size
        partial_sums = np.zeros_like(tiles)
    else:
        mapped = systolic.map_to_array(product, hardware.array, mode)
        folds = systolic.count_folds(mapped, hardware.array)
        array_cycles = systolic.count_cycles(mapped, hardware.array, rows.macs_per_element(head), tiles == 1, folds)
        counts = systolic.count_operands(mapped, hardware.array, folds)
        partial_sums = systolic.count_partial_sums(mapped, hardware.array, folds)
        sum_bytes = np.where(counts.sums > mapped.m * mapped.n * mapped.groups, ACCUMULATOR_BYTES, size)
        streamed, operands = counts.maps * size, (counts.maps + counts.weights) * size + counts.sums * sum_bytes
    # fewer where products overlap, in a transposed convolution
    written = outputs * (rows.tensor_elements(node.outputs[0]) / g.outputs) / tile.chunks
    units = UnitCycles(
        array_cycles,
        np.ceil(written / hardware.output.elements_per_cycle),
        vector,
        np.ceil((streamed + written * size) / hardware.memory.sram_bytes_per_cycle),
        operands * tiles,
    )
    return units, partial_sums


def vector_cycles(rows: TileRunBatch, nodes: tuple[int, ...], tiles: FloatArray) -> FloatArray:
    """Return the vector unit's cycles for a tile of elementwise nodes."""
    vector, total = rows.hardware.vector, np.zeros_like(tiles)
    for number in nodes:
        lanes = np.ceil(np.ceil(rows.vector_work(number) / tiles) / vector.lanes)
        total += lanes * vector.element_cycles(rows.node(number).function)
    return np.asarray(np.ceil(total))


def vector_tiling(rows: TileRunBatch) -> Tiling:
    """Return the candidates of a vector operator with what is fused to it, in equal parts of all that it reads and writes."""
    step = rows.step
    elements = np.maximum(rows.tensor_elements(step.writes[0]), 1)
    tiles = np.minimum(np.array([SPLITS], np.float64), elements)
    none, buffers, part = np.zeros_like(tiles), np.where(tiles > 1, 2, 1), 1 / tiles
    cycles = vector_cycles(rows, (step.heads[0], *step.fused_vector_nodes[0]), tiles)
    operands = sum((rows.tensor_bytes(t) for t in (*step.reads, *step.writes)), none)
    units = UnitCycles(
        none, none, cycles, np.ceil(operands * part / rows.hardware.memory.sram_bytes_per_cycle), operands
    )
    reads = {t: tiled_transfer(rows.tensor_bytes(t), part, buffers) for t in step.maps}
    reads |= {t: operand_transfer(rows, t, part, buffers) for t in step.operands}
    writes = {t: tiled_transfer(rows.tensor_bytes(t), part, buffers) for t in step.writes}
    return Tiling(tiles, units.longest, (units,), reads, writes, none, none, none, none, none, none, {"parts": tiles})
