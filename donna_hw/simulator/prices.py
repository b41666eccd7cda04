"""Prices: what each candidate of a run costs, for every place of its tensors and with or without its own and the next one's weights fetched ahead.

Axes, in this order: combinations of places, workloads, candidates, own weights (0: fetched now, 1: there already), the next one's (0: not
now, or each run that may follow).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from donna_hw.simulator import pipeline
from donna_hw.simulator.batch import Batch
from donna_hw.simulator.hardware import Memory
from donna_hw.simulator.program import Program, Run
from donna_hw.simulator.strips import strip_tiling
from donna_hw.simulator.tiles import Tiling, array_tiling, vector_tiling

Numbers = np.ndarray


@dataclass(frozen=True)
class Prices:
    """Cycles of every candidate and what they are made of. busy: of the DMA with the own data; total: start to end, whole cycles.

    need: bytes of SRAM; buffer: bytes of weights on the chip. moved: DRAM bytes of the own data. fetch_*: of the next one's weights.
    """

    tiling: Tiling
    busy: Numbers
    total: Numbers
    need: Numbers
    buffer: Numbers
    moved: Numbers
    fetch_cycles: Numbers
    fetch_bytes: Numbers
    fetch_buffer: Numbers


def burst(size: Numbers, memory: Memory) -> Numbers:
    """Return the bytes of whole DRAM bursts that hold so many."""
    return np.asarray(np.ceil(size / memory.dram_burst_bytes) * memory.dram_burst_bytes)


def transfer(size: Numbers, memory: Memory) -> Numbers:
    """Return the cycles of one transfer; none for nothing."""
    moved = burst(size, memory) / memory.dram_bytes_per_cycle
    return np.asarray(np.where(size > 0, np.ceil(moved + memory.dma_setup_cycles), 0.0))


def tiling_of(batch: Batch, run: Run) -> Tiling:
    """Return the candidates of a run."""
    if len(run.step.heads) > 1:
        return strip_tiling(batch, run.step)
    return (
        array_tiling(batch, run.step)
        if batch.node(run.step.heads[0]).kind == "array"
        else vector_tiling(batch, run.step)
    )


def prices_of(batch: Batch, run: Run, program: Program) -> Prices:
    """Price every candidate of a run."""
    hardware, memory = batch.hardware, batch.hardware.memory
    tiling = tiling_of(batch, run)
    tiles = tiling.tiles
    ahead = program.ahead[run.after]
    own = run.number in program.ahead[run.first]
    # transfers of a tile, by place of the tensors
    load = np.zeros((len(run.flags), *tiles.shape))
    store, moved, need = load.copy(), load.copy(), load + tiling.inner_bytes
    for tensors, cycles in ((tiling.reads, load), (tiling.writes, store)):
        for tensor, how in tensors.items():
            here = run.flags[:, run.chosen.index(tensor), None, None] if tensor in run.chosen else np.zeros((1, 1, 1))
            piece = how.traffic / tiles
            cycles += (1 - here) * transfer(piece, memory)
            moved += (1 - here) * burst(piece, memory) * tiles
            need += np.where(here, batch.bytes_of(tensor), how.kept)
    streamed = tiling.streamed_bytes / tiles
    with_own = [0.0, 1.0] if own else [0.0]
    absent = 1 - np.array(with_own)  # own weights still to be fetched
    loads = load[..., None] + transfer(streamed, memory)[None, ..., None] * absent
    before = transfer(tiling.held_bytes, memory)[None, ..., None] * absent
    stores = store[..., None]
    weights = burst(streamed, memory) * tiles + burst(tiling.held_bytes, memory)
    busy = before + tiles[None, ..., None] * (loads + stores)
    runs = pipeline.duration(tiles[None, ..., None], loads, tiling.compute[None, ..., None], stores)
    runs += before + hardware.schedule.operator_overhead_cycles
    if memory.dram_latency_cycles:
        runs += memory.dram_latency_cycles * (busy > 0)
    buffers = [tiling.buffer_bytes, tiling.whole_buffer_bytes] if own else [tiling.buffer_bytes]
    nothing = np.zeros((len(batch), 1))
    fetch = [(nothing, nothing)] + [weights_of(batch, program.runs[number]) for number in ahead]
    fetch_bytes = np.concatenate([burst(dram, memory) for dram, _ in fetch], axis=1)
    fetch_cycles = np.concatenate([transfer(dram, memory) for dram, _ in fetch], axis=1)
    total = np.maximum(runs[..., None], busy[..., None] + fetch_cycles[None, :, None, None, :])
    return Prices(
        tiling,
        busy,
        total,
        need,
        np.stack(buffers, axis=-1),
        moved[..., None] + weights[None, ..., None] * absent,
        fetch_cycles,
        fetch_bytes,
        np.concatenate([chip for _, chip in fetch], axis=1),
    )


def weights_of(batch: Batch, run: Run) -> tuple[Numbers, Numbers]:
    """Return the bytes of all weights of a run in DRAM and on the chip, float [n, 1]."""
    pairs = [batch.weight_bytes(head) for head in run.weights]
    none = np.zeros((len(batch), 1))
    return sum((dram for dram, _ in pairs), none), sum((chip for _, chip in pairs), none)


def possible(prices: Prices, spare: Numbers, memory: Memory) -> Numbers:
    """Return which candidates fit, bool [beside combinations, combinations, workloads, candidates, own, next].

    spare: bytes of SRAM that other tensors leave, [beside combinations, workloads].
    """
    in_sram = prices.need[None] <= spare[:, None, :, None]
    in_buffer = prices.buffer[..., None] + prices.fetch_buffer[:, None, None, :] <= memory.weight_buffer_bytes
    in_sums = prices.tiling.sums_bytes <= memory.accumulator_bytes
    return np.asarray(in_sram[..., None, None] & (in_buffer & in_sums[..., None, None])[None, None])
