"""Parts: the blocks and fixed parts of a space in the order of its table's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from donna_hw.graph.builder import Block
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.spaces.space import Space

Row = Mapping[str, object]


@dataclass(frozen=True)
class Part:
    """A block or fixed part of a space.

    Attributes:
        name: Its name for people.
        key_cells: The cells that identify its row: `part`, then its axis values.
        block: The block.
        graph: Its layers alone.
    """

    name: str
    key_cells: Mapping[str, str]
    block: Block
    graph: Graph

    @cached_property
    def layers_hash(self) -> str:
        """What identifies its measurement: equal layers share one."""
        return layers_hash(self.graph)


def list_parts(space: Space) -> list[Part]:
    """Return every fixed part and block, in the order of the table's rows."""
    rows = [Part(name, {"part": name}, block, space.fixed_graph(name)) for name, block in space.fixed.items()]
    for stage in space.stages:
        for m in range(stage.size):
            choice = {axis: str(value) for axis, value in stage.choice(m).items()}
            name, keys = f"{stage.name} {stage.label(m)}", {"part": stage.name, **choice}
            rows.append(Part(name, keys, stage.block(m), space.block_graph(stage, m)))
    return rows
