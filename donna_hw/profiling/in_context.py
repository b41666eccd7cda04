"""In context: a block timed in a chain after its neighbor, less the same chain without it."""

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
        raise UnknownNameError("unknown mode", got=mode, choices=MODES)
    return mode


def find_neighbors(space: Space) -> dict[str, tuple[Block, Graph]]:
    """Return {part: the block before it in its chain, and that block's layers}, for every part but the first.

    The neighbor is the part before: a fixed part, or the stage's block of fewest multiply-accumulates, so that little else is in the
    difference. Blocks without layers are no neighbors, since they would leave no chain.
    """
    names, neighbors = space.part_names, {}
    for before, part in itertools.pairwise(names):
        if before in space.fixed:
            neighbors[part] = (space.fixed[before], space.fixed_graph(before))
        else:
            stage = space.stage(before)
            graphs = [space.block_graph(stage, m) for m in range(stage.size)]
            cheapest = int(np.argmin([graph.macs if graph.layers else np.inf for graph in graphs]))
            neighbors[part] = (stage.block(cheapest), graphs[cheapest])
    return neighbors


def build_chain(neighbors: dict[str, tuple[Block, Graph]], part: str, block: Block) -> tuple[Graph, Graph] | None:
    """Return (chain with the block, chain without it); None for the first part, which has nothing before it.

    The chain is the neighbor and the block; without the block, the neighbor alone. Every block of a stage gives the shape that the
    next stage takes, so no adapter is needed. The end of a chain (writing the output in the device's outer layout) is paid by the block
    in the chain with it and by the neighbor in the chain without it: over a whole network these add up to one end.

    Args:
        neighbors: What `find_neighbors` returns.
        part: The name of the block's stage or fixed part.
        block: The block.
    """
    if part not in neighbors:
        return None
    neighbor, alone = neighbors[part]
    return lower_chain([("neighbor", neighbor), ("block", block)], alone.input_shape), alone
