"""In place: a block timed between its neighbours in a chain, less the same chain without it."""

from __future__ import annotations

import numpy as np

from donna_hw.blocks.layers import Block, Graph, lower, lower_chain
from donna_hw.errors import UnknownName
from donna_hw.spaces.space import Space, Stage

MODES = ("isolated", "in_chain")


def checked_mode(mode: str) -> str:
    """Return the mode; raises `UnknownName`."""
    if mode not in MODES:
        raise UnknownName("a mode must be a known one", found=mode, known=MODES)
    return mode


def chain_of(space: Space, part: str, block: Block) -> tuple[Graph, Graph] | None:
    """Return (chain with the block, chain without it) for a part of a space; None for the first part, which has nothing before it.

    The chain is the fixed neighbour and the block; without it, the neighbour alone. The neighbour is the part before: a fixed part,
    or the stage's block of fewest multiply-accumulates, so that little else is in the difference. Every block of a stage gives the
    shape that the next stage takes, so no adapter is needed. What ends a chain (writing the output in the device's outer layout) is
    the block's in the chain with it and the neighbour's in the chain without: over a whole network these add up to one ending.
    """
    names = space.part_names
    place = names.index(part)
    if place == 0:
        return None
    before = names[place - 1]
    neighbour = space.fixed[before] if before in space.fixed else _cheapest(space, space.stage(before))
    shape = space.input_shapes[before]
    return lower_chain([("neighbour", neighbour), ("block", block)], shape), lower(neighbour, shape)


def _cheapest(space: Space, stage: Stage) -> Block:
    macs = [space.block_graph(stage, m).macs for m in range(stage.size)]
    return stage.block(int(np.argmin(macs)))
