"""A group of convolutions that runs depth-first, strip by strip of the output's rows, with all weights on the chip.

The rows that neighboring strips share stay on the chip between the heads, so that nothing inside is computed or moved twice.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from donna_hw.simulator.batch import ACCUMULATOR_BYTES, TileRunBatch
from donna_hw.simulator.tile_sizes import STRIPS, WEIGHTS_RESIDENT, input_rows, reread_factor, tile_strip, values_up_to
from donna_hw.simulator.tiling import Tiling, operand_transfer, tiled_transfer, unit_cycles


def strip_tiling(rows: TileRunBatch) -> Tiling:
    """Return the candidates of a depth-first group."""
    step = rows.step
    shapes = [rows.geometry(head) for head in step.heads]
    first, last = shapes[0], shapes[-1]
    strips = np.array([values_up_to(STRIPS[WEIGHTS_RESIDENT], float((last.batch * last.out_height).max()))], np.float64)
    images = np.ceil(last.batch / np.minimum(strips, last.batch))
    height = np.ceil(last.out_height / np.minimum(np.ceil(strips / last.batch), last.out_height))
    row_strips = np.ceil(last.out_height / height)
    strip_tiles = [tile_strip(g, images, row_strips) for g in shapes]
    tiles, share = strip_tiles[0].tiles, images / last.batch
    none, buffers = np.zeros_like(tiles), np.where(tiles > 1, 2, 1)
    units, sums = zip(
        *(
            unit_cycles(rows, *member)
            for member in zip(step.heads, step.fused_vector_nodes, shapes, strip_tiles, strict=True)
        ),
        strict=True,
    )
    inner = none
    for tensor, (_, (g, tile)) in zip(step.inner, pairwise(zip(shapes, strip_tiles, strict=True)), strict=True):
        inner = inner + np.ceil(rows.tensor_bytes(tensor) * share * input_rows(g, tile.rows) / g.in_height)
    size = rows.tensor_bytes(step.maps[0])
    read = tiled_transfer(size, share * input_rows(first, strip_tiles[0].rows) / first.in_height, buffers)
    reads = {step.maps[0]: replace(read, dram_bytes=np.ceil(size * reread_factor(first, row_strips)))}
    part = share * height / last.out_height
    for tensor in step.operands:
        transfer = operand_transfer(rows, tensor, part, buffers)
        if tensor in reads:  # the block's own input stays on the chip until its strip is finished
            transfer = replace(reads[tensor], sram_bytes=reads[tensor].sram_bytes + transfer.sram_bytes)
        reads[tensor] = transfer
    weights = [rows.weight_bytes(head) for head in step.heads]
    on_chip = sum((chip for _, chip in weights), none)
    return Tiling(
        tiles=tiles,
        tile_cycles=sum((head_units.longest for head_units in units), none),
        units=units,
        reads=reads,
        writes={t: tiled_transfer(rows.tensor_bytes(t), part, buffers) for t in step.writes},
        resident_weight_bytes=sum((dram for dram, _ in weights), none),
        streamed_weight_bytes=none,
        weight_buffer_bytes=on_chip,
        full_weight_buffer_bytes=on_chip,
        accumulator_bytes=np.max(sums, axis=0) * ACCUMULATOR_BYTES,
        inner_bytes=inner,
        tile_sizes={"rows": images * height},
    )
