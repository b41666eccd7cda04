"""How long a device will rest: where a protocol lets it cool down after each trial, that is most of the time a table takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from donna_hw._core.units import format_duration
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.measurement.protocol import Protocol


@dataclass(frozen=True)
class CoolDownEstimate:
    """The pauses of a table; the time in which blocks run is added, and what an earlier run measured is not subtracted.

    Attributes:
        blocks: Number of blocks and fixed parts with layers.
        unique_blocks: How many of them differ in their layers; these are measured.
        devices: Number of devices that share the blocks.
        per_block_s: Pauses for one block, in seconds.
    """

    blocks: int
    unique_blocks: int
    devices: int
    per_block_s: float

    @property
    def single_device_s(self) -> float:
        """Seconds that one device rests when it measures every block of the table."""
        return self.blocks * self.per_block_s

    @property
    def seconds(self) -> float:
        """Seconds that the device with most trials rests, equal layers measured once."""
        return -(-self.unique_blocks // self.devices) * self.per_block_s

    @property
    def summary(self) -> str:
        """The estimate for people."""
        pool = "one device rests" if self.devices == 1 else f"each of {self.devices} devices rests"
        return (
            f"{self.blocks:,} blocks, {self.unique_blocks:,} of them with different layers: "
            f"{pool} {format_duration(self.seconds)} between trials; "
            f"block by block on one device it would be {format_duration(self.single_device_s)}"
        )


def estimate_cool_down(graphs: Sequence[Graph], protocol: Protocol, devices: int) -> CoolDownEstimate:
    """Return the pauses of measuring these blocks by a protocol on so many devices; blocks without layers are not measured."""
    present = [graph for graph in graphs if graph.layers]
    trials = protocol.min_rounds if protocol.adaptive else protocol.rounds
    unique_blocks = len({layers_hash(graph) for graph in present})
    return CoolDownEstimate(len(present), unique_blocks, devices, trials * protocol.cool_down_s)
