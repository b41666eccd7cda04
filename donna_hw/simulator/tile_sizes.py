"""Cuts: the sizes into which a product can be cut, in strips of its map, blocks of its channels and chunks of its depth.

The candidates do not depend on the sizes of memories or on bandwidths: a larger or faster memory only makes more of them possible, never
fewer, which is why it is never slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from donna_hw.simulator.batch import GeometryArrays

FloatArray = np.ndarray

WEIGHTS_RESIDENT, BY_STRIPS, BY_CHANNELS = range(3)  # orders, see `tiles.array_tiling`
MAX_PARTS = 2**21  # pixels, channels or depth: cut into so many parts, everything is as small as can be
STRIPS = {
    WEIGHTS_RESIDENT: (1, 2, 4, 8, 16, 32, 64, 512, MAX_PARTS),
    BY_STRIPS: (4, 8, 32, MAX_PARTS),
    BY_CHANNELS: (1, 4, 16, 64, MAX_PARTS),
}
CHANNELS = {WEIGHTS_RESIDENT: (1, 8), BY_STRIPS: (8, MAX_PARTS), BY_CHANNELS: (2, 8, MAX_PARTS)}
CHUNKS = (16, MAX_PARTS)  # of the depth, where even one row of the array is too deep to be held


@dataclass(frozen=True)
class Tile:
    """Sizes of one tile, and how many there are of each; arrays [n, candidates].

    images, rows, cols: of the output map; groups, block: channel groups, and columns of the product in each; depth: input channels of a
    group. group_blocks: blocks that need different channels of the map.
    """

    images: FloatArray
    rows: FloatArray
    cols: FloatArray
    groups: FloatArray
    block: FloatArray
    depth: FloatArray
    strips: FloatArray
    row_strips: FloatArray
    col_strips: FloatArray
    group_blocks: FloatArray
    blocks: FloatArray
    chunks: FloatArray

    @cached_property
    def tiles(self) -> FloatArray:
        """How many tiles there are."""
        return np.asarray(self.strips * self.blocks * self.chunks)

    @cached_property
    def pixels(self) -> FloatArray:
        """Pixels of the output map in a tile."""
        return np.asarray(self.images * self.rows * self.cols)


def enumerate_tiles(g: GeometryArrays, array_cols: int) -> tuple[FloatArray, Tile]:
    """Return the order of each candidate, [1, candidates], and its cut, as far as the largest workload can be cut."""
    most = float((g.batch * g.out_height * g.out_width).max())
    blocks = float((g.groups * np.ceil(g.columns / array_cols)).max())
    rows = [
        (strips, channels, 1, order)
        for order in ((WEIGHTS_RESIDENT, BY_STRIPS, BY_CHANNELS) if blocks > 1 else (WEIGHTS_RESIDENT,))
        for strips in values_up_to(STRIPS[order], most)
        for channels in values_up_to(CHANNELS[order], blocks)
    ]
    deep = float(g.depth.max())
    rows += [
        (strips, MAX_PARTS, chunks, BY_CHANNELS) for chunks in values_up_to(CHUNKS, deep) for strips in (1, MAX_PARTS)
    ]
    strips, channels, chunks, order = np.array(rows, np.float64).T[:, None, :]
    return order, tile_product(g, strips, channels, chunks, array_cols)


def values_up_to(values: tuple[int, ...], most: float) -> list[int]:
    """Return the values up to the first that is `most` or more: beyond that nothing can be cut further."""
    return [value for place, value in enumerate(values) if place == 0 or values[place - 1] < most]


def tile_product(
    g: GeometryArrays, strips: FloatArray, channels: FloatArray, chunks: FloatArray, array_cols: int
) -> Tile:
    """Return the cut nearest to so many strips, channel blocks and chunks.

    Images are split first, then rows, then columns of the map; groups first, then the columns of each, in multiples of
    the array's.
    """
    images = np.ceil(g.batch / np.minimum(strips, g.batch))
    left = np.ceil(strips / g.batch)
    rows = np.ceil(g.out_height / np.minimum(left, g.out_height))
    row_strips = np.ceil(g.out_height / rows)
    cols = np.ceil(g.out_width / np.minimum(np.ceil(left / g.out_height), g.out_width))
    col_strips = np.ceil(g.out_width / cols)
    groups = np.ceil(g.groups / np.minimum(channels, g.groups))
    group_blocks = np.ceil(g.groups / groups)
    block = np.ceil(g.columns / np.minimum(np.ceil(channels / g.groups), g.columns))
    block = np.minimum(np.ceil(block / array_cols) * array_cols, g.columns)
    depth = np.ceil(g.depth / np.minimum(chunks, g.depth))
    return Tile(
        images,
        rows,
        cols,
        groups,
        block,
        depth,
        strips=np.ceil(g.batch / images) * row_strips * col_strips,
        row_strips=row_strips,
        col_strips=col_strips,
        group_blocks=group_blocks,
        blocks=group_blocks * np.ceil(g.columns / block),
        chunks=np.ceil(g.depth / depth),
    )


def tile_strip(g: GeometryArrays, images: FloatArray, row_strips: FloatArray) -> Tile:
    """Return the cut of a member of a depth-first group: some images, so many strips of rows, all channels."""
    one = np.ones_like(row_strips)
    return Tile(
        images,
        np.ceil(g.out_height / row_strips),
        g.out_width * one,
        g.groups * one,
        g.columns * one,
        g.depth * one,
        strips=np.ceil(g.batch / images) * row_strips,
        row_strips=row_strips,
        col_strips=one,
        group_blocks=one,
        blocks=one,
        chunks=one,
    )


def input_rows(g: GeometryArrays, rows: FloatArray) -> FloatArray:
    """Return how many rows of the input map so many rows of the output need."""
    return np.asarray(
        np.minimum((rows - 1) * g.stride_height + (g.kernel_height - 1) * g.dilation_height + 1, g.in_height)
    )


def input_cols(g: GeometryArrays, cols: FloatArray) -> FloatArray:
    """Return how many columns of the input map so many columns of the output need."""
    return np.asarray(np.minimum((cols - 1) * g.stride_width + (g.kernel_width - 1) * g.dilation_width + 1, g.in_width))


def reread_factor(g: GeometryArrays, row_strips: FloatArray, col_strips: FloatArray | float = 1.0) -> FloatArray:
    """Return how often the map is read on average, since neighbouring strips share what lies under the kernel in both."""
    high = np.maximum((g.kernel_height - 1) * g.dilation_height + 1 - g.stride_height, 0)
    wide = np.maximum((g.kernel_width - 1) * g.dilation_width + 1 - g.stride_width, 0)
    return np.asarray((1 + (row_strips - 1) * high / g.in_height) * (1 + (col_strips - 1) * wide / g.in_width))
