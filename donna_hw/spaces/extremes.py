"""The extreme networks of a space: the smallest, the reference and the largest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from donna_hw.spaces.space import Architecture, Space


@dataclass(frozen=True)
class NetworkStats:
    """A network with its multiply-accumulates of one image and its trainable parameters, both by closed form."""

    architecture: Architecture
    macs: int
    params: int


def find_extremes(space: Space) -> dict[str, NetworkStats]:
    """Return the networks with the fewest (`smallest`) and the most multiply-accumulates (`largest`), and the `reference`.

    Ties go to the fewest, or most, parameters, then to the first. The fewest in each stage are the fewest overall, since both counts are
    sums over the blocks. Only the first and the last value of a global axis are considered, along which the counts are monotone.
    """
    networks = [_network_stats(space, architecture) for architecture in _extreme_architectures(space)]
    return {
        "smallest": min(networks, key=lambda network: (network.macs, network.params)),
        "reference": _network_stats(space, space.reference),
        "largest": max(networks, key=lambda network: (network.macs, network.params)),
    }


def block_macs(space: Space) -> tuple[np.ndarray, ...]:
    """Return the multiply-accumulates of every block, int [stage][block], of a space without global axes."""
    return tuple(
        np.array([space.block_graph(stage, m).macs for m in range(stage.size)], np.int64) for stage in space.stages
    )


def block_params(space: Space) -> tuple[np.ndarray, ...]:
    """Return the trainable parameters of every block, int [stage][block], of a space without global axes."""
    return tuple(
        np.array([space.block_graph(stage, m).params for m in range(stage.size)], np.int64) for stage in space.stages
    )


def _extreme_architectures(space: Space) -> Iterator[Architecture]:
    """Yield the networks with the fewest and the most MACs at the ends of the global axes."""
    for settings in product(*((axis.values[0], axis.values[-1]) for axis in space.global_axes)):
        frame = space.at(settings)
        counts = [
            [(graph.macs, graph.params) for graph in (frame.block_graph(stage, m) for m in range(stage.size))]
            for stage in frame.stages
        ]
        for pick in (min, max):
            yield Architecture(tuple(stage.index(pick(stage)) for stage in counts), settings)


def _network_stats(space: Space, architecture: Architecture) -> NetworkStats:
    network = space.network_graph(architecture)
    return NetworkStats(architecture, network.macs, network.params)
