"""The double-buffered pipeline of equal tiles: closed form of a schedule in which one DMA channel and the array advance in lockstep.

While a tile is computed, the DMA stores the one before and loads the one after; the buffers are swapped when both have finished.
The tests hold the form against a simulation of the events.
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
    found = np.maximum(compute, both)
    found *= tiles - 2
    found += np.maximum(compute, load)
    found += np.maximum(compute, store)
    return np.asarray(np.where(tiles > 1, found, compute) + both)


TIE_BREAK = 1e-13  # cycles a DRAM byte


@dataclass(frozen=True)
class CandidateCosts:
    """Cycles of every candidate and what they are made of.

    busy: of the DMA with the own data; total: start to end, whole cycles, infinite where weights or sums do not fit. need: bytes of SRAM;
    buffer: of weights on the chip. fetch_*: of the next one's weights.
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
        """What is to be least: `total`, and where one network is told operator by operator, of equals the one that moves less."""
        return (
            self.total_cycles + TIE_BREAK * self.dram_bytes[:, :, :, None]
            if len(self.run_batch.batch) == 1
            else self.total_cycles
        )

    @cached_property
    def min_objective(self) -> FloatArray:
        """The goal of the best candidate where nothing else is on the chip, [combinations, rows, own, next]."""
        fits = self.peak_sram_bytes <= self.run_batch.hardware.memory.sram_bytes
        return np.asarray(np.where(fits[:, :, None, None], self.objective, np.inf).min(axis=-1))

    @cached_property
    def dram_bytes(self) -> FloatArray:
        """DRAM bytes of the own data, [combinations, rows, own, candidates]."""
        memory, tiles = self.run_batch.hardware.memory, self.tiling.tiles
        found = np.zeros_like(self.peak_sram_bytes)
        for tensor, how in (self.tiling.reads | self.tiling.writes).items():
            found += (1 - _on_chip(self.run_batch, tensor)) * (burst_bytes(how.dram_bytes / tiles, memory) * tiles)
        weights = burst_bytes(self.tiling.streamed_weight_bytes / tiles, memory) * tiles + burst_bytes(
            self.tiling.resident_weight_bytes, memory
        )
        absent = np.array([[1.0], [0.0]])[: self.dma_cycles.shape[2]]
        return np.asarray(found[:, :, None] + weights[None, :, None] * absent)


def burst_bytes(size: FloatArray, memory: Memory) -> FloatArray:
    """Return the bytes of whole DRAM bursts that hold so many."""
    return np.asarray(np.ceil(size / memory.dram_burst_bytes) * memory.dram_burst_bytes)


def transfer_cycles(size: FloatArray, memory: Memory) -> FloatArray:
    """Return the cycles of one transfer; none for nothing."""
    moved = burst_bytes(size, memory) / memory.dram_bytes_per_cycle
    return np.asarray(np.where(size > 0, np.ceil(moved + memory.dma_setup_cycles), 0.0))


def build_tiling(rows: TileRunBatch) -> Tiling:
    """Return the candidates of runs that are alike."""
    if len(rows.step.heads) > 1:
        return strip_tiling(rows)
    return array_tiling(rows) if rows.node(rows.step.heads[0]).kind == "array" else vector_tiling(rows)


def compute_costs(rows: TileRunBatch, prefetchable: bool) -> CandidateCosts:
    """Price every candidate of runs that are alike; prefetchable: whether their own weights can have been fetched ahead."""
    memory, tiling = rows.hardware.memory, build_tiling(rows)
    tiles, compute = tiling.tiles[None, :, None], tiling.tile_cycles[None, :, None]
    load, store, need = _tile_transfers(rows, tiling)
    absent = np.array([[1.0], [0.0]]) if prefetchable else np.ones((1, 1))  # own weights: still to be fetched?
    load = (
        load[:, :, None] + transfer_cycles(tiling.streamed_weight_bytes / tiling.tiles, memory)[None, :, None] * absent
    )
    store = store[:, :, None]
    held = transfer_cycles(tiling.resident_weight_bytes, memory)[None, :, None] * absent
    busy = load + store
    busy *= tiles
    busy += held
    cycles = pipeline_cycles(tiles, load, compute, store)
    cycles += held + rows.hardware.schedule.operator_overhead_cycles
    if memory.dram_latency_cycles:
        np.add(cycles, memory.dram_latency_cycles, out=cycles, where=busy > 0)
    dram, chip = rows.prefetch_bytes
    fetch_cycles = transfer_cycles(dram, memory)
    total = busy[:, :, :, None] + fetch_cycles[:, None, :, None]
    np.maximum(total, cycles[:, :, :, None], out=total)
    buffer = np.stack([tiling.weight_buffer_bytes, tiling.full_weight_buffer_bytes][: len(absent)], axis=1)
    fits = buffer[:, :, None] + chip[:, None, :, None] <= memory.weight_buffer_bytes
    fits &= (tiling.accumulator_bytes <= memory.accumulator_bytes)[:, None, None]
    np.copyto(total, np.inf, where=~fits)
    return CandidateCosts(rows, tiling, busy, total, need, buffer, fetch_cycles, burst_bytes(dram, memory))


def _tile_transfers(rows: TileRunBatch, tiling: Tiling) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return cycles of a tile's loads and of its stores, and bytes kept on the chip, [combinations, rows, candidates] each."""
    shape = (len(rows.runs[0].local_flags), *tiling.tiles.shape)
    load, store, need = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    moves = [(load, *each) for each in tiling.reads.items()] + [(store, *each) for each in tiling.writes.items()]
    for cycles, tensor, how in moves:
        here = _on_chip(rows, tensor)
        np.add(cycles, (1 - here) * transfer_cycles(how.dram_bytes / tiling.tiles, rows.hardware.memory), out=cycles)
        need += np.where(here, rows.tensor_bytes(tensor), how.sram_bytes)
    need += tiling.inner_bytes
    return load, store, need


def _on_chip(rows: TileRunBatch, tensor: int) -> FloatArray:
    """Return 1 for the combinations in which a tensor is on the chip, [combinations or 1, 1, 1]."""
    run = rows.runs[0]
    return (
        run.local_flags[:, run.local_tensors.index(tensor), None, None]
        if tensor in run.local_tensors
        else np.zeros((1, 1, 1))
    )


def compute_group_costs(batch: WorkloadBatch, program: ScheduleGraph) -> list[CandidateCosts]:
    """Return the prices of each group of runs that are alike."""
    ahead = []
    for numbers in program.prefetchable:
        nothing = np.zeros((2, len(batch), 1))
        weights = [
            [table[:, program.runs[n].weight_nodes].sum(axis=1) for n in numbers] for table in batch.weight_bytes
        ]
        ahead.append(np.concatenate([nothing, np.array(weights).swapaxes(1, 2)], axis=2) if numbers else nothing)
    found = []
    for numbers in program.groups:
        runs = [program.runs[number] for number in numbers]
        fetched = np.concatenate([ahead[run.end] for run in runs], axis=1)
        found.append(
            compute_costs(
                TileRunBatch(batch, runs, fetched), prefetchable=runs[0].number in program.prefetchable[runs[0].start]
            )
        )
    return found
