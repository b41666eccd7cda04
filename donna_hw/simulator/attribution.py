"""Attribute a chosen schedule to the operators of the network, in whole cycles and bytes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from donna_hw.simulator.batch import WorkloadBatch
from donna_hw.simulator.candidate_costs import burst_bytes
from donna_hw.simulator.results import OperatorResult
from donna_hw.simulator.schedule import Selection
from donna_hw.simulator.tiling import Transfer

ORDER_LABELS = ("weights held", "weights again", "map again")  # the orders of `tiling.array_tiling`


def build_operator_results(batch: WorkloadBatch, choices: list[Selection]) -> tuple[OperatorResult, ...]:
    """Return the operators in the order in which they run; their cycles sum to those of the schedule."""
    results: list[OperatorResult] = []
    groups = 0
    for choice in choices:
        start = results[-1].start_cycle + results[-1].total_cycles if results else 0
        in_group = len(choice.costs.run.step.heads) > 1
        results += _run_results(batch, choice, start, groups if in_group else -1)
        groups += in_group
    return tuple(results)


def _run_results(batch: WorkloadBatch, choice: Selection, start: int, group: int) -> list[OperatorResult]:
    """Return the operators of one run: a single one, or the members of a depth-first group.

    The time, traffic and overhead of a group are divided among its members in proportion to their compute cycles; its reads belong to the
    first and its writes to the last.
    """
    costs, row = choice.costs.costs, int(choice.costs.row_indices[0])
    step, tiling = choice.costs.run.step, costs.tiling
    index, cost_index = (row, choice.candidate), (choice.combination, row, choice.prefetched, choice.candidate)
    tiles = int(tiling.tiles[index])
    total = int(costs.total_cycles[choice.combination, row, choice.prefetched, choice.prefetch_index, choice.candidate])
    computes = [int(units.longest[index]) * tiles for units in tiling.units]
    ends = [0, *map(int, np.cumsum(computes))]
    bounds = [end * total // max(ends[-1], 1) for end in ends]  # whole cycles that sum to the total
    bounds[-1] = total

    def share(amount: int, member: int) -> int:
        low, high = bounds[member : member + 2]
        return amount * high // max(total, 1) - amount * low // max(total, 1)

    dma = int(costs.dma_cycles[cost_index] + costs.fetch_cycles[row, choice.prefetch_index])
    fetched = int(costs.fetch_bytes[row, choice.prefetch_index])
    dram = int(costs.dram_bytes[cost_index]) + fetched
    latency = batch.hardware.memory.dram_latency_cycles * (costs.dma_cycles[cost_index] > 0)
    overhead = int(batch.hardware.schedule.operator_overhead_cycles + latency)
    read, written = (
        sum(_dram_bytes(batch, choice, tensor, transfer) for tensor, transfer in transfers.items())
        for transfers in (tiling.reads, tiling.writes)
    )
    array, energy = batch.hardware.array, batch.hardware.energy
    results = []
    for member, ((low, high), head, units) in enumerate(zip(pairwise(bounds), step.heads, tiling.units, strict=True)):
        node = batch.first.nodes[head]
        macs = node.geometry.macs if node.geometry else 0
        rate = batch.hardware.macs_per_element(node.precision or batch.hardware.precision)
        mac_j = getattr(energy, f"{node.precision or batch.hardware.precision}_mac_j")
        first, last = member == 0, member == len(step.heads) - 1
        weights = float(batch.weight_bytes[0][0, head]) if node.weights else 0.0
        streamed = float(tiling.streamed_weight_bytes[index]) if not choice.prefetched and len(step.heads) == 1 else 0.0
        cycles = {name: int(getattr(units, name)[index]) * tiles for name in ("array", "output", "vector", "sram")}
        shared = {"dma": share(dma, member), "overhead": share(overhead, member)}
        results.append(
            OperatorResult(
                name=node.name,
                op_type=node.op_type,
                fused=tuple(batch.first.nodes[n].name for n in _fused_nodes(choice, member)),
                array_cycles=cycles["array"],
                output_cycles=cycles["output"],
                vector_cycles=cycles["vector"],
                sram_cycles=cycles["sram"],
                compute_cycles=computes[member],
                dma_cycles=shared["dma"],
                overhead_cycles=shared["overhead"],
                stall_cycles=high - low - computes[member],
                total_cycles=high - low,
                start_cycle=start + low,
                macs=macs,
                dram_bytes=share(dram, member),
                prefetch_bytes=share(fetched, member),
                weight_bytes=int(max(streamed, weights)),
                input_bytes=read if first else 0,
                output_bytes=written if last else 0,
                sram_bytes=int(units.operand_bytes[index]),
                peak_sram_bytes=int(costs.peak_sram_bytes[choice.combination, row, choice.candidate]),
                tiles=tiles,
                tile=_format_tile(tiling.tile_sizes, index),
                utilization=float(min(macs / max((high - low) * array.rows * array.cols * rate, 1), 1.0)),
                energy_j=float(
                    macs * mac_j
                    + sum(batch.first.nodes[n].work for n in _vector_nodes(batch, choice, member))
                    * energy.vector_element_j
                    + float(units.operand_bytes[index]) * energy.sram_byte_j
                    + share(dram, member) * energy.dram_byte_j
                    + (high - low) / batch.hardware.clock_hz * energy.static_w
                ),
                bound_by=max((cycles | shared).items(), key=lambda pair: pair[1])[0],
                strip_group=group,
            )
        )
    return results


def _fused_nodes(choice: Selection, member: int) -> list[int]:
    """Return the nodes fused into a member: those between it and the next member."""
    step = choice.costs.run.step
    heads = (*step.heads, np.inf)
    return sorted(
        n for n in (*step.fused_vector_nodes[member], *step.output_stage_nodes) if heads[member] < n < heads[member + 1]
    )


def _vector_nodes(batch: WorkloadBatch, choice: Selection, member: int) -> tuple[int, ...]:
    """Return the nodes of a member that the vector unit runs."""
    step = choice.costs.run.step
    head = step.heads[member]
    return (*step.fused_vector_nodes[member], *((head,) if batch.first.nodes[head].kind == "vector" else ()))


def _dram_bytes(batch: WorkloadBatch, choice: Selection, tensor: int, transfer: Transfer) -> int:
    """Return the DRAM traffic of a tensor, 0 for one that stays on the chip."""
    run, index = choice.costs.costs.run_batch.runs[0], (int(choice.costs.row_indices[0]), choice.candidate)
    if tensor in run.local_tensors and run.local_flags[choice.combination, run.local_tensors.index(tensor)]:
        return 0
    tiles = choice.costs.costs.tiling.tiles[index]
    return int(burst_bytes(transfer.dram_bytes[index] / tiles, batch.hardware.memory) * tiles)


def _format_tile(tile_sizes: dict[str, np.ndarray], index: tuple[int, int]) -> str:
    """Return a tile as text: its rows, columns and channels with the order, the rows of a strip, or the number of parts."""
    sizes = {name: int(values[index]) for name, values in tile_sizes.items()}
    if "order" not in sizes:
        return ", ".join(f"{value} {name if value != 1 else name.removesuffix('s')}" for name, value in sizes.items())
    depth = f" of depth {sizes['depth']}" if sizes["depth"] else ""
    return f"{sizes['rows']}x{sizes['columns']}x{sizes['channels']}{depth}, {ORDER_LABELS[sizes['order']]}"
