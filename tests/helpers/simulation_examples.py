"""Hand-written results of simulations: operators with consistent numbers, without running the simulator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from donna_hw.simulator.hardware import Hardware, parse_hardware
from donna_hw.simulator.results import OperatorResult, SimulationResult

CONTENT: dict[str, Any] = {
    "clock_hz": 8e8,
    "array": {"rows": 32, "cols": 32, "dataflow": "ws"},
    "memory": {
        "sram_bytes": 2.0**20,
        "weight_buffer_bytes": 2.0**18,
        "accumulator_bytes": 2.0**17,
        "sram_bytes_per_cycle": 128.0,
        "dram_bytes_per_cycle": 16.0,
    },
    "vector": {"lanes": 32},
    "output": {"elements_per_cycle": 32.0},
    "energy": {"int8_mac_j": 2e-13, "dram_byte_j": 2e-11},
}
HARDWARE = parse_hardware(CONTENT, "made")


def made_operator(
    name: str,
    op_type: str = "Conv",
    *,
    hardware: Hardware = HARDWARE,
    macs: int = 0,
    array: int = 0,
    output: int = 0,
    vector: int = 0,
    sram: int = 0,
    dram_bytes: int = 0,
    overhead: int = 10,
    **fields: Any,
) -> OperatorResult:
    rate = hardware.memory.dram_bytes_per_cycle
    cycles = {"array": array, "output": output, "vector": vector, "sram": sram, "dma": int(np.ceil(dram_bytes / rate))}
    compute = max(array, output, vector, sram)
    total = max(cycles.values()) + overhead
    slowest = max(cycles, key=lambda unit: cycles[unit])
    peak = hardware.array.rows * hardware.array.cols * hardware.macs_per_element("int8")
    op = OperatorResult(
        name=name,
        op_type=op_type,
        fused=(),
        array_cycles=array,
        output_cycles=output,
        vector_cycles=vector,
        sram_cycles=sram,
        compute_cycles=compute,
        dma_cycles=cycles["dma"],
        overhead_cycles=overhead,
        stall_cycles=total - compute,
        total_cycles=total,
        start_cycle=0,
        macs=macs,
        dram_bytes=dram_bytes,
        prefetch_bytes=0,
        weight_bytes=dram_bytes // 2,
        input_bytes=dram_bytes - dram_bytes // 2,
        output_bytes=0,
        sram_bytes=2 * dram_bytes,
        peak_sram_bytes=min(dram_bytes, 2**20),
        tiles=1,
        tile="1 strip",
        utilization=macs / (peak * max(total, 1)),
        energy_j=macs * hardware.energy.int8_mac_j + dram_bytes * hardware.energy.dram_byte_j,
        bound_by=slowest if cycles[slowest] > overhead else "overhead",
    )
    return replace(op, **fields)


def made_simulation(*ops: OperatorResult, hardware: Hardware = HARDWARE, **fields: Any) -> SimulationResult:
    """Return a simulation of operators in sequence."""
    starts = np.cumsum([0, *(op.total_cycles for op in ops)]).tolist()
    placed = tuple(replace(op, start_cycle=start) for op, start in zip(ops, starts, strict=False))
    return SimulationResult(**{"model": "made_net", "device": "made", "hardware": hardware, "ops": placed, **fields})


def mobile(blocks: int = 12) -> SimulationResult:
    """Return a network of inverted bottlenecks on maps that halve every third block; with plausible numbers of no real device."""
    ops, channels, side = [], 24, 112
    for i in range(blocks):
        hidden, pixels = 4 * channels, side * side
        for part, macs, width in (
            ("expand", channels * hidden, 900),
            ("depthwise", 9 * hidden, 30),
            ("project", hidden * channels, 700),
        ):
            ops.append(
                made_operator(
                    f"/features/features.{i}/conv/{part}/Conv",
                    macs=macs * pixels,
                    array=macs * pixels // width,
                    output=hidden * pixels // 32,
                    dram_bytes=0 if part == "depthwise" and i % 4 == 3 else (channels + hidden) * pixels + macs,
                    fused=(f"/features/features.{i}/conv/{part}/Clip",) if part != "project" else (),
                    strip_group=i if side > 28 else -1,
                    tile="14x112 of 112x112, 24 to 96",
                )
            )
        ops.append(made_operator(f"/features/features.{i}/Add", "Add", vector=channels * pixels // 32))
        if i % 3 == 2:
            channels, side = 2 * channels, side // 2
    ops.append(made_operator("/classifier/Gemm", "Gemm", macs=1280 * 1000, array=2000, dram_bytes=1280 * 1000))
    return made_simulation(*ops, model="mobile")


@st.composite
def simulations(draw: st.DrawFn) -> SimulationResult:
    """Draw networks of up to eight operators of any sizes, some in depth-first groups."""
    counts = st.integers(0, 10**9)
    ops, group, inside = [], 0, False
    for _ in range(draw(st.integers(0, 8))):
        group, inside = group + int(draw(st.booleans())), draw(st.booleans())
        units = {unit: draw(counts) for unit in ("macs", "array", "output", "vector", "sram", "dram_bytes", "overhead")}
        name = draw(st.text(max_size=60))
        ops.append(
            made_operator(name, draw(st.sampled_from(["Conv", "Add"])), **units, strip_group=group if inside else -1)
        )
    clock = draw(st.floats(1.0, 1e12))
    return made_simulation(*ops, hardware=HARDWARE.model_copy(update={"clock_hz": clock}))
