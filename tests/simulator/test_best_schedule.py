"""The schedule found by dynamic programming is the best of all schedules, tried one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hardware_examples import Sketch, bottleneck, settings, unit, workloads
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as how

from donna_hw.errors import ConfigError
from donna_hw.simulator.batch import TileRunBatch, WorkloadBatch
from donna_hw.simulator.candidate_costs import CandidateCosts, compute_costs, compute_group_costs
from donna_hw.simulator.schedule_graph import ScheduleGraph, TileRun
from donna_hw.simulator.simulate import simulate
from donna_hw.simulator.workload import Workload


def paths(program: ScheduleGraph, boundary: int = 0) -> Iterator[list[TileRun]]:
    """Every way to cover the steps by runs."""
    if boundary == len(program.steps):
        yield []
    for run in program.runs:
        if run.start == boundary:
            yield from ([run, *rest] for rest in paths(program, run.end))


def priced(batch: WorkloadBatch, program: ScheduleGraph) -> dict[int, tuple[CandidateCosts, int]]:
    """Return the prices of each run's number, and its row in them."""
    return {
        number: (prices, int(prices.run_batch.row_indices[place, 0]))
        for numbers, prices in zip(program.groups, compute_group_costs(batch, program), strict=True)
        for place, number in enumerate(numbers)
    }


def price(
    batch: WorkloadBatch, program: ScheduleGraph, path: list[TileRun], here: set[int], ahead: list[bool]
) -> float:
    """Cycles of one schedule: tensors `here` stay on the chip, weights of a run are fetched `ahead` or not."""
    total, shared = 0.0, priced(batch, program)
    for place, run in enumerate(path):
        prices, row = shared[run.number]
        local = here & set(run.local_tensors)
        combinations = ({t for t, f in zip(run.local_tensors, flags, strict=True) if f} for flags in run.local_flags)
        combination = next(c for c, tensors in enumerate(combinations) if tensors == local)
        taken = sum(batch.tensor_bytes[0, t] for t in here & set(run.passthrough_tensors))
        fits = prices.peak_sram_bytes[combination, row] <= batch.hardware.memory.sram_bytes - taken
        own = 1 if ahead[place] else 0
        after = 0
        if place + 1 < len(path) and ahead[place + 1]:
            after = 1 + program.prefetchable[run.end].index(path[place + 1].number)
        options = np.where(fits, prices.total_cycles[combination, row, own, after], math.inf)
        total += options.min()
    return total


def brute_force(workload: Workload, some: tuple[str, ...]) -> float:
    hardware = unit(*some)
    batch, program = WorkloadBatch([workload], hardware), ScheduleGraph.from_workload(workload, hardware)
    chosen = sorted({tensor for alive in program.live_tensors for tensor in alive})
    best = math.inf
    for path in paths(program):
        inner = {tensor for run in path for tensor in run.step.inner}
        free = [tensor for tensor in chosen if tensor not in inner]
        can = [(False, True) if run.number in program.prefetchable[run.start] else (False,) for run in path]
        for flags, ahead in product(product((False, True), repeat=len(free)), product(*can)):
            here = {tensor for tensor, flag in zip(free, flags, strict=True) if flag}
            best = min(best, price(batch, program, path, here, list(ahead)))
    return best


