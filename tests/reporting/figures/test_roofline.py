"""The roofline: marks lie where the figures say, under the roof, and no operator is dropped in silence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from simulation_examples import CONTENT, HARDWARE, made_operator, made_simulation, mobile, simulations

from donna_hw.reporting.figures.roofline import MARKERS, draw_roofline, render_roofline
from donna_hw.simulator.hardware import parse_hardware
from donna_hw.simulator.results import SimulationResult

PEAK, BANDWIDTH = 32 * 32, 16


def marks(figure: Figure, bound: str) -> np.ndarray:
    """Return where the marks of that bound stand, [n, 2]."""
    (found,) = (c for c in figure.axes[0].collections if to_hex(c.get_facecolor()[0]).upper() == MARKERS[bound][0])
    return np.asarray(found.get_offsets())


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in (*figure.legends[0].get_texts(), *figure.axes[0].texts)]


def test_marks_stand_at_macs_a_byte_and_macs_a_cycle() -> None:
    figure = draw_roofline(
        made_simulation(
            made_operator("a", macs=50_000, array=100, dram_bytes=800, overhead=0),
            made_operator("b", macs=2_000, array=5, dram_bytes=1600, overhead=0),
        )
    )
    assert marks(figure, "array") == pytest.approx(np.array([[50_000 / 800, 500]]))
    assert marks(figure, "dma") == pytest.approx(np.array([[2_000 / 1600, 20]]))
    text = words(figure)
    assert "array  50.0 %" in text
    assert "dma  50.0 %" in text
    assert "a, Conv  50.0 %" in text


def test_the_roof_is_of_the_array_and_of_dram() -> None:
    axes = draw_roofline(mobile()).axes[0]
    corners = np.concatenate([line.get_xydata() for line in axes.lines])
    assert corners[:, 1].max() == PEAK
    assert np.isclose(corners, [PEAK / BANDWIDTH, PEAK]).all(axis=1).any()
    assert (corners[:, 1] <= BANDWIDTH * corners[:, 0] * (1 + 1e-9)).all()


def test_every_mark_is_within_the_picture_and_under_the_roof() -> None:
    found = mobile()
    figure = draw_roofline(found)
    axes = figure.axes[0]
    points = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections])
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert len(points) == sum(op.macs > 0 for op in found.ops)
    assert ((points > [left, bottom]) & (points < [right, top])).all()
    assert (points[:, 1] <= np.minimum(PEAK, BANDWIDTH * points[:, 0]) * (1 + 1e-9)).all()


def test_without_dram_traffic_an_operator_stands_in_the_strip() -> None:
    ops = [
        made_operator("fed", macs=50_000, array=100, dram_bytes=800),
        made_operator("resident", macs=900, array=90),
    ]
    figure = draw_roofline(made_simulation(*ops))
    assert "no DRAM traffic" in words(figure)
    (x, y) = marks(figure, "array")[1]
    assert y == pytest.approx(9)
    assert 50_000 / 800 < x < figure.axes[0].get_xlim()[1]
    assert "no DRAM traffic" not in words(draw_roofline(made_simulation(ops[0])))


def test_without_multiply_accumulates_an_operator_is_named_with_its_share() -> None:
    adds = [made_operator(f"add{i}", "Add", vector=10, overhead=0) for i in range(8)]
    text = words(draw_roofline(made_simulation(made_operator("conv", macs=9, array=20, overhead=0), *adds)))
    assert "no multiply-accumulates, not drawn: 80.0 %" in text
    assert "add5, Add  10.0 %" in text
    assert "2 more  20.0 %" in text


def test_marks_that_lie_on_one_another_share_their_numbers() -> None:
    op = {"macs": 50_000, "array": 100, "dram_bytes": 800}
    text = words(
        draw_roofline(
            made_simulation(made_operator("a", **op), made_operator("b", **op), made_operator("c", macs=50, array=50))
        )
    )
    assert "1, 2" in text
    assert "3" in text


def test_a_roof_is_drawn_for_each_precision_that_operators_run_in() -> None:
    half = made_operator("half", macs=51_200, array=100, overhead=0, dram_bytes=1600, utilization=1.0)
    assert "array: 512 a cycle, int16, fp16" in words(draw_roofline(made_simulation(half)))
    full = made_operator("full", macs=51_200, array=100, overhead=0, dram_bytes=1600)
    assert not any("int16" in text for text in words(draw_roofline(made_simulation(full))))


@pytest.mark.parametrize(
    "free",
    [
        ["memory.dram_bytes_per_cycle=inf"],
        ["array.int8_macs=inf"],
        ["memory.dram_bytes_per_cycle=inf", "array.int8_macs=inf"],
    ],
)
def test_what_has_no_limit_has_no_roof(free: list[str]) -> None:
    hardware = parse_hardware(CONTENT, "made", free)
    op = made_operator("a", macs=50_000, array=100, dram_bytes=800, hardware=hardware)
    text = words(draw_roofline(made_simulation(op, hardware=hardware)))
    assert any(t.startswith("array:") for t in text) == ("array.int8_macs=inf" not in free)
    assert any(t.startswith("DRAM:") for t in text) == ("memory.dram_bytes_per_cycle=inf" not in free)
    assert render_roofline(made_simulation(op, hardware=hardware), "png")


@settings(deadline=None, max_examples=15)
@given(simulations())
def test_any_simulation_can_be_drawn(found: SimulationResult) -> None:
    axes = draw_roofline(found).axes[0]
    assert sum(len(c.get_offsets()) for c in axes.collections) == sum(
        op.macs > 0 and op.total_cycles > 0 for op in found.ops
    )


def test_the_same_simulation_gives_the_same_file_of_the_kind_that_was_asked_for() -> None:
    odd = made_simulation(made_operator("$x^$ 網 \x1b[31m _", macs=50, array=9), hardware=HARDWARE)
    drawn = render_roofline(odd, "svg")
    assert drawn == render_roofline(odd, "svg")
    assert drawn.startswith(b"<?xml")
    assert b"\x1b" not in drawn
    assert render_roofline(odd, "png").startswith(b"\x89PNG")
