"""Tiles: the ways in which a step can be cut so that it fits on the chip, each with what it computes, moves and keeps.

The candidates do not depend on sizes of memories or on bandwidths: a larger or faster memory only makes more of them possible, never fewer, which
is why it is never slower. Every array has a row a workload and a column a candidate.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from donna_hw.simulator import array as systolic
from donna_hw.simulator.batch import ACCUMULATOR_BYTES, Batch
from donna_hw.simulator.fusion import Step, is_depthwise
from donna_hw.simulator.workload import Geometry

Numbers = np.ndarray
ceil = np.ceil

STRIPS = (1, 2, 4, 8, 16, 32, 64, 256, 2048, 2**14, 2**20)
CHANNELS = (1, 2, 4, 8, 32, 256)
CHUNKS = (4, 64, 1024)  # of the depth, where even one row of the array is too deep to be held
SPLITS = (1, 2, 4, 8, 16, 64, 512, 2**13, 2**20)


@dataclass(frozen=True)
class Moved:
    """How a tensor is moved: bytes in all, and bytes that lie on the chip while it passes through."""

    traffic: Numbers
    kept: Numbers


@dataclass(frozen=True)
class Units:
    """Cycles of a tile in each unit, and what the operands of all tiles take from the memories of the chip, in bytes."""

    array: Numbers
    output: Numbers
    vector: Numbers
    sram: Numbers
    operand_bytes: Numbers

    @property
    def longest(self) -> Numbers:
        """Cycles of a tile: the units work at the same time."""
        return np.maximum(np.maximum(self.array, self.output), np.maximum(self.vector, self.sram))


@dataclass(frozen=True)
class Tiling:
    """Candidates of a step, [n, candidates] each.

    tiles: how many. compute: cycles of one. units: of each head, for a tile. reads, writes: by tensor. held_bytes: weights fetched
    before the first tile, in DRAM's bytes; streamed_bytes: those fetched tile by tile. buffer_bytes: weights on the chip; whole_buffer_bytes: were
    all of them held. sums_bytes: in the accumulators. inner_bytes: strips between the heads of a group. text: the cut, for people.
    """

    tiles: Numbers
    compute: Numbers
    units: tuple[Units, ...]
    reads: dict[int, Moved]
    writes: dict[int, Moved]
    held_bytes: Numbers
    streamed_bytes: Numbers
    buffer_bytes: Numbers
    whole_buffer_bytes: Numbers
    sums_bytes: Numbers
    inner_bytes: Numbers
    cut: dict[str, Numbers] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """A product cut into strips of its map and blocks of its channels; sizes of one tile, and how many there are."""

    images: Numbers
    rows: Numbers
    cols: Numbers
    groups: Numbers
    block: Numbers
    depth: Numbers
    strips: Numbers
    row_strips: Numbers
    col_strips: Numbers
    group_blocks: Numbers
    blocks: Numbers
    chunks: Numbers


def cut_product(g: Geometry, strips: Numbers, channels: Numbers, chunks: Numbers, cols: int) -> Cut:
    """Return the cut nearest to so many strips, channel blocks and chunks; images are split first, then rows, then columns."""
    images = ceil(g.batch / np.minimum(strips, g.batch))
    image_strips = ceil(g.batch / images)
    left = ceil(strips / g.batch)
    rows = ceil(g.out_height / np.minimum(left, g.out_height))
    row_strips = ceil(g.out_height / rows)
    left = ceil(left / g.out_height)
    width = ceil(g.out_width / np.minimum(left, g.out_width))
    col_strips = ceil(g.out_width / width)
    groups = ceil(g.groups / np.minimum(channels, g.groups))
    group_blocks = ceil(g.groups / groups)
    n = g.out_channels / g.groups
    block = ceil(n / np.minimum(ceil(channels / g.groups), n))
    block = np.minimum(np.where(block > cols, ceil(block / cols) * cols, block), n)
    deep = g.in_channels / g.groups
    depth = ceil(deep / np.minimum(chunks, deep))
    return Cut(
        images,
        rows,
        width,
        groups,
        block,
        depth,
        strips=image_strips * row_strips * col_strips,
        row_strips=row_strips,
        col_strips=col_strips,
        group_blocks=group_blocks,
        blocks=group_blocks * ceil(n / block),
        chunks=ceil(deep / depth),
    )


def extent(size: Numbers, kernel: Numbers, stride: Numbers, dilation: Numbers, limit: Numbers) -> Numbers:
    """Return how many input lines so many output lines need."""
    return np.minimum((size - 1) * stride + (kernel - 1) * dilation + 1, limit)


def again(lines: Numbers, strips: Numbers, kernel: Numbers, stride: Numbers, dilation: Numbers) -> Numbers:
    """Return how often each input line is read on average: strips share the lines of the kernel's overlap."""
    overlap = np.maximum((kernel - 1) * dilation + 1 - stride, 0)
    return 1 + (strips - 1) * overlap / lines


