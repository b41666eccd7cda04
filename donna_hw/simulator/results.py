"""Simulation: what running a network on a tensor unit takes, operator by operator."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from donna_hw.simulator.hardware import Hardware

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OperatorResult:
    """What one operator took. Operators that ran fused into it are named in `fused`; cycles are of the unit's clock.

    array_cycles, output_cycles, vector_cycles, sram_cycles: of the array, the output stage, the vector unit and the operands' way from
    SRAM, over all tiles. They work at the same time: compute_cycles sums the longest of them over the tiles.
    dma_cycles, dram_bytes: what the DMA moved while the operator ran, the next one's prefetched weights (prefetch_bytes) included.
    weight_bytes, input_bytes, output_bytes: the DRAM traffic of the operator's own data, whenever it was moved.
    overhead_cycles: start of the operator and DRAM latency. total_cycles: start to end. stall_cycles: total less compute.
    start_cycle: when it starts. tiles, tile: how it was cut, for people. sram_need_bytes: what it kept on the chip at its peak.
    sram_bytes: operand traffic of the SRAM. utilisation: multiply-accumulates done, of those that the array could do in total_cycles.
    bound_by: `array`, `output`, `vector`, `sram`, `dma` or `overhead`. strip_group: number of the depth-first group it ran in, -1 for none.
    """

    name: str
    op_type: str
    fused: tuple[str, ...]
    array_cycles: int
    output_cycles: int
    vector_cycles: int
    sram_cycles: int
    compute_cycles: int
    dma_cycles: int
    overhead_cycles: int
    stall_cycles: int
    total_cycles: int
    start_cycle: int
    macs: int
    dram_bytes: int
    prefetch_bytes: int
    weight_bytes: int
    input_bytes: int
    output_bytes: int
    sram_bytes: int
    peak_sram_bytes: int
    tiles: int
    tile: str
    utilization: float
    energy_j: float
    bound_by: str
    strip_group: int = -1


@dataclass(frozen=True)
class SimulationResult:
    """A network on a tensor unit. unknown_ops, free_ops: see `Workload`."""

    model: str
    device: str
    hardware: Hardware
    ops: tuple[OperatorResult, ...]
    unknown_ops: tuple[str, ...] = ()
    free_ops: tuple[str, ...] = ()

    @property
    def total_cycles(self) -> int:
        """Cycles from the start of the first operator to the end of the last."""
        return sum(op.total_cycles for op in self.ops)

    @property
    def latency_s(self) -> float:
        """Seconds for the batch."""
        return self.total_cycles / self.hardware.clock_hz

    @property
    def energy_j(self) -> float:
        """Joules for the batch."""
        return sum(op.energy_j for op in self.ops)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the array."""
        return sum(op.macs for op in self.ops)

    @property
    def dram_bytes(self) -> int:
        """Bytes moved to and from DRAM."""
        return sum(op.dram_bytes for op in self.ops)

    @property
    def utilization(self) -> float:
        """Mean utilisation of the array over all cycles, 0 to 1."""
        return sum(op.utilization * op.total_cycles for op in self.ops) / max(self.total_cycles, 1)

    def to_frame(self) -> pd.DataFrame:
        """Return a row an operator with the fields of `OperatorResult` as columns."""
        import pandas as pd

        return pd.DataFrame([asdict(op) for op in self.ops], columns=list(OperatorResult.__dataclass_fields__))

    def totals_by(self, field: str = "op_type") -> pd.DataFrame:
        """Return sums over the operators that are alike in a field of `OperatorResult`, the dearest first.

        Columns: the field, operators (how many), total_cycles, share (of all cycles, 0 to 1), macs, dram_bytes, energy_j.
        """
        sums = ["total_cycles", "macs", "dram_bytes", "energy_j"]
        groups = self.to_frame().groupby(field, sort=False)
        found = groups[sums].sum().assign(operators=groups.size())
        found["share"] = found["total_cycles"] / max(self.total_cycles, 1)
        found = found.sort_values("total_cycles", ascending=False, kind="stable").reset_index()
        return found[[field, "operators", "total_cycles", "share", *sums[1:]]]

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints: texts, finite numbers, lists and tables; an infinite value of the hardware is the text `inf`."""
        return {
            "model": self.model,
            "device": self.device,
            "origin": "simulated",
            "total_cycles": self.total_cycles,
            "latency_s": self.latency_s,
            "energy_j": self.energy_j,
            "macs": self.macs,
            "dram_bytes": self.dram_bytes,
            "unknown_ops": list(self.unknown_ops),
            "free_ops": list(self.free_ops),
            "ops": [asdict(op) for op in self.ops],
            "hardware": _finite(self.hardware.model_dump()),
        }


def _finite(value: Any) -> Any:
    """Return a table with its infinite numbers, which JSON cannot hold, as the text `inf`."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return "inf" if isinstance(value, float) and math.isinf(value) else value
