"""In place: a block timed between its neighbours in a chain, less the same chain without it."""

from __future__ import annotations

import itertools

import numpy as np

from donna_hw.errors import UnknownNameError
from donna_hw.graph.builder import Block, lower_chain
from donna_hw.graph.graph import Graph
from donna_hw.spaces.space import Space

MODES = ("isolated", "in_context")


def validate_mode(mode: str) -> str:
    """Return the mode; raises `UnknownNameError`."""
    if mode not in MODES:
        raise UnknownNameError("a mode must be a known one", got=mode, choices=MODES)
    return mode


def find_neighbors(space: Space) -> dict[str, tuple[Block, Graph]]:
    """Return {part: the block that stands before it in its chain, and that block's layers}, for every part but the first.

    The neighbour is the part before: a fixed part, or the stage's block of fewest multiply-accumulates, so that little else is in the
    difference; one without layers would leave no chain.
    """
    names, found = space.part_names, {}
    for before, part in itertools.pairwise(names):
        if before in space.fixed:
            found[part] = (space.fixed[before], space.fixed_graph(before))
        else:
            stage = space.stage(before)
            graphs = [space.block_graph(stage, m) for m in range(stage.size)]
            cheapest = int(np.argmin([graph.macs if graph.layers else np.inf for graph in graphs]))
            found[part] = (stage.block(cheapest), graphs[cheapest])
    return found


def build_chain(before: dict[str, tuple[Block, Graph]], part: str, block: Block) -> tuple[Graph, Graph] | None:
    """Return (chain with the block, chain without it), given `find_neighbors`; None for the first part, which has nothing before it.

    The chain is the neighbour and the block; without it, the neighbour alone. Every block of a stage gives the shape that the next
    stage takes, so no adapter is needed. What ends a chain (writing the output in the device's outer layout) is the block's in the
    chain with it and the neighbour's in the chain without: over a whole network these add up to one ending.
    """
    if part not in before:
        return None
    neighbour, alone = before[part]
    return lower_chain([("neighbour", neighbour), ("block", block)], alone.input_shape), alone
