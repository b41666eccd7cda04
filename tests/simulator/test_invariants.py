"""What must hold of every network on every unit: bounds from below, sums, and that more of anything is never slower."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hardware_examples import bottleneck, settings, unit, workloads
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as how
from hypothesis import strategies as st

from donna_hw.errors import ConfigError
from donna_hw.simulator.hardware import Hardware
from donna_hw.simulator.results import SimulationResult
from donna_hw.simulator.simulate import simulate, simulate_cycles
from donna_hw.simulator.workload import Workload

thorough = how(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)


def simulated(workload: Workload, hardware: Hardware) -> SimulationResult:
    try:
        return simulate(workload, hardware)
    except ConfigError:
        assume(False)
        raise


@thorough
@given(workloads(), settings())
def test_the_cycles_of_the_operators_add_up_and_follow_each_other(workload: Workload, some: tuple[str, ...]) -> None:
    found = simulated(workload, unit(*some))
    assert found.total_cycles == simulate_cycles([workload], unit(*some))[0]
    start = 0
    for op in found.ops:
        assert op.start_cycle == start
        start += op.total_cycles
    assert start == found.total_cycles
    names = [name for op in found.ops for name in (op.name, *op.fused)]
    assert sorted(names) == sorted(node.name for node in workload.nodes), "every operator is costed once"


@thorough
@given(workloads(), settings())
def test_no_operator_is_faster_than_its_units_or_its_traffic(workload: Workload, some: tuple[str, ...]) -> None:
    hardware = unit(*some)
    found = simulated(workload, hardware)
    for op in found.ops:
        longest = max(op.array_cycles, op.output_cycles, op.vector_cycles, op.sram_cycles)
        assert longest <= op.compute_cycles <= op.total_cycles
        assert op.stall_cycles == op.total_cycles - op.compute_cycles
        assert op.dma_cycles <= op.total_cycles
        assert op.dram_bytes <= (op.dma_cycles + 1) * hardware.memory.dram_bytes_per_cycle
        assert 0 <= op.utilization <= 1
        assert type(op.utilization) is type(op.energy_j) is float
    assert found.dram_bytes <= found.total_cycles * hardware.memory.dram_bytes_per_cycle


def compulsory_bytes(workload: Workload, hardware: Hardware) -> float:
    """Bytes that DRAM must move at least, counted apart from the simulator: all weights once, and the borders where they lie in DRAM."""
    weights = sum(node.weights + 4 * node.biases for node in workload.nodes)
    if hardware.schedule.io_location == "resident":
        return weights
    read = {x for node in workload.nodes for x in node.inputs}
    made = {x for node in workload.nodes for x in node.outputs}
    borders = {x for x in workload.inputs if x in read} | {x for x in workload.outputs if x in made}
    return weights + sum(workload.tensors[x].elements for x in borders)


@thorough
@given(workloads(), settings())
def test_the_dram_moves_at_least_what_it_must(workload: Workload, some: tuple[str, ...]) -> None:
    found = simulated(workload, unit(*some))
    assert found.dram_bytes >= compulsory_bytes(workload, unit(*some))


MORE: dict[str, tuple[float, ...]] = {
    "memory.dram_bytes_per_cycle": (0.5, 1.0, 3.3, 16.0, math.inf),
    "memory.sram_bytes_per_cycle": (2.0, 7.0, 64.0, math.inf),
    "memory.sram_bytes": (2000.0, 4000.0, 7000.0, 20000.0, 1e6, math.inf),
    "memory.weight_buffer_bytes": (1000.0, 3000.0, 10000.0, 1e6, math.inf),
    "memory.accumulator_bytes": (500.0, 2000.0, 9000.0, math.inf),
    "vector.lanes": (1, 3, 16, 128),
    "output.elements_per_cycle": (1.0, 5.0, 64.0, math.inf),
    "array.int8_macs": (0.5, 1.0, 2.0),
}
LESS: dict[str, tuple[float, ...]] = {
    "memory.dram_latency_cycles": (200, 20, 0),
    "memory.dma_setup_cycles": (64, 7, 0),
    "schedule.operator_overhead_cycles": (1000, 1, 0),
    "memory.weight_compression": (1.0, 0.7, 0.3),
}


@pytest.mark.parametrize("key", [*MORE, *LESS])
@how(thorough, max_examples=25)
@given(workload=workloads(), some=settings())
def test_more_of_anything_is_never_slower(key: str, workload: Workload, some: tuple[str, ...]) -> None:
    cycles = []
    for value in (MORE | LESS)[key]:
        try:
            cycles.append(simulate(workload, unit(*some, f"{key}={value}")).total_cycles)
        except ConfigError:
            assert not cycles, "what fitted a smaller memory fits a larger one"
    assert cycles == sorted(cycles, reverse=True)


@pytest.mark.parametrize("key", ["prefetch", "residency", "depth_first"])
@how(thorough, max_examples=25)
@given(workload=workloads(), some=settings())
def test_what_the_compiler_may_do_is_never_slower(key: str, workload: Workload, some: tuple[str, ...]) -> None:
    without = simulated(workload, unit(*some, f"schedule.{key}=false")).total_cycles
    assert simulated(workload, unit(*some)).total_cycles <= without


@thorough
@given(workloads(), settings())
def test_borders_on_the_chip_are_never_slower(workload: Workload, some: tuple[str, ...]) -> None:
    resident, dram = (
        simulated(workload, unit(*some, f"schedule.io_location={where}")) for where in ("resident", "dram")
    )
    assert resident.total_cycles <= dram.total_cycles


@thorough
@given(st.lists(workloads(), min_size=2, max_size=6), settings())
def test_many_at_once_take_what_each_takes_alone(several: list[Workload], some: tuple[str, ...]) -> None:
    hardware = unit(*some)
    alone = [simulated(workload, hardware).total_cycles for workload in several]
    assert simulate_cycles(several, hardware).tolist() == alone


def test_blocks_of_one_structure_and_different_sizes_do_not_disturb_each_other() -> None:
    several = [bottleneck(c, p, kernel=k, se=True) for c in (4, 8, 40) for p in (4, 7, 14) for k in (3, 5)]
    assert simulate_cycles(several, unit()).tolist() == [int(simulate_cycles([each], unit())[0]) for each in several]


def energy(found: SimulationResult, per: dict[str, Any]) -> float:
    return (
        found.macs * per["int8_mac_j"]
        + found.dram_bytes * per["dram_byte_j"]
        + sum(op.sram_bytes for op in found.ops) * per["sram_byte_j"]
        + found.latency_s * per["static_w"]
    )


def test_energy_is_the_sum_of_what_was_done() -> None:
    hardware = unit()
    workload = bottleneck(function="swish", se=True)
    found = simulate(workload, hardware)
    in_stage = {"relu"}
    elements = sum(node.work for node in workload.nodes if node.kind == "vector" and node.function not in in_stage)
    expected = energy(found, hardware.energy.model_dump()) + elements * hardware.energy.vector_element_j
    assert found.energy_j == pytest.approx(expected, rel=1e-12)
