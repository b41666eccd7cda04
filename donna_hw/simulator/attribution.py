"""Operators: a chosen schedule as what each operator of the network took, in whole cycles and bytes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from donna_hw.simulator.batch import WorkloadBatch
from donna_hw.simulator.candidate_costs import burst_bytes
from donna_hw.simulator.results import OperatorResult
from donna_hw.simulator.schedule import Selection
from donna_hw.simulator.tiling import Transfer

ORDER_LABELS = ("weights held", "weights again", "map again")  # by strips, by channels: see `tiles.array_tiling`


def build_operator_results(batch: WorkloadBatch, choices: list[Selection]) -> tuple[OperatorResult, ...]:
    """Return the operators in the order in which they run; their cycles add up to the schedule's."""
    found: list[OperatorResult] = []
    groups = 0
    for choice in choices:
        start = found[-1].start_cycle + found[-1].total_cycles if found else 0
        in_group = len(choice.costs.run.step.heads) > 1
        found += _run_results(batch, choice, start, groups if in_group else -1)
        groups += in_group
    return tuple(found)


def _run_results(batch: WorkloadBatch, choice: Selection, start: int, group: int) -> list[OperatorResult]:
    """Return the operators of one run: one, or the members of a depth-first group.

    A group's time, traffic and overhead are shared among its members in proportion to their computing, its reads named with the first, its
    writes with the last.
    """
    prices, row = choice.costs.costs, int(choice.costs.row_indices[0])
    step, tiling = choice.costs.run.step, prices.tiling
    at, place = (row, choice.candidate), (choice.combination, row, choice.prefetched, choice.candidate)
    tiles = int(tiling.tiles[at])
    total = int(
        prices.total_cycles[choice.combination, row, choice.prefetched, choice.prefetch_index, choice.candidate]
    )
    computes = [int(units.longest[at]) * tiles for units in tiling.units]
    ends = [0, *map(int, np.cumsum(computes))]
    bounds = [end * total // max(ends[-1], 1) for end in ends]  # of whole cycles: nothing is lost in rounding
    bounds[-1] = total

    def shared(amount: int, member: int) -> int:
        low, high = bounds[member : member + 2]
        return amount * high // max(total, 1) - amount * low // max(total, 1)

    dma = int(prices.dma_cycles[place] + prices.fetch_cycles[row, choice.prefetch_index])
    fetched = int(prices.fetch_bytes[row, choice.prefetch_index])
    dram = int(prices.dram_bytes[place]) + fetched
    waits = batch.hardware.memory.dram_latency_cycles * (prices.dma_cycles[place] > 0)
    overhead = int(batch.hardware.schedule.operator_overhead_cycles + waits)
    read, written = (
        sum(_dram_bytes(batch, choice, tensor, how) for tensor, how in tensors.items())
        for tensors in (tiling.reads, tiling.writes)
    )
    array, energy = batch.hardware.array, batch.hardware.energy
    found = []
    for member, ((low, high), head, units) in enumerate(zip(pairwise(bounds), step.heads, tiling.units, strict=True)):
        node = batch.first.nodes[head]
        macs = node.geometry.macs if node.geometry else 0
        rate = batch.hardware.macs_per_element(node.precision or batch.hardware.precision)
        mac_j = getattr(energy, f"{node.precision or batch.hardware.precision}_mac_j")
        first, last = member == 0, member == len(step.heads) - 1
        weights = float(batch.weight_bytes[0][0, head]) if node.weights else 0.0
        again = float(tiling.streamed_weight_bytes[at]) if not choice.prefetched and len(step.heads) == 1 else 0.0
        cycles = {name: int(getattr(units, name)[at]) * tiles for name in ("array", "output", "vector", "sram")}
        mine = {"dma": shared(dma, member), "overhead": shared(overhead, member)}
        found.append(
            OperatorResult(
                name=node.name,
                op_type=node.op_type,
                fused=tuple(batch.first.nodes[n].name for n in _fused_nodes(choice, member)),
                array_cycles=cycles["array"],
                output_cycles=cycles["output"],
                vector_cycles=cycles["vector"],
                sram_cycles=cycles["sram"],
                compute_cycles=computes[member],
                dma_cycles=mine["dma"],
                overhead_cycles=mine["overhead"],
                stall_cycles=high - low - computes[member],
                total_cycles=high - low,
                start_cycle=start + low,
                macs=macs,
                dram_bytes=shared(dram, member),
                prefetch_bytes=shared(fetched, member),
                weight_bytes=int(max(again, weights)),
                input_bytes=read if first else 0,
                output_bytes=written if last else 0,
                sram_bytes=int(units.operand_bytes[at]),
                peak_sram_bytes=int(prices.peak_sram_bytes[choice.combination, row, choice.candidate]),
                tiles=tiles,
                tile=_format_tile(tiling.tile_sizes, at),
                utilization=float(min(macs / max((high - low) * array.rows * array.cols * rate, 1), 1.0)),
                energy_j=float(
                    macs * mac_j
                    + sum(batch.first.nodes[n].work for n in _vector_nodes(batch, choice, member))
                    * energy.vector_element_j
                    + float(units.operand_bytes[at]) * energy.sram_byte_j
                    + shared(dram, member) * energy.dram_byte_j
                    + (high - low) / batch.hardware.clock_hz * energy.static_w
                ),
                bound_by=max((cycles | mine).items(), key=lambda pair: pair[1])[0],
                strip_group=group,
            )
        )
    return found


def _fused_nodes(choice: Selection, member: int) -> list[int]:
    """Return the nodes that ran fused to a member: those that follow it and come before the next."""
    step = choice.costs.run.step
    heads = (*step.heads, np.inf)
    return sorted(
        n for n in (*step.fused_vector_nodes[member], *step.output_stage_nodes) if heads[member] < n < heads[member + 1]
    )


def _vector_nodes(batch: WorkloadBatch, choice: Selection, member: int) -> tuple[int, ...]:
    """Return the nodes of a member that run on the vector unit."""
    step = choice.costs.run.step
    head = step.heads[member]
    return (*step.fused_vector_nodes[member], *((head,) if batch.first.nodes[head].kind == "vector" else ()))


def _dram_bytes(batch: WorkloadBatch, choice: Selection, tensor: int, how: Transfer) -> int:
    """Return the DRAM traffic of a tensor: none for one that stays on the chip."""
    run, at = choice.costs.costs.run_batch.runs[0], (int(choice.costs.row_indices[0]), choice.candidate)
    if tensor in run.local_tensors and run.local_flags[choice.combination, run.local_tensors.index(tensor)]:
        return 0
    tiles = choice.costs.costs.tiling.tiles[at]
    return int(burst_bytes(how.dram_bytes[at] / tiles, batch.hardware.memory) * tiles)


def _format_tile(cut: dict[str, np.ndarray], at: tuple[int, int]) -> str:
    """Return a cut for people: the rows, columns and channels of a tile and the order, the rows of a strip, or how many parts."""
    sizes = {name: int(values[at]) for name, values in cut.items()}
    if "order" not in sizes:
        return ", ".join(f"{value} {name if value != 1 else name.removesuffix('s')}" for name, value in sizes.items())
    depth = f" of depth {sizes['depth']}" if sizes["depth"] else ""
    return f"{sizes['rows']}x{sizes['columns']}x{sizes['channels']}{depth}, {ORDER_LABELS[sizes['order']]}"
