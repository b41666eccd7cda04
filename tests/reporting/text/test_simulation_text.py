"""The text of a simulation: every operator with its figures, within the width of a terminal, and totals that add up."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from simulation_examples import CONTENT, HARDWARE, made_operator, made_simulation, mobile, simulations

from donna_hw.reporting.text.simulation import DEFAULT_WIDTH, format_simulation, shorten
from donna_hw.simulator.hardware import parse_hardware
from donna_hw.simulator.results import OperatorResult, SimulationResult

UNLIMITED = parse_hardware(CONTENT, "made", ["memory.dram_bytes_per_cycle=inf", "memory.sram_bytes=inf"])


def rows(text: str) -> list[list[str]]:
    """Return the cells of the table's rows."""
    lines = text.split("\n\n", maxsplit=1)[0].splitlines()
    starts = [i for i in range(len(lines[1])) if lines[1][i] == "-" and (i == 0 or lines[1][i - 1] == " ")]
    ends = [*starts[1:], None]
    return [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines[2:]]


def test_an_operator_is_a_row_of_its_figures() -> None:
    op = made_operator(
        "conv",
        macs=64000,
        array=100,
        output=40,
        vector=7,
        dram_bytes=3200,
        overhead=5,
        fused=("/a/Clip", "add"),
        tile="4x8",
    )
    (row,) = rows(format_simulation(made_simulation(op)))
    total = 3200 // 16 + 5
    used = f"{100 * 64000 / (1024 * total):.1f}"
    figures = [total, 100, 200, 7, total - 100]
    assert row == ["conv", "Conv", "Clip,add", "4x8", *map(str, figures), "dma", "3.12", used, "76.8"]


def test_totals_are_those_of_the_operators() -> None:
    found = mobile()
    text = format_simulation(found)
    assert len(rows(text)) == len(found.ops)
    assert f"{sum(op.total_cycles for op in found.ops)} cycles" in text
    assert (
        "32 x 32 ws pipelined, int8, 800 MHz; SRAM 1 MiB, weights 256 KiB, sums 128 KiB; DRAM 16 B/cycle; 32 vector lanes"
        in text
    )
    assert "mobile on made, simulated" in text


def test_what_bounds_is_weighed_by_time() -> None:
    ops = [made_operator("a", array=30, overhead=0), made_operator("b", "Add", vector=70, overhead=0)]
    text = format_simulation(made_simulation(*ops))
    assert "bound by: vector 70.0 %, array 30.0 %" in text
    assert "by type: Add 70.0 %, Conv 30.0 %" in text


def test_the_most_expensive_are_shown_in_the_order_they_run() -> None:
    ops = [made_operator(f"op{i}", array=cycles, overhead=0) for i, cycles in enumerate((50, 1, 9, 40))]
    text = format_simulation(made_simulation(*ops), 2)
    assert [row[0] for row in rows(text)[:2]] == ["op0", "op3"]
    assert "the 2 most expensive of 4 operators: 90.0 % of the cycles" in text
    assert "of the cycles" not in format_simulation(made_simulation(*ops), 4)


def test_unknown_operators_and_missing_energies_are_reported() -> None:
    plain = HARDWARE.model_copy(update={"energy": type(HARDWARE.energy)()})
    text = format_simulation(made_simulation(hardware=plain, unknown_ops=("odd", "odder")))
    assert "unknown operators, treated as data movement: odd, odder" in text
    assert "energy not defined by the device" in text
    assert "unknown operators" not in format_simulation(made_simulation())


def test_unlimited_hardware_is_shown_as_such() -> None:
    text = format_simulation(made_simulation(made_operator("a", array=3, hardware=UNLIMITED), hardware=UNLIMITED))
    assert "SRAM unlimited" in text
    assert "DRAM inf B/cycle" in text


@settings(deadline=None, max_examples=60)
@given(simulations())
def test_any_simulation_fits_a_terminal_and_names_every_operator(found: SimulationResult) -> None:
    text = format_simulation(found)
    table = text.split("\n\n")[0].splitlines()
    assert len(table) == len(found.ops) + 2
    assert max(map(cell_len, table)) <= DEFAULT_WIDTH


def test_characters_of_two_cells_are_counted_twice() -> None:
    widest = "9" * 7
    ops = [
        made_operator("x" * 30 + "\u2e80" * 20, "Conv", fused=("y" * 60,), tile=widest),
        made_operator("\u2e80" * 60),
    ]
    table = format_simulation(made_simulation(*ops)).split("\n\n")[0].splitlines()
    assert DEFAULT_WIDTH - 1 <= max(map(cell_len, table)) <= DEFAULT_WIDTH
    assert all(row.startswith(op.name[:2]) for op, row in zip(ops, table[2:], strict=True))


@settings(deadline=None, max_examples=60)
@given(simulations())
def test_totals_by_a_field_add_up(found: SimulationResult) -> None:
    for field in ("op_type", "bound_by"):
        totals = found.totals_by(field)
        assert int(totals["total_cycles"].sum()) == found.total_cycles
        assert int(totals["operators"].sum()) == len(found.ops)
        assert totals["share"].sum() == pytest.approx(1.0 if found.total_cycles else 0.0)
        assert totals["total_cycles"].is_monotonic_decreasing


@settings(deadline=None, max_examples=60)
@given(simulations())
def test_a_frame_and_the_json_hold_every_field(found: SimulationResult) -> None:
    frame = found.to_frame()
    assert list(frame.columns) == list(OperatorResult.__dataclass_fields__)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    for op, row, table in zip(found.ops, frame.to_dict("records"), read["ops"], strict=True):
        assert OperatorResult(**row) == op
        assert OperatorResult(**{**table, "fused": tuple(table["fused"])}) == op
    assert read["total_cycles"] == found.total_cycles


def test_infinite_hardware_is_the_text_inf_in_json() -> None:
    read = json.loads(json.dumps(made_simulation(hardware=UNLIMITED).to_dict(), allow_nan=False))
    memory = read["hardware"]["memory"]
    assert memory["dram_bytes_per_cycle"] == memory["sram_bytes"] == "inf"
    assert {name: float(value) for name, value in memory.items()} == UNLIMITED.memory.model_dump()


def test_mean_utilization_is_that_of_all_cycles() -> None:
    ops = [made_operator("a", macs=1024 * 30, array=30, overhead=0), made_operator("b", vector=90, overhead=0)]
    assert made_simulation(*ops).utilization == pytest.approx(1024 * 30 / (1024 * 120))
    assert made_simulation().utilization == 0
    assert not math.isnan(made_simulation(made_operator("idle", overhead=0)).utilization)


@given(st.text(max_size=50), st.integers(0, 40))
def test_a_shortened_name_keeps_its_ends_and_can_be_printed(name: str, width: int) -> None:
    short = shorten(name, width)
    assert len(short) == min(len(name), width)
    assert short.isprintable()
    if len(name) <= width and name.isprintable():
        assert short == name
    if len(name) > width >= 2 and name.isprintable():
        cuts = [i for i in range(width - 1) if short[i : i + 2] == ".."]
        assert any(name.startswith(short[:i]) and name.endswith(short[i + 2 :]) for i in cuts)
