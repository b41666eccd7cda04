"""The members of a space that say how far it reaches: the smallest, the reference and the largest."""

from __future__ import annotations

from dataclasses import dataclass

from donna_hw.spaces.space import Architecture, Space


@dataclass(frozen=True)
class Member:
    """A network with its multiply-accumulates of one image and its trainable parameters, both by closed form."""

    architecture: Architecture
    macs: int
    params: int


def reach(space: Space) -> dict[str, Member]:
    """Return the members of fewest MACs (`smallest`), of the reference, and of most MACs (`largest`); of equals the first with fewest,
    or most, parameters. Fewest in each stage is fewest of all, since both counts are sums over the blocks.
    """
    fewest, most = [], []
    for stage in space.stages:
        graphs = [space.block_graph(stage, m) for m in range(stage.size)]
        counts = [(graph.macs, graph.params) for graph in graphs]
        fewest.append(counts.index(min(counts)))
        most.append(counts.index(max(counts)))
    found = {"smallest": space.architecture(fewest), "reference": space.reference, "largest": space.architecture(most)}
    return {name: _member(space, architecture) for name, architecture in found.items()}


def _member(space: Space, architecture: Architecture) -> Member:
    network = space.network(architecture)
    return Member(architecture, network.macs, network.params)
