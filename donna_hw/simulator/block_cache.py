"""Cached cycles of blocks, for searches that request the same blocks repeatedly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from donna_hw.graph.builder import Block, lower
from donna_hw.graph.graph import Shape
from donna_hw.simulator.from_graph import workload_from_graph
from donna_hw.simulator.hardware import Hardware
from donna_hw.simulator.simulate import simulate_cycles

CHUNK_SIZE = 2048  # blocks simulated at a time, which bounds the memory
BlockQuery = tuple[Block, Shape]  # a block and the shape of its input


class BlockCycleCache:
    """Cycles of blocks on one tensor unit for one batch size.

    Args:
        hardware: The tensor unit.
        batch: Images per inference.
        max_size: Number of blocks in the cache; the oldest are dropped beyond it.
    """

    def __init__(self, hardware: Hardware, batch: int = 1, max_size: int = 2**16) -> None:
        self.hardware, self.batch, self.max_size = hardware, batch, max_size
        self._cache: dict[BlockQuery, int] = {}

    def cycles(self, queries: Sequence[BlockQuery]) -> np.ndarray:
        """Return the cycles of each (block, input shape), int64 [n]; blocks must be hashable, as frozen dataclasses are."""
        cache = self._cache
        missing = [query for query in dict.fromkeys(queries) if query not in cache]
        for start in range(0, len(missing), CHUNK_SIZE):
            chunk = missing[start : start + CHUNK_SIZE]
            workloads = [workload_from_graph(lower(*query), self.batch) for query in chunk]
            cache.update(zip(chunk, simulate_cycles(workloads, self.hardware).tolist(), strict=True))
        cycles = np.array([cache[query] for query in queries], np.int64)
        for oldest in list(cache)[: max(len(cache) - self.max_size, 0)]:
            del cache[oldest]
        return cycles
