"""Costs of the candidates of a step: the closed form of a double-buffered pipeline of equal tiles.

One DMA channel and the array advance in lockstep: while a tile is computed, the DMA stores the one before and loads the one after, and the
buffers are swapped when both have finished. The tests compare the closed form with a simulation of the events.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from donna_hw.simulator.batch import TileRunBatch, WorkloadBatch
from donna_hw.simulator.depth_first import strip_tiling
from donna_hw.simulator.hardware import Memory
from donna_hw.simulator.schedule_graph import ScheduleGraph
from donna_hw.simulator.tiling import Tiling, array_tiling, vector_tiling

FloatArray = np.ndarray


def pipeline_cycles(tiles: FloatArray, load: FloatArray, compute: FloatArray, store: FloatArray) -> FloatArray:
    """Return the cycles from the first load to the end of the last store, for `tiles` >= 1 tiles of equal cost each."""
    both = load + store
    cycles = np.maximum(compute, both)
    cycles *= tiles - 2
    cycles += np.maximum(compute, load)
    cycles += np.maximum(compute, store)
    return np.asarray(np.where(tiles > 1, cycles, compute) + both)


TIE_BREAK = 1e-13  # cycles per DRAM byte


@dataclass(frozen=True)
class CandidateCosts:
    """Cycles of every candidate and their components.

    Attributes:
        run_batch: The runs.
        tiling: Their candidates.
        dma_cycles: Cycles of the DMA for the run's own data.
        total_cycles: Start to end, whole cycles; infinite if weights or sums do not fit.
        peak_sram_bytes: Bytes of SRAM needed.
        weight_buffer_bytes: Bytes of weights on the chip.
        fetch_cycles: Cycles to prefetch the weights of the next run.
        fetch_bytes: Bytes to prefetch the weights of the next run.
    """

    run_batch: TileRunBatch
    tiling: Tiling
    dma_cycles: FloatArray
    total_cycles: FloatArray
    peak_sram_bytes: FloatArray
    weight_buffer_bytes: FloatArray
    fetch_cycles: FloatArray
    fetch_bytes: FloatArray

    @cached_property
    def objective(self) -> FloatArray:
        """What is minimized: `total_cycles`; ties go to the candidate that moves less when a single network is simulated."""
        return (
            self.total_cycles + TIE_BREAK * self.dram_bytes[:, :, :, None]
            if len(self.run_batch.batch) == 1
            else self.total_cycles
        )

    @cached_property
    def min_objective(self) -> FloatArray:
        """The objective of the best candidate if nothing else is on the chip, [combinations, rows, prefetched, next]."""
        fits = self.peak_sram_bytes <= self.run_batch.hardware.memory.sram_bytes
        return np.asarray(np.where(fits[:, :, None, None], self.objective, np.inf).min(axis=-1))

    @cached_property
    def dram_bytes(self) -> FloatArray:
        """DRAM bytes of the run's own data, [combinations, rows, prefetched, candidates]."""
        memory, tiles = self.run_batch.hardware.memory, self.tiling.tiles
        moved = np.zeros_like(self.peak_sram_bytes)
        for tensor, transfer in (self.tiling.reads | self.tiling.writes).items():
            moved += (1 - _on_chip(self.run_batch, tensor)) * (burst_bytes(transfer.dram_bytes / tiles, memory) * tiles)
        weights = burst_bytes(self.tiling.streamed_weight_bytes / tiles, memory) * tiles + burst_bytes(
            self.tiling.resident_weight_bytes, memory
        )
        to_fetch = np.array([[1.0], [0.0]])[: self.dma_cycles.shape[2]]
        return np.asarray(moved[:, :, None] + weights[None, :, None] * to_fetch)


def burst_bytes(size: FloatArray, memory: Memory) -> FloatArray:
    """Return the bytes of the DRAM bursts that transfer `size` bytes."""
    return np.asarray(np.ceil(size / memory.dram_burst_bytes) * memory.dram_burst_bytes)


def transfer_cycles(size: FloatArray, memory: Memory) -> FloatArray:
    """Return the cycles of one transfer, 0 for no bytes."""
    cycles = burst_bytes(size, memory) / memory.dram_bytes_per_cycle
    return np.asarray(np.where(size > 0, np.ceil(cycles + memory.dma_setup_cycles), 0.0))


def build_tiling(rows: TileRunBatch) -> Tiling:
    """Return the candidates of runs of equal structure."""
    if len(rows.step.heads) > 1:
        return strip_tiling(rows)
    return array_tiling(rows) if rows.node(rows.step.heads[0]).kind == "array" else vector_tiling(rows)


