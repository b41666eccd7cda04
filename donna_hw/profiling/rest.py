"""How long a device will rest: where a protocol lets it cool down after each visit, that is most of the time a table takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.protocol import Protocol


@dataclass(frozen=True)
class CoolDownEstimate:
    """The pauses of a table, in seconds: of its `blocks`, of which `different` differ in their layers and are visited, by `devices`.

    The time in which blocks run comes on top; what an earlier run has measured already is not taken off.
    """

    blocks: int
    unique_blocks: int
    devices: int
    per_block_s: float

    @property
    def single_device_s(self) -> float:
        """Of one device that visits every block of the table."""
        return self.blocks * self.per_block_s

    @property
    def seconds(self) -> float:
        """Of these devices, equal layers visited once; the device with most visits decides."""
        return -(-self.unique_blocks // self.devices) * self.per_block_s

    @property
    def summary(self) -> str:
        """The estimate for people."""
        pool = "one device rests" if self.devices == 1 else f"each of {self.devices} devices rests"
        return (
            f"{self.blocks:,} blocks, {self.unique_blocks:,} of them with layers of their own: {pool} {_format_duration(self.seconds)} between visits; "
            f"block by block on one device it would be {_format_duration(self.single_device_s)}"
        )


def estimate_cool_down(graphs: Sequence[Graph], protocol: Protocol, devices: int) -> CoolDownEstimate:
    """Return the pauses of measuring these blocks by a protocol; blocks without layers are not visited."""
    present = [graph for graph in graphs if graph.layers]
    visits = protocol.min_rounds if protocol.adaptive else protocol.rounds
    return CoolDownEstimate(
        len(present), len({layers_hash(graph) for graph in present}), devices, visits * protocol.cool_down_s
    )


def _format_duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
