"""What `donna-hw simulate` prints: where the time goes, operator by operator, and the totals of the network."""

from __future__ import annotations

import math
from collections.abc import Sequence

from donna_hw._core.units import choose_unit, format_quantity
from donna_hw.reporting.text.rich_table import render_table, terminal_width
from donna_hw.simulator.hardware import Energy, Hardware
from donna_hw.simulator.results import OperatorResult, SimulationResult

DEFAULT_WIDTH = 140  # characters of a table where standard output is no terminal
MIN_COLUMN_WIDTH = 8  # characters of a column of names, however many columns there are
COLUMN_WEIGHTS = {"operator": 1.7, "tile": 1.7}  # these may be so many times as wide as the others
MAX_NAMES = 8  # operators or types that a line names


def format_simulation(result: SimulationResult, top: int | None = None) -> str:
    """Return the operators in their order, only the `top` most expensive if given, and the totals."""
    return f"{_operators(result, top)}\n\n{format_simulation_totals(result)}"


def format_simulation_totals(result: SimulationResult) -> str:
    """Return device, cycles, latency, energy and traffic, what bounds the operators, and which of them are unknown."""
    energy = (
        "not defined by the device" if result.hardware.energy == Energy() else format_quantity(result.energy_j, "J")
    )
    lines = [
        f"{result.model} on {result.device}, simulated: {format_hardware(result.hardware)}",
        f"latency {format_quantity(result.latency_s, 's')}, {result.total_cycles} cycles; energy {energy}; "
        f"{format_quantity(result.macs, 'MAC')}; "
        f"DRAM {format_quantity(result.dram_bytes, 'B')}; mean utilization {100 * result.utilization:.1f} %",
        f"bound by: {_shares(result, 'bound_by')}",
        f"by type: {_shares(result, 'op_type')}",
    ]
    if result.unknown_ops:
        lines.append(format_unknown_operators(result))
    return "\n".join(lines)


def format_unknown_operators(result: SimulationResult) -> str:
    """Return which operators are treated as data movement because the simulator does not know them."""
    return f"unknown operators, treated as data movement: {_format_names(result.unknown_ops)}"


def format_hardware(hardware: Hardware) -> str:
    """Return the main figures of a tensor unit in one line."""
    array, memory, vector = hardware.array, hardware.memory, hardware.vector
    return (
        f"{array.rows} x {array.cols} {array.dataflow} {array.timing}, {hardware.precision}, {format_quantity(hardware.clock_hz, 'Hz')}; "
        f"SRAM {_size(memory.sram_bytes)}, weights {_size(memory.weight_buffer_bytes)}, sums {_size(memory.accumulator_bytes)}; "
        f"DRAM {memory.dram_bytes_per_cycle:g} B/cycle; {vector.lanes} vector lanes"
    )


def _operators(result: SimulationResult, top: int | None) -> str:
    expensive = sorted(range(len(result.ops)), key=lambda i: -result.ops[i].total_cycles)[:top]
    shown = [result.ops[i] for i in sorted(expensive)]
    bytes_unit, byte_size = choose_unit(max((op.dram_bytes for op in shown), default=0), "B")
    energy_unit, joule_size = choose_unit(max((op.energy_j for op in shown), default=0.0), "J")
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
        f"DRAM {bytes_unit}": [f"{op.dram_bytes / byte_size:.3g}" for op in shown],
        "used %": [f"{100 * op.utilization:.1f}" for op in shown],
        energy_unit: [f"{op.energy_j / joule_size:.3g}" for op in shown],
    }
    columns: dict[str, Sequence[object]] = {
        **_fit_columns(texts, (terminal_width() or DEFAULT_WIDTH) - _width(figures) - 2),
        **figures,
    }
    text = render_table(list(columns), list(zip(*columns.values(), strict=True)))
    if len(shown) == len(result.ops):
        return text
    share = sum(op.total_cycles for op in shown) / max(result.total_cycles, 1)
    return f"{text}\nthe {len(shown)} most expensive of {len(result.ops)} operators: {100 * share:.1f} % of the cycles"


def _format_fused(op: OperatorResult) -> str:
    """Return the fused operators by the last part of their names, which is the type in names that exporters choose."""
    return ",".join(name.rstrip("/").rpartition("/")[2] or name for name in op.fused)


def _fit_columns(texts: dict[str, list[str]], room: int) -> dict[str, list[str]]:
    """Return columns of names that fit into `room` terminal cells with their gaps; the widest is cut first."""
    from rich.cells import cell_len

    printed = {name: [shorten(cell, len(cell)) for cell in cells] for name, cells in texts.items()}
    widths = {name: max(len(name), *map(cell_len, cells), 0) for name, cells in printed.items()}
    while sum(widths.values()) + 2 * (len(widths) - 1) > room:
        widest = max(widths, key=lambda name: widths[name] / COLUMN_WEIGHTS.get(name, 1))
        if widths[widest] <= MIN_COLUMN_WIDTH:
            break
        widths[widest] -= 1
    return {name: [_fit_name(cell, widths[name]) for cell in cells] for name, cells in printed.items()}


def _fit_name(name: str, width: int) -> str:
    """Return a name in at most `width` terminal cells; one character can fill two."""
    from rich.cells import cell_len

    if cell_len(name) <= width:
        return name
    short = shorten(name, width)
    while cell_len(short) > width:
        short = shorten(name, len(short) - 1)
    return short


def _width(columns: dict[str, list[object]]) -> int:
    return sum(max(len(name), *(len(str(cell)) for cell in cells), 0) + 2 for name, cells in columns.items()) - 2


def _shares(result: SimulationResult, field: str) -> str:
    rows = result.totals_by(field).to_dict("records")
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

    Most of the rest is the name's end, since the names of one network begin alike.
    """
    plain = "".join(character if character.isprintable() else "?" for character in name)
    if len(plain) <= width:
        return plain
    remaining = max(width - len(ELLIPSIS), 0)
    head = min(remaining // 4, 6)
    return (plain[:head] + ELLIPSIS + plain[len(plain) - (remaining - head) :])[:width]