def compute_costs(rows: TileRunBatch, prefetchable: bool) -> CandidateCosts:
    """Compute the costs of every candidate of runs of equal structure.

    Args:
        rows: The runs.
        prefetchable: Whether their own weights can have been fetched during an earlier run.

    Returns:
        The costs.
    """
    memory, tiling = rows.hardware.memory, build_tiling(rows)
    tiles, compute = tiling.tiles[None, :, None], tiling.tile_cycles[None, :, None]
    load, store, sram_bytes = _tile_transfers(rows, tiling)
    to_fetch = np.array([[1.0], [0.0]]) if prefetchable else np.ones((1, 1))  # whether own weights are still missing
    streamed = transfer_cycles(tiling.streamed_weight_bytes / tiling.tiles, memory)[None, :, None] * to_fetch
    load = load[:, :, None] + streamed
    store = store[:, :, None]
    resident = transfer_cycles(tiling.resident_weight_bytes, memory)[None, :, None] * to_fetch
    busy = load + store
    busy *= tiles
    busy += resident
    cycles = pipeline_cycles(tiles, load, compute, store)
    cycles += resident + rows.hardware.schedule.operator_overhead_cycles
    if memory.dram_latency_cycles:
        np.add(cycles, memory.dram_latency_cycles, out=cycles, where=busy > 0)
    dram, chip = rows.prefetch_bytes
    fetch_cycles = transfer_cycles(dram, memory)
    total = busy[:, :, :, None] + fetch_cycles[:, None, :, None]
    np.maximum(total, cycles[:, :, :, None], out=total)
    buffer = np.stack([tiling.weight_buffer_bytes, tiling.full_weight_buffer_bytes][: len(to_fetch)], axis=1)
    fits = buffer[:, :, None] + chip[:, None, :, None] <= memory.weight_buffer_bytes
    fits &= (tiling.accumulator_bytes <= memory.accumulator_bytes)[:, None, None]
    np.copyto(total, np.inf, where=~fits)
    return CandidateCosts(rows, tiling, busy, total, sram_bytes, buffer, fetch_cycles, burst_bytes(dram, memory))


def _tile_transfers(rows: TileRunBatch, tiling: Tiling) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the cycles of a tile's loads and stores, and bytes on the chip, each [combinations, rows, candidates]."""
    shape = (len(rows.runs[0].local_flags), *tiling.tiles.shape)
    load, store, sram_bytes = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    transfers = [(load, *read) for read in tiling.reads.items()] + [(store, *write) for write in tiling.writes.items()]
    for cycles, tensor, transfer in transfers:
        on_chip = _on_chip(rows, tensor)
        tile_cycles = transfer_cycles(transfer.dram_bytes / tiling.tiles, rows.hardware.memory)
        np.add(cycles, (1 - on_chip) * tile_cycles, out=cycles)
        sram_bytes += np.where(on_chip, rows.tensor_bytes(tensor), transfer.sram_bytes)
    sram_bytes += tiling.inner_bytes
    return load, store, sram_bytes


def _on_chip(rows: TileRunBatch, tensor: int) -> FloatArray:
    """Return 1 for combinations in which a tensor is on the chip, else 0, [combinations or 1, 1, 1]."""
    run = rows.runs[0]
    return (
        run.local_flags[:, run.local_tensors.index(tensor), None, None]
        if tensor in run.local_tensors
        else np.zeros((1, 1, 1))
    )


def compute_group_costs(batch: WorkloadBatch, graph: ScheduleGraph) -> list[CandidateCosts]:
    """Return the costs of each group of runs of equal structure."""
    prefetch_bytes = []
    for numbers in graph.prefetchable:
        nothing = np.zeros((2, len(batch), 1))
        weights = [[table[:, graph.runs[n].weight_nodes].sum(axis=1) for n in numbers] for table in batch.weight_bytes]
        prefetch_bytes.append(
            np.concatenate([nothing, np.array(weights).swapaxes(1, 2)], axis=2) if numbers else nothing
        )
    costs = []
    for numbers in graph.groups:
        runs = [graph.runs[number] for number in numbers]
        rows = TileRunBatch(batch, runs, np.concatenate([prefetch_bytes[run.end] for run in runs], axis=1))
        costs.append(compute_costs(rows, prefetchable=runs[0].number in graph.prefetchable[runs[0].start]))
    return costs
