"""Results of a simulation: cycles, traffic and energy of a network on a tensor unit, operator by operator."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from donna_hw.simulator.hardware import Hardware

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OperatorResult:
    """Cycles, traffic and energy of one operator; cycles are of the unit's clock.

    Attributes:
        name: The operator's name in the model.
        op_type: Its type in the model.
        fused: Names of the operators that ran fused into it.
        array_cycles: Cycles of the array, over all tiles. The array and the next three work at the same time.
        output_cycles: Cycles of the output stage, over all tiles.
        vector_cycles: Cycles of the vector unit, over all tiles.
        sram_cycles: Cycles of the operands' transfer from SRAM, over all tiles.
        compute_cycles: Sum over the tiles of the longest of these four.
        dma_cycles: Cycles of the DMA while the operator ran.
        overhead_cycles: Start of the operator and DRAM latency.
        stall_cycles: total_cycles minus compute_cycles.
        total_cycles: Start to end.
        start_cycle: When it starts.
        macs: Multiply-accumulates.
        dram_bytes: What the DMA moved while the operator ran, including prefetch_bytes.
        prefetch_bytes: Weights of the next operator, fetched while this one ran.
        weight_bytes: DRAM traffic of the operator's own weights, at any time.
        input_bytes: DRAM traffic of the operator's own inputs, at any time.
        output_bytes: DRAM traffic of the operator's own outputs, at any time.
        sram_bytes: Operand traffic of the SRAM.
        peak_sram_bytes: Largest use of the SRAM.
        tiles: Number of tiles.
        tile: The size of a tile, as text.
        utilization: Fraction of the multiply-accumulates that the array could do in total_cycles.
        energy_j: Energy in joules.
        bound_by: The unit that takes longest: `array`, `output`, `vector`, `sram`, `dma` or `overhead`.
        strip_group: Number of its depth-first group, -1 for none.
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
    """The simulation of a network on a tensor unit.

    Attributes:
        model: Name of the model.
        device: Name of the device.
        hardware: The tensor unit.
        ops: The operators in the order in which they run.
        unknown_ops: See `Workload`.
        free_ops: See `Workload`.
    """

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
        """Mean utilization of the array over all cycles, 0 to 1."""
        return sum(op.utilization * op.total_cycles for op in self.ops) / max(self.total_cycles, 1)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row for each operator, and the fields of `OperatorResult` as columns."""
        import pandas as pd

        return pd.DataFrame([asdict(op) for op in self.ops], columns=list(OperatorResult.__dataclass_fields__))

    def totals_by(self, field: str = "op_type") -> pd.DataFrame:
        """Return sums over the operators with equal values of a field, the most expensive first.

        Args:
            field: A field of `OperatorResult`.

        Returns:
            Columns: the field, operators (their number), total_cycles, share (of all cycles, 0 to 1), macs, dram_bytes, energy_j.
        """
        sums = ["total_cycles", "macs", "dram_bytes", "energy_j"]
        groups = self.to_frame().groupby(field, sort=False)
        totals = groups[sums].sum().assign(operators=groups.size())
        totals["share"] = totals["total_cycles"] / max(self.total_cycles, 1)
        totals = totals.sort_values("total_cycles", ascending=False, kind="stable").reset_index()
        return totals[[field, "operators", "total_cycles", "share", *sums[1:]]]

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `--json`: texts, finite numbers, lists and tables; an infinite value of the hardware is the text `inf`."""
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
    """Return a table with infinite numbers, which JSON cannot represent, as the text `inf`."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return "inf" if isinstance(value, float) and math.isinf(value) else value
