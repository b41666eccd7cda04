"""Strips: a group of convolutions that runs depth-first, strip by strip of the output's rows, with all weights held.

The lines that neighbouring strips share stay on the chip between the heads, so nothing inside is computed or moved twice.
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
    cuts = [tile_strip(g, images, row_strips) for g in shapes]
    tiles, share = cuts[0].tiles, images / last.batch
    none, twice = np.zeros_like(tiles), np.where(tiles > 1, 2, 1)
    units, sums = zip(
        *(unit_cycles(rows, *each) for each in zip(step.heads, step.fused_vector_nodes, shapes, cuts, strict=True)),
        strict=True,
    )
    inner = none
    for tensor, (_, after) in zip(step.inner, pairwise(zip(shapes, cuts, strict=True)), strict=True):
        lines = input_rows(after[0], after[1].rows)
        inner = inner + np.ceil(rows.tensor_bytes(tensor) * share * lines / after[0].in_height)
    size, lines = rows.tensor_bytes(step.maps[0]), input_rows(first, cuts[0].rows)
    read = tiled_transfer(size, share * lines / first.in_height, twice)
    reads = {step.maps[0]: replace(read, dram_bytes=np.ceil(size * reread_factor(first, row_strips)))}
    part = share * height / last.out_height
    for tensor in step.operands:
        beside = operand_transfer(rows, tensor, part, twice)
        if tensor in reads:  # the block's own input waits on the chip until its strip comes out
            beside = replace(reads[tensor], sram_bytes=reads[tensor].sram_bytes + beside.sram_bytes)
        reads[tensor] = beside
    weights = [rows.weight_bytes(head) for head in step.heads]
    on_chip = sum((chip for _, chip in weights), none)
    return Tiling(
        tiles=tiles,
        tile_cycles=sum((each.longest for each in units), none),
        units=units,
        reads=reads,
        writes={t: tiled_transfer(rows.tensor_bytes(t), part, twice) for t in step.writes},
        resident_weight_bytes=sum((dram for dram, _ in weights), none),
        streamed_weight_bytes=none,
        weight_buffer_bytes=on_chip,
        full_weight_buffer_bytes=on_chip,
        accumulator_bytes=np.max(sums, axis=0) * ACCUMULATOR_BYTES,
        inner_bytes=inner,
        tile_sizes={"rows": images * height},
    )