def units_of(batch: Batch, head: int, behind: tuple[int, ...], g: Geometry, cut: Cut) -> Units:
    """Return the cycles of a tile in each unit, and the operand traffic of all tiles."""
    hardware, node = batch.hardware, batch.node(head)
    first = batch.first.nodes[head].geometry
    assert first is not None  # noqa: S101  of an array node
    mode = "per_group"
    if node.weights and first.groups > 1:
        mode = hardware.array.depthwise if is_depthwise(first) else hardware.array.grouped
    product = systolic.Product(
        cut.images * cut.rows * cut.cols, cut.block, g.kernel_height * g.kernel_width, cut.depth, cut.groups
    )
    tiles = cut.strips * cut.blocks * cut.chunks
    outputs = product.m * product.n * product.groups
    whole = g.batch * g.out_height * g.out_width * g.out_channels
    share = batch.elements[:, node.outputs[0], None] / whole  # below 1 where products overlap: a transposed convolution
    vector = vector_cycles(batch, behind, tiles)
    laid = systolic.mapped(product, hardware.array, mode)
    size = batch.element_bytes(node.precision)
    if mode == "vector":
        macs = outputs * product.k
        vector = vector + ceil(macs / hardware.vector.lanes * hardware.vector.cycles_of("mac"))
        in_array, operands, streamed = np.zeros_like(tiles), 2 * macs * size, macs * size
    else:
        in_array = systolic.cycles(laid, hardware.array, batch.macs_rate(head))
        words = systolic.words(laid, hardware.array)
        sums = np.where(words.sums > laid.m * laid.n * laid.groups, ACCUMULATOR_BYTES, size)
        operands, streamed = (words.maps + words.weights) * size + words.sums * sums, words.maps * size
    outputs = outputs * share / cut.chunks
    return Units(
        in_array,
        ceil(outputs / hardware.output.elements_per_cycle),
        vector + np.zeros_like(tiles),
        ceil((streamed + outputs * size) / hardware.memory.sram_bytes_per_cycle),
        operands * tiles,
    )


def vector_cycles(batch: Batch, nodes: tuple[int, ...], tiles: Numbers) -> Numbers:
    """Return the vector unit's cycles for a tile of elementwise nodes."""
    vector, total = batch.hardware.vector, np.zeros_like(tiles)
    for number in nodes:
        elements = ceil(batch.work(number) / tiles)
        total = total + ceil(elements / vector.lanes) * vector.cycles_of(batch.node(number).function)
    return np.asarray(ceil(total))


