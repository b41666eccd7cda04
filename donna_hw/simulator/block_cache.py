"""Cycles of blocks straight from their descriptions, remembered: for searches that ask for the same blocks again and again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw.graph.builder import Block, lower
from donna_hw.graph.graph import Shape
from donna_hw.simulator.from_graph import workload_from_graph
from donna_hw.simulator.hardware import Hardware
from donna_hw.simulator.simulate import simulate_cycles

CHUNK_SIZE = 2048  # blocks that are described before they are simulated: memory stays flat
BlockQuery = tuple[Block, Shape]  # a block and the shape of its input


class BlockCycleCache:
    """Cycles of blocks on one unit for one batch size.

    remembered: of how many blocks the cycles are kept; beyond that the ones that were asked for first are forgotten.
    """

    def __init__(self, hardware: Hardware, batch: int = 1, max_size: int = 2**16) -> None:
        self.hardware, self.batch, self.max_size = hardware, batch, max_size
        self._cache: dict[BlockQuery, int] = {}

    def cycles(self, asked: Sequence[BlockQuery]) -> np.ndarray:
        """Return the cycles of each (block, input shape), int64 [n]; blocks must be hashable, as frozen dataclasses are."""
        known = self._cache
        new = [each for each in dict.fromkeys(asked) if each not in known]
        for start in range(0, len(new), CHUNK_SIZE):
            some = new[start : start + CHUNK_SIZE]
            workloads = [workload_from_graph(lower(*each), self.batch) for each in some]
            known.update(zip(some, simulate_cycles(workloads, self.hardware).tolist(), strict=True))
        found = np.array([known[each] for each in asked], np.int64)
        for oldest in list(known)[: max(len(known) - self.max_size, 0)]:
            del known[oldest]
        return found
