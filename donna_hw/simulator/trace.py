"""A simulation as a timeline for Perfetto or chrome://tracing: a track for each unit, a slice for each operator.

Trace Event Format: complete events (`X`), counters (`C`) and names (`M`); times in microseconds. A simulation gives how long a unit was
busy within an operator, but not when: each slice starts with its operator and lasts the busy cycles.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from donna_hw.simulator.results import OperatorResult, SimulationResult

GROUPS, OPERATORS = "depth-first groups", "operators"
_BUSY_FIELDS = {  # track of a unit: the field with its busy cycles in an operator
    "array": "array_cycles",
    "output stage": "output_cycles",
    "vector unit": "vector_cycles",
    "SRAM": "sram_cycles",
    "DMA": "dma_cycles",
}
TRACKS = (GROUPS, OPERATORS, *_BUSY_FIELDS)
_PROCESS = 1


def to_perfetto(simulation: SimulationResult) -> dict[str, Any]:
    """Return the timeline as a JSON object for a .json file that ui.perfetto.dev opens; `args` has the exact cycles of each event."""
    hertz = simulation.hardware.clock_hz
    events: list[dict[str, Any]] = [
        _name("process_name", 0, name=f"{simulation.model} on {simulation.device}, simulated")
    ]
    for number, track in enumerate(TRACKS, 1):
        events += [
            _name("thread_name", number, name=track),
            _name("thread_sort_index", number, sort_index=number),
        ]
    for op in simulation.ops:
        events.append(_slice(OPERATORS, op, op.total_cycles, hertz, _details(op)))
        for track, field in _BUSY_FIELDS.items():
            cycles = getattr(op, field)
            if cycles:
                details = {"dram_bytes": op.dram_bytes, "prefetch_bytes": op.prefetch_bytes} if track == "DMA" else {}
                events.append(_slice(track, op, cycles, hertz, details))
        events.append(_counter("SRAM in use", op.start_cycle, hertz, bytes=op.peak_sram_bytes))
    events.append(_counter("SRAM in use", simulation.total_cycles, hertz, bytes=0))
    for number, members in groupby(simulation.ops, key=lambda op: op.strip_group):
        if number >= 0:
            events.append(_group(number, list(members), hertz))
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "model": simulation.model,
            "device": simulation.device,
            "origin": "simulated",
            "clock_hz": hertz,
            "total_cycles": simulation.total_cycles,
            "unknown_ops": list(simulation.unknown_ops),
        },
    }


def _group(number: int, members: list[OperatorResult], hertz: float) -> dict[str, Any]:
    first, last = members[0], members[-1]
    cycles = last.start_cycle + last.total_cycles - first.start_cycle
    details = {"members": [op.name for op in members], "dram_bytes": sum(op.dram_bytes for op in members)}
    return {**_slice(GROUPS, first, cycles, hertz, details), "name": f"group {number}", "cat": "depth-first"}


def _slice(track: str, op: OperatorResult, cycles: int, hertz: float, details: dict[str, Any]) -> dict[str, Any]:
    """Return a slice that starts with its operator."""
    start = op.start_cycle
    begin, end = _microseconds(start, hertz), _microseconds(start + cycles, hertz)
    return {
        "ph": "X",
        "pid": _PROCESS,
        "tid": TRACKS.index(track) + 1,
        "name": op.name or op.op_type,
        "cat": op.op_type,
        "ts": begin,
        "dur": end - begin,  # from the ends, so that neighbors meet despite rounding
        "args": {"start_cycle": start, "cycles": cycles, **details},
    }


def _details(op: OperatorResult) -> dict[str, Any]:
    return {
        "bound_by": op.bound_by,
        "tile": op.tile,
        "tiles": op.tiles,
        "fused": list(op.fused),
        "compute_cycles": op.compute_cycles,
        "stall_cycles": op.stall_cycles,
        "overhead_cycles": op.overhead_cycles,
        "macs": op.macs,
        "utilization": op.utilization,
        "dram_bytes": op.dram_bytes,
        "weight_bytes": op.weight_bytes,
        "input_bytes": op.input_bytes,
        "output_bytes": op.output_bytes,
        "sram_bytes": op.sram_bytes,
        "peak_sram_bytes": op.peak_sram_bytes,
        "energy_j": op.energy_j,
    }


def _counter(name: str, cycle: int, hertz: float, **values: int) -> dict[str, Any]:
    return {"ph": "C", "pid": _PROCESS, "name": name, "ts": _microseconds(cycle, hertz), "args": values}


def _name(event: str, thread: int, **args: object) -> dict[str, Any]:
    return {"ph": "M", "pid": _PROCESS, "tid": thread, "name": event, "args": args}


def _microseconds(cycle: int, hertz: float) -> float:
    return cycle * 1e6 / hertz
