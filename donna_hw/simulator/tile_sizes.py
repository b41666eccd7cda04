"""Tile sizes: how a product can be divided into strips of its map, blocks of its channels and chunks of its depth.

The candidates do not depend on the sizes of memories or on bandwidths. A larger or faster memory allows more of them, never fewer, and
is therefore never slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from donna_hw.simulator.batch import GeometryArrays

FloatArray = np.ndarray

WEIGHTS_RESIDENT, BY_STRIPS, BY_CHANNELS = range(3)  # orders, see `tiling.array_tiling`
MAX_PARTS = 2**21  # of pixels, channels or depth: as small as possible
STRIPS = {
    WEIGHTS_RESIDENT: (1, 2, 4, 8, 16, 32, 64, 512, MAX_PARTS),
    BY_STRIPS: (4, 8, 32, MAX_PARTS),
    BY_CHANNELS: (1, 4, 16, 64, MAX_PARTS),
}
CHANNELS = {WEIGHTS_RESIDENT: (1, 8), BY_STRIPS: (8, MAX_PARTS), BY_CHANNELS: (2, 8, MAX_PARTS)}
CHUNKS = (16, MAX_PARTS)  # of the depth, for products whose depth is too large to hold even for one row of the array


@dataclass(frozen=True)
class Tile:
    """Sizes of a tile, and the number of parts along each direction; arrays [n, candidates].

    Attributes:
        images: Images of the output map in a tile.
        rows: Rows of the output map in a tile.
        cols: Columns of the output map in a tile.
        groups: Channel groups in a tile.
        block: Columns of the product in each group of a tile.
        depth: Input channels of a group in a tile.
        strips: Number of strips of the map.
        row_strips: Number of strips along the rows.
        col_strips: Number of strips along the columns.
        group_blocks: Number of blocks that need different channels of the map.
        blocks: Number of blocks of channels.
        chunks: Number of chunks of the depth.
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
        """Number of tiles."""
        return np.asarray(self.strips * self.blocks * self.chunks)

    @cached_property
    def pixels(self) -> FloatArray:
        """Pixels of the output map in a tile."""
        return np.asarray(self.images * self.rows * self.cols)


def enumerate_tiles(g: GeometryArrays, array_cols: int) -> tuple[FloatArray, Tile]:
    """Return the order of each candidate, [1, candidates], and its tile, as far as the largest workload can be divided."""
    pixels = float((g.batch * g.out_height * g.out_width).max())
    blocks = float((g.groups * np.ceil(g.columns / array_cols)).max())
    rows = [
        (strips, channels, 1, order)
        for order in ((WEIGHTS_RESIDENT, BY_STRIPS, BY_CHANNELS) if blocks > 1 else (WEIGHTS_RESIDENT,))
        for strips in values_up_to(STRIPS[order], pixels)
        for channels in values_up_to(CHANNELS[order], blocks)
    ]
    depth = float(g.depth.max())
    rows += [
        (strips, MAX_PARTS, chunks, BY_CHANNELS) for chunks in values_up_to(CHUNKS, depth) for strips in (1, MAX_PARTS)
    ]
    strips, channels, chunks, order = np.array(rows, np.float64).T[:, None, :]
    return order, tile_product(g, strips, channels, chunks, array_cols)


def values_up_to(values: tuple[int, ...], maximum: float) -> list[int]:
    """Return the values up to the first that is at least `maximum`, beyond which nothing can be divided further."""
    return [value for index, value in enumerate(values) if index == 0 or values[index - 1] < maximum]


def tile_product(
    g: GeometryArrays, strips: FloatArray, channels: FloatArray, chunks: FloatArray, array_cols: int
) -> Tile:
    """Return the tile nearest to the given division.

    Images are split first, then rows, then columns of the map; groups first, then the columns of each, in multiples of the array's.

    Args:
        g: The geometry of the products.
        strips: Number of strips of the map.
        channels: Number of blocks of channels.
        chunks: Number of chunks of the depth.
        array_cols: Columns of the array.

    Returns:
        The tile.
    """
    images = np.ceil(g.batch / np.minimum(strips, g.batch))
    image_strips = np.ceil(strips / g.batch)
    rows = np.ceil(g.out_height / np.minimum(image_strips, g.out_height))
    row_strips = np.ceil(g.out_height / rows)
    cols = np.ceil(g.out_width / np.minimum(np.ceil(image_strips / g.out_height), g.out_width))
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
    """Return the tile of a member of a depth-first group: `images` images, `row_strips` strips of rows, all channels."""
    ones = np.ones_like(row_strips)
    return Tile(
        images,
        np.ceil(g.out_height / row_strips),
        g.out_width * ones,
        g.groups * ones,
        g.columns * ones,
        g.depth * ones,
        strips=np.ceil(g.batch / images) * row_strips,
        row_strips=row_strips,
        col_strips=ones,
        group_blocks=ones,
        blocks=ones,
        chunks=ones,
    )


def input_rows(g: GeometryArrays, rows: FloatArray) -> FloatArray:
    """Return the rows of the input map that `rows` rows of the output need."""
    return np.asarray(
        np.minimum((rows - 1) * g.stride_height + (g.kernel_height - 1) * g.dilation_height + 1, g.in_height)
    )


def input_cols(g: GeometryArrays, cols: FloatArray) -> FloatArray:
    """Return the columns of the input map that `cols` columns of the output need."""
    return np.asarray(np.minimum((cols - 1) * g.stride_width + (g.kernel_width - 1) * g.dilation_width + 1, g.in_width))


def reread_factor(g: GeometryArrays, row_strips: FloatArray, col_strips: FloatArray | float = 1.0) -> FloatArray:
    """Return how often the map is read on average, since neighboring strips share what is under the kernel in both."""
    shared_rows = np.maximum((g.kernel_height - 1) * g.dilation_height + 1 - g.stride_height, 0)
    shared_cols = np.maximum((g.kernel_width - 1) * g.dilation_width + 1 - g.stride_width, 0)
    rows, cols = 1 + (row_strips - 1) * shared_rows / g.in_height, 1 + (col_strips - 1) * shared_cols / g.in_width
    return np.asarray(rows * cols)
