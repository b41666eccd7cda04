"""Array cycles are SCALE-Sim's to the cycle, and what the closed forms say of other timings and mappings."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hardware_examples import Sketch, unit
from hypothesis import given
from hypothesis import strategies as st

from donna_hw.simulator.array import (
    Product,
    count_cycles,
    count_folds,
    count_operands,
    count_partial_sums,
    map_to_array,
)
from donna_hw.simulator.hardware import SystolicArray
from donna_hw.simulator.simulate import simulate

# 51 runs of SCALE-Sim 3.0.0 with SRAM that never stalls; benchmarks/tensor_unit.py runs more of them
RUNS = list(csv.DictReader(Path(__file__).with_name("scalesim_32x32.csv").read_text(encoding="utf-8").splitlines()))
UNCUT = (
    "memory.sram_bytes=inf", "memory.weight_buffer_bytes=inf", "memory.accumulator_bytes=inf",
    "memory.sram_bytes_per_cycle=inf", "memory.dram_bytes_per_cycle=inf", "memory.dram_latency_cycles=0",
    "memory.dma_setup_cycles=0", "output.elements_per_cycle=inf", "schedule.operator_overhead_cycles=0",
)  # fmt: skip
STRICT = (*UNCUT, "array.timing=strict", "array.rows=32", "array.cols=32")


def product(m: int, n: int, k: int, groups: int = 1, taps: int = 1) -> Product:
    return Product(*(np.array([[float(size)]]) for size in (m, n, taps, k // taps, groups)))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run['layer']}-{run['dataflow']}")
def test_strict_cycles_and_operands_are_those_of_scalesim(run: dict[str, str]) -> None:
    array = SystolicArray(rows=32, cols=32, dataflow=run["dataflow"], timing="strict")
    m, n, k, groups = (int(run[key]) for key in ("M", "N", "K", "groups_multiplier"))
    assert count_cycles(product(m, n, k), array) == int(run["total_cycles"])
    assert count_cycles(product(m, n, k, groups), array) == int(run["total_cycles_x_groups"])
    found = count_operands(product(m, n, k), array)
    assert found.maps == int(run["sram_ifmap_reads"])
    assert found.weights == int(run["sram_filter_reads"])
    beside = 0
    if (
        run["dataflow"] == "os"
    ):  # there SCALE-Sim's count has two more for each row of the array and fold, whatever is computed
        beside = 2 * 32 * -(-m // 32) * -(-n // 32)
    assert found.sums + beside == int(run["sram_ofmap_writes"])


def test_a_whole_strict_network_is_what_scalesim_takes_for_it() -> None:
    """MobileNetV2 at 224 pixels, depthwise layers a group at a time: SCALE-Sim's total with 32 x 32 and stationary weights."""
    sketch = Sketch(3, 224, 224)
    x = sketch.conv(0, 32, 3, 2)
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expand, channels, repeats, first_stride in stages:
        for repeat in range(repeats):
            hidden = sketch.shapes[x][0] * expand
            y = sketch.conv(x, hidden) if expand > 1 else x
            y = sketch.conv(y, hidden, 3, first_stride if repeat == 0 else 1, groups=hidden)
            y = sketch.conv(y, channels)
            x = sketch.vector("add", y, x) if repeat else y
    sketch.conv(sketch.pool(sketch.conv(x, 1280)), 1000)
    found = simulate(sketch.workload(), unit(*STRICT))
    assert sum(op.array_cycles for op in found.ops) == 3_600_256
    assert found.macs == 300_774_272  # the published 0.30 G


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize(("rows", "cols"), [(32, 32), (16, 8), (4, 64), (1, 1)])
def test_a_convolution_on_the_whole_unit_is_the_closed_form_times_its_groups(
    dataflow: str, rows: int, cols: int
) -> None:
    for groups in (1, 2, 12):
        sketch = Sketch(12, 20, 20)
        sketch.conv(0, 24, 3, 2, groups)
        some = (*STRICT, f"array.rows={rows}", f"array.cols={cols}", f"array.dataflow={dataflow}")
        (op,) = simulate(sketch.workload(), unit(*some)).ops
        m, n, k = 100, 24 // groups, 9 * 12 // groups
        up = {"os": (m, rows, n, k), "ws": (k, rows, n, m + rows), "is": (k, rows, m, n + rows)}[dataflow]
        closed = -(-up[0] // up[1]) * -(-up[2] // cols) * (up[3] + rows + cols - 2) - 1
        assert op.array_cycles == op.compute_cycles == op.total_cycles == closed * groups
        assert op.tiles == 1


def test_rows_of_channels_alone_take_the_taps_one_after_another() -> None:
    stem = product(112 * 112, 32, 27, taps=9)
    by_taps = SystolicArray(rows=32, cols=32, dataflow="ws", timing="pipelined", row_axis="channels")
    assert count_folds(stem, by_taps)[0] == 9
    assert count_cycles(stem, by_taps) == 112_896 + 32 + 62  # nine passes over the map, one fill and one drain
    at_once = by_taps.model_copy(update={"timing": "strict", "row_axis": "im2col"})
    assert count_cycles(stem, at_once) == 12_637


sizes = st.integers(1, 200)
arrays = st.builds(
    SystolicArray,
    rows=st.sampled_from([1, 3, 8, 32]),
    cols=st.sampled_from([1, 5, 8, 32]),
    dataflow=st.sampled_from(["os", "ws", "is"]),
    timing=st.sampled_from(["strict", "pipelined"]),
    row_axis=st.sampled_from(["im2col", "channels"]),
)


@given(st.tuples(sizes, sizes, sizes), st.integers(1, 9), st.integers(1, 40), arrays)
def test_no_timing_does_more_than_a_product_an_element_and_cycle(
    size: tuple[int, int, int], taps: int, groups: int, array: SystolicArray
) -> None:
    m, n, channels = size
    one = product(m, n, channels * taps, groups, taps)
    done = m * n * channels * taps * groups
    assert done <= count_cycles(one, array, whole_layer=False) * array.rows * array.cols


@given(sizes, sizes, sizes, arrays)
def test_pipelined_is_never_slower_than_strict_with_a_single_fill_to_spare(
    m: int, n: int, k: int, array: SystolicArray
) -> None:
    strict, pipelined = (
        count_cycles(product(m, n, k), array.model_copy(update={"timing": timing}), whole_layer=False)
        for timing in ("strict", "pipelined")
    )
    assert pipelined <= strict + array.rows + array.cols


@given(st.integers(1, 64), st.integers(1, 25), st.integers(1, 100), arrays)
def test_groups_on_the_diagonal_are_never_more_than_one_after_another_or_fewer_than_fit(
    m: int, taps: int, groups: int, array: SystolicArray
) -> None:
    depthwise = product(m, 1, taps, groups, taps)
    laid = map_to_array(depthwise, array, "diagonal")
    packed = laid.k / depthwise.k
    assert laid.groups == np.ceil(groups / packed)
    if packed > 1:
        assert count_folds(laid, array) == (taps if array.row_axis == "channels" else 1, 1)
    assert count_cycles(laid, array, whole_layer=False) <= count_cycles(depthwise, array, whole_layer=False)


def test_dense_padding_and_one_group_at_a_time_differ_as_documented() -> None:
    """A depthwise 3x3 on 56 x 56 x 144, 32 x 32, stationary weights: padded to a dense one it has 144 x the work."""
    array = SystolicArray(rows=32, cols=32, dataflow="ws", timing="strict")
    depthwise = product(56 * 56, 1, 9, 144, 9)
    assert count_cycles(map_to_array(depthwise, array, "per_group"), array) == 144 * (3136 + 94 - 0) - 144
    assert count_cycles(map_to_array(depthwise, array, "dense_padded"), array) == 41 * 5 * (3136 + 94) - 1
    assert count_cycles(map_to_array(depthwise, array, "diagonal"), array) == 48 * (3136 + 94) - 48


def test_partial_sums_wait_where_the_depth_is_folded_and_outputs_do_not_stay() -> None:
    deep, flat = product(100, 40, 64), product(100, 40, 32)
    ws, stationary_outputs = (SystolicArray(rows=32, cols=32, dataflow=flow) for flow in ("ws", "os"))
    assert count_partial_sums(deep, ws) == 100 * 32
    assert count_partial_sums(flat, ws) == 0
    assert count_partial_sums(deep, stationary_outputs) == 0


def test_a_wider_precision_takes_longer_by_its_rate() -> None:
    array = SystolicArray(rows=8, cols=8, dataflow="ws")
    assert count_cycles(product(10, 8, 8), array, 0.5) == 2 * count_cycles(product(10, 8, 8), array)