@how(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(workloads(4), settings())
def test_the_schedule_is_the_best_of_all(workload: Workload, some: tuple[str, ...]) -> None:
    try:
        found = simulate(workload, unit(*some)).total_cycles
    except ConfigError:
        assume(False)
    assert found == brute_force(workload, some)


@pytest.mark.parametrize("sram", [3000.0, 6000.0, 30000.0])
def test_the_schedule_of_a_bottleneck_is_the_best_of_all(sram: float) -> None:
    some = (f"memory.sram_bytes={sram}", "schedule.io_location=resident")
    found = simulate(bottleneck(), unit(*some))
    assert found.total_cycles == brute_force(bottleneck(), some)


def test_a_bottleneck_too_large_for_the_chip_goes_strip_by_strip_and_spares_dram() -> None:
    workload = bottleneck(16, 32)
    strips, layers = (
        simulate(workload, unit("memory.sram_bytes=24000.0", f"schedule.depth_first={flag}"))
        for flag in ("true", "false")
    )
    assert [op.strip_group for op in strips.ops] == [0, 0, 0]
    assert strips.dram_bytes < layers.dram_bytes
    assert strips.total_cycles < layers.total_cycles
    hidden = 64 * 32 * 32
    assert layers.dram_bytes - strips.dram_bytes >= 4 * hidden, "the hidden maps are neither written nor read"


def test_what_fits_stays_on_the_chip_and_its_borders_alone_move() -> None:
    workload = bottleneck()
    found = simulate(workload, unit("memory.dram_burst_bytes=1"))
    weights = sum(node.weights + 4 * node.biases for node in workload.nodes)
    border = 8 * 8 * 8
    assert found.dram_bytes == weights + 2 * border + border, (
        "the residual operand is read beside, the input stays in DRAM"
    )


def test_weights_fetched_ahead_hide_behind_the_operator_before() -> None:
    sketch = Sketch(8, 16, 16)
    sketch.conv(sketch.conv(0, 8, 3), 8, 3)
    some = ("schedule.io_location=resident", "schedule.depth_first=false")
    ahead, at_need = (
        simulate(sketch.workload(), unit(*some, f"schedule.prefetch={flag}")) for flag in ("true", "false")
    )
    first, second = ahead.ops
    assert first.prefetch_bytes == second.weight_bytes + (-second.weight_bytes) % 16  # whole bursts
    assert second.dma_cycles == 0
    assert at_need.total_cycles - ahead.total_cycles == at_need.ops[1].total_cycles - second.total_cycles > 0


@pytest.mark.parametrize("key", ["sram_bytes", "weight_buffer_bytes", "accumulator_bytes"])
def test_a_memory_below_the_smallest_tile_is_refused_with_the_limit_which_then_suffices(key: str) -> None:
    sketch = Sketch(64, 9, 9)
    sketch.conv(0, 64, 5)
    with pytest.raises(
        ConfigError, match=rf"memory\.{key} cannot hold the smallest tile of conv1, [\d,]+ bytes"
    ) as caught:
        simulate(sketch.workload(), unit(f"memory.{key}=1.0"))
    setting = caught.value.hint.removeprefix("--set ").removesuffix(" or more")
    assert simulate(sketch.workload(), unit(setting)).total_cycles > 0


def asked_bytes(prices: CandidateCosts) -> np.ndarray:
    """Return the DRAM bytes that each candidate of the first row asks for, before each tile's share is rounded up to whole bursts."""
    tiling = prices.tiling
    tensors = sum(how.dram_bytes[0] for how in (*tiling.reads.values(), *tiling.writes.values()))
    return np.asarray(tensors + tiling.resident_weight_bytes[0] + tiling.streamed_weight_bytes[0])


@how(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(workloads(), settings())
def test_a_fused_cut_never_asks_for_more_than_the_same_cut_with_its_operators_apart(
    workload: Workload, some: tuple[str, ...]
) -> None:
    """Cut for cut, and with nothing kept on the chip: which cut is the fastest may differ, since fused operators hide traffic.

    Apart, an elementwise operator asks for the same however it is cut. Rounding to bursts is left out, since it depends on the cut.
    """
    plain = (*some, "schedule.prefetch=false", "schedule.residency=false", "schedule.depth_first=false")
    asked = {}
    for fusion in (True, False):
        hardware = unit(*plain, f"schedule.fusion={str(fusion).lower()}")
        batch, program = WorkloadBatch([workload], hardware), ScheduleGraph.from_workload(workload, hardware)
        for run in program.runs:  # alone, since runs that are priced together are cut as far as the largest of them
            prices = compute_costs(TileRunBatch(batch, [run], np.zeros((2, 1, 1))), prefetchable=False)
            asked[fusion, run.step.heads[0]] = (
                asked_bytes(prices),
                (*run.step.fused_vector_nodes[0], *run.step.output_stage_nodes),
            )
    for (fusion, head), (fused, members) in asked.items():
        if fusion:
            apart = asked[False, head][0] + sum(asked[False, member][0].min() for member in members)
            assert (fused <= apart).all()
            assert not members or (fused < apart).all(), "what is between them is neither written nor read"


def test_an_activation_behind_a_convolution_costs_no_traffic() -> None:
    with_fusion, without = (
        simulate(bottleneck(function="swish"), unit("schedule.residency=false", f"schedule.fusion={flag}"))
        for flag in ("true", "false")
    )
    assert len(with_fusion.ops) == 3
    assert len(without.ops) == 6
    assert with_fusion.dram_bytes < without.dram_bytes