def array_tiling(batch: Batch, step: Step) -> Tiling:
    """Return the candidates of one array operator with what is fused to it.

    Orders: `held`, all weights are fetched once and stay; `strips`, each strip of the map stays while the weights stream by, again for every
    strip; `channels`, each block of weights stays while the map streams by, again for every block. Chunks of the depth are `channels` with
    the map and the weights fetched again for each strip.
    """
    head = step.heads[0]
    g = batch.geometry(head)
    held, by_strips, chunked, axes = _candidates(g, batch.hardware.array.cols)
    cut = cut_product(g, *axes, batch.hardware.array.cols)
    tiles = cut.strips * cut.blocks * cut.chunks
    units = units_of(batch, head, step.behind[0], g, cut)
    dram, chip = batch.weight_bytes(head)
    again_by_strip = np.where(by_strips | chunked, cut.strips, 1)
    streamed = np.where(held, 0, dram * again_by_strip)
    block = ceil(chip / (cut.blocks * cut.chunks))
    buffer = np.where(held, chip, np.minimum(2 * block, chip))
    size = batch.bytes_of(step.maps[0])
    same_block = ceil(cut.blocks / cut.group_blocks)  # blocks that need the same channels of the map
    rereads = np.where(by_strips | held, 1, np.where((cut.strips > 1) | chunked, same_block, 1))
    overlap = again(g.in_height, cut.row_strips, g.kernel_height, g.stride_height, g.dilation_height)
    overlap = overlap * again(g.in_width, cut.col_strips, g.kernel_width, g.stride_width, g.dilation_width)
    lines = extent(cut.rows, g.kernel_height, g.stride_height, g.dilation_height, g.in_height)
    columns = extent(cut.cols, g.kernel_width, g.stride_width, g.dilation_width, g.in_width)
    part = (cut.images / g.batch) * (lines / g.in_height) * (columns / g.in_width)
    part = part * (cut.groups / g.groups) * (cut.depth * g.groups / g.in_channels)
    loads = cut.strips * cut.group_blocks * cut.chunks
    reads = {step.maps[0]: Moved(ceil(size * overlap) * rereads, ceil(size * part) * np.where(loads > 1, 2, 1))}
    out_part = (cut.images / g.batch) * (cut.rows / g.out_height) * (cut.cols / g.out_width)
    out_part = out_part * (cut.groups / g.groups) * (cut.block * g.groups / g.out_channels)
    twice = np.where(cut.strips * cut.blocks > 1, 2, 1)
    for tensor in step.operands:
        reads[tensor] = _operand(batch, tensor, step, out_part, twice)
    for tensor in step.factor:
        whole = batch.bytes_of(tensor)
        tile = np.where(held, whole, np.minimum(2 * ceil(whole / (cut.blocks * cut.chunks)), whole))
        reads[tensor] = Moved(whole * np.where(held, 1, again_by_strip), tile)
    writes = {t: Moved(batch.bytes_of(t) + 0 * tiles, ceil(batch.bytes_of(t) * out_part) * twice) for t in step.writes}
    product = systolic.Product(
        cut.images * cut.rows * cut.cols, cut.block, g.kernel_height * g.kernel_width, cut.depth, cut.groups
    )
    waiting = systolic.partial_sums(product, batch.hardware.array)
    waiting = np.where(cut.chunks > 1, product.m * product.n, waiting) * ACCUMULATOR_BYTES
    none = np.zeros_like(tiles)
    return Tiling(
        tiles=tiles,
        compute=units.longest,
        units=(units,),
        reads=reads,
        writes=writes,
        held_bytes=np.where(held, dram, none),
        streamed_bytes=streamed + none,
        buffer_bytes=buffer + none,
        whole_buffer_bytes=chip + none,
        sums_bytes=waiting + none,
        inner_bytes=none,
        cut={
            "rows": cut.images * cut.rows,
            "columns": cut.cols,
            "channels": cut.groups * cut.block,
            "depth": np.where(cut.chunks > 1, cut.depth, 0),
            "order": np.where(held, 0, np.where(by_strips, 1, 2)) + none,
        },
    )


def _candidates(g: Geometry, cols: int) -> tuple[Numbers, Numbers, Numbers, tuple[Numbers, Numbers, Numbers]]:
    """Return (held, by strips, chunked) and (strips, channels, chunks), [1, candidates] each; none beyond the largest workload."""
    most = float((g.batch * g.out_height * g.out_width).max())
    blocks = float(g.out_channels.max())
    deep = float((g.in_channels / g.groups).max())
    strips = [s for s in STRIPS if s < 2 * most]
    channels = [c for c in CHANNELS if c < 2 * blocks]
    rows = [(s, c, 1, 0) for s in strips for c in channels[:1] + channels[2:3]]
    rows += [(s, c, 1, 1) for s in strips[1:] for c in channels[1:]]
    rows += [(s, c, 1, 2) for s in strips for c in channels[1:]]
    rows += [(s, c, k, 2) for k in CHUNKS if k < 2 * deep for s in strips[::3] for c in channels[-2:]]
    table = np.array(rows, np.float64).T[:, None, :]
    order = table[3]
    return order == 0, order == 1, table[2] > 1, (table[0], table[1], table[2])


def _operand(batch: Batch, tensor: int, step: Step, part: Numbers, twice: Numbers) -> Moved:
    """Return how an operand beside is moved: along with the output's tiles, or, where it broadcasts, held whole."""
    size = batch.bytes_of(tensor)
    if batch.first.tensors[tensor].elements == batch.first.tensors[step.writes[0]].elements:
        return Moved(size + 0 * part, ceil(size * part) * twice)
    return Moved(size + 0 * part, size + 0 * part)


