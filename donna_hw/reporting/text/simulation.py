"""What `donna-hw simulate` prints: operator by operator where the time goes, and what the whole network takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from donna_hw._core.units import choose_unit, format_quantity
from donna_hw.reporting.text.summaries import tabulate
from donna_hw.simulator.hardware import Energy, Hardware
from donna_hw.simulator.results import OperatorResult, SimulationResult

TERMINAL_WIDTH = 140  # of a terminal
MIN_COLUMN_WIDTH = 8  # characters that a column of names keeps however many columns there are
COLUMN_WEIGHTS = {"operator": 1.7, "tile": 1.7}  # these may be so many times as wide as the others
MAX_NAMES = 8  # operators or types that a line names


def format_simulation(found: SimulationResult, top: int | None = None) -> str:
    """Return the operators in their order, only the `top` dearest if given, and the totals."""
    return f"{_operators(found, top)}\n\n{format_simulation_totals(found)}"


def format_simulation_totals(found: SimulationResult) -> str:
    """Return the device, cycles, latency, energy and traffic, what bounds them, and which operators are unknown."""
    energy = "none given by the device" if found.hardware.energy == Energy() else format_quantity(found.energy_j, "J")
    lines = [
        f"{found.model} on {found.device}, simulated: {format_hardware(found.hardware)}",
        f"latency {format_quantity(found.latency_s, 's')}, {found.total_cycles} cycles; energy {energy}; {format_quantity(found.macs, 'MAC')}; "
        f"DRAM {format_quantity(found.dram_bytes, 'B')}; mean utilisation {100 * found.utilization:.1f} %",
        f"bound by: {_shares(found, 'bound_by')}",
        f"by type: {_shares(found, 'op_type')}",
    ]
    if found.unknown_ops:
        lines.append(format_unknown_operators(found))
    return "\n".join(lines)


def format_unknown_operators(found: SimulationResult) -> str:
    """Return which operators are costed as data movement for want of a rule."""
    return f"costed as data movement for want of a rule: {_format_names(found.unknown_ops)}"


def format_hardware(hardware: Hardware) -> str:
    """Return the main figures of a tensor unit in one line."""
    array, memory, vector = hardware.array, hardware.memory, hardware.vector
    return (
        f"{array.rows} x {array.cols} {array.dataflow} {array.timing}, {hardware.precision}, {format_quantity(hardware.clock_hz, 'Hz')}; "
        f"SRAM {_size(memory.sram_bytes)}, weights {_size(memory.weight_buffer_bytes)}, sums {_size(memory.accumulator_bytes)}; "
        f"DRAM {memory.dram_bytes_per_cycle:g} B/cycle; {vector.lanes} vector lanes"
    )


def _operators(found: SimulationResult, top: int | None) -> str:
    dearest = sorted(range(len(found.ops)), key=lambda i: -found.ops[i].total_cycles)[:top]
    shown = [found.ops[i] for i in sorted(dearest)]
    bytes_unit, one_byte = choose_unit(max((op.dram_bytes for op in shown), default=0), "B")
    energy_unit, one_joule = choose_unit(max((op.energy_j for op in shown), default=0.0), "J")
    texts = {
        "operator": [op.name for op in shown],
        "type": [op.op_type for op in shown],
        "fused": [_format_fused(op) for op in shown],
        "tile": [op.tile for op in shown],
    }
    figures: dict[str, list[object]] = {
        "cycles": [op.total_cycles for op in shown],
        "compute": [op.compute_cycles for op in shown],
        "DMA": [op.dma_cycles for op in shown],
        "vector": [op.vector_cycles for op in shown],
        "stall": [op.stall_cycles for op in shown],
        "bound by": [op.bound_by for op in shown],
        f"DRAM {bytes_unit}": [f"{op.dram_bytes / one_byte:.3g}" for op in shown],
        "used %": [f"{100 * op.utilization:.1f}" for op in shown],
        energy_unit: [f"{op.energy_j / one_joule:.3g}" for op in shown],
    }
    columns: dict[str, Sequence[object]] = {**_fit_columns(texts, TERMINAL_WIDTH - _width(figures) - 2), **figures}
    text = tabulate(list(columns), list(zip(*columns.values(), strict=True)))
    if len(shown) == len(found.ops):
        return text
    share = sum(op.total_cycles for op in shown) / max(found.total_cycles, 1)
    return f"{text}\nthe {len(shown)} dearest of {len(found.ops)} operators: {100 * share:.1f} % of the cycles"


def _format_fused(op: OperatorResult) -> str:
    """Return what ran within an operator by the last part of its name, which is its type where an exporter chose it."""
    return ",".join(name.rstrip("/").rpartition("/")[2] or name for name in op.fused)


def _fit_columns(texts: dict[str, list[str]], room: int) -> dict[str, list[str]]:
    """Return columns of names that fit into `room` with their gaps: the widest is cut first."""
    widths = {name: max(len(name), *map(len, cells), 0) for name, cells in texts.items()}
    while sum(widths.values()) + 2 * (len(widths) - 1) > room:
        widest = max(widths, key=lambda name: widths[name] / COLUMN_WEIGHTS.get(name, 1))
        if widths[widest] <= MIN_COLUMN_WIDTH:
            break
        widths[widest] -= 1
    return {name: [shorten(cell, widths[name]) for cell in cells] for name, cells in texts.items()}


def _width(columns: dict[str, list[object]]) -> int:
    return sum(max(len(name), *(len(str(cell)) for cell in cells), 0) + 2 for name, cells in columns.items()) - 2


def _shares(found: SimulationResult, field: str) -> str:
    rows = found.totals_by(field).to_dict("records")
    parts = [f"{shorten(str(row[field]), 40)} {100 * row['share']:.1f} %" for row in rows[:MAX_NAMES]]
    if len(rows) > MAX_NAMES:
        parts.append(f"{len(rows) - MAX_NAMES} more {100 * sum(row['share'] for row in rows[MAX_NAMES:]):.1f} %")
    return ", ".join(parts) or "nothing"


def _format_names(names: Sequence[str]) -> str:
    more = f", and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(shorten(name, 40) for name in names[:MAX_NAMES]) + more


def _size(value: float) -> str:
    return "unlimited" if math.isinf(value) else format_quantity(value, "B")


ELLIPSIS = ".."


def shorten(name: str, width: int) -> str:
    """Return a name in at most `width` characters, cut in the middle; what cannot be printed becomes `?`.

    Most of what is kept is its end: names of one network begin alike.
    """
    plain = "".join(sign if sign.isprintable() else "?" for sign in name)
    if len(plain) <= width:
        return plain
    kept = max(width - len(ELLIPSIS), 0)
    head = min(kept // 4, 6)
    return (plain[:head] + ELLIPSIS + plain[len(plain) - (kept - head) :])[:width]