def vector_tiling(batch: Batch, step: Step) -> Tiling:
    """Return the candidates of a vector operator with what is fused to it: cut into equal parts of all that it reads and writes."""
    head = step.heads[0]
    tiles = np.array([SPLITS], np.float64) + np.zeros((len(batch), 1))
    tiles = np.minimum(tiles, np.maximum(batch.elements[:, step.writes[0], None], 1))
    none, twice = np.zeros_like(tiles), np.where(tiles > 1, 2, 1)
    cycles = vector_cycles(batch, (head, *step.behind[0]), tiles)
    moved = sum((batch.bytes_of(t) for t in (*step.reads, *step.writes)), none)
    sram = ceil(moved / tiles / batch.hardware.memory.sram_bytes_per_cycle)
    units = Units(none, none, cycles, sram, moved)
    part = 1 / tiles
    reads = {t: Moved(batch.bytes_of(t) + none, ceil(batch.bytes_of(t) * part) * twice) for t in step.maps}
    reads |= {t: _operand(batch, t, step, part, twice) for t in step.operands}
    writes = {t: Moved(batch.bytes_of(t) + none, ceil(batch.bytes_of(t) * part) * twice) for t in step.writes}
    return Tiling(
        tiles, units.longest, (units,), reads, writes, none, none, none, none, none, none, {"parts": tiles}
    )


def strip_tiling(batch: Batch, step: Step) -> Tiling:
    """Return the candidates of a group that runs depth-first: strips of the output's rows, all weights held.

    The lines that neighbouring strips share stay on the chip between the heads, so nothing inside is computed or moved twice.
    """
    shapes = [batch.geometry(head) for head in step.heads]
    last = shapes[-1]
    most = float((last.batch * last.out_height).max())
    strips = np.array([[s for s in STRIPS if s < 2 * most]], np.float64)
    images = ceil(last.batch / np.minimum(strips, last.batch))
    share = images / last.batch
    row_strips = ceil(last.out_height / ceil(last.out_height / np.minimum(ceil(strips / last.batch), last.out_height)))
    tiles = ceil(last.batch / images) * row_strips
    none = np.zeros_like(tiles)
    units, inner = [], none
    for place, (head, g) in enumerate(zip(step.heads, shapes, strict=True)):
        rows = ceil(g.out_height / row_strips)
        one = np.ones_like(tiles)
        cut = Cut(
            images, rows, g.out_width * one, g.groups * one, g.out_channels / g.groups * one, g.in_channels / g.groups * one,
            strips=tiles, row_strips=row_strips, col_strips=one, group_blocks=one, blocks=one, chunks=one,
        )  # fmt: skip
        units.append(units_of(batch, head, step.behind[place], g, cut))
        if place + 1 < len(shapes):
            after = shapes[place + 1]
            lines = ceil(after.out_height / row_strips)
            lines = extent(lines, after.kernel_height, after.stride_height, after.dilation_height, after.in_height)
            inner = inner + ceil(batch.bytes_of(step.inner[place]) * share * lines / after.in_height)
    first = shapes[0]
    lines = extent(ceil(first.out_height / row_strips), first.kernel_height, first.stride_height, first.dilation_height, first.in_height)
    overlap = again(first.in_height, row_strips, first.kernel_height, first.stride_height, first.dilation_height)
    size, twice = batch.bytes_of(step.maps[0]), np.where(tiles > 1, 2, 1)
    reads = {step.maps[0]: Moved(ceil(size * overlap), ceil(size * share * lines / first.in_height) * twice)}
    part = share * ceil(last.out_height / row_strips) / last.out_height
    for tensor in step.operands:
        beside = _operand(batch, tensor, step, part, twice)
        if tensor in reads:  # the block's own input: it waits on the chip until its strip comes out
            reads[tensor] = replace(reads[tensor], kept=reads[tensor].kept + beside.kept)
        else:
            reads[tensor] = beside
    writes = {t: Moved(batch.bytes_of(t) + none, ceil(batch.bytes_of(t) * part) * twice) for t in step.writes}
    weights = [batch.weight_bytes(head) for head in step.heads]
    held, chip = sum((dram for dram, _ in weights), none), sum((chip for _, chip in weights), none)
    sums = [
        systolic.partial_sums(
            systolic.Product(
                images * ceil(g.out_height / row_strips) * g.out_width,
                g.out_channels / g.groups, g.kernel_height * g.kernel_width, g.in_channels / g.groups, g.groups,
            ),
            batch.hardware.array,
        )
        for g in shapes
    ]  # fmt: skip
    return Tiling(
        tiles=tiles,
        compute=sum((each.longest for each in units), none),
        units=tuple(units),
        reads=reads,
        writes=writes,
        held_bytes=held,
        streamed_bytes=none,
        buffer_bytes=chip,
        whole_buffer_bytes=chip,
        sums_bytes=np.max(sums, axis=0) * ACCUMULATOR_BYTES,
        inner_bytes=inner,
        cut={"rows": images * ceil(last.out_height / row_strips)},
    )
