"""Coverage: which blocks of a space a table has a row for, and of which layers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from donna_hw.graph.graph import layers_hash
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Stage

Key = tuple[str, ...]  # part, then the values of the stage's axes as text
FIXED: Key = ("fixed",)  # of a table fitted to whole networks, which does not separate the fixed parts


@dataclass(frozen=True)
class Coverage:
    """What a table of a space lacks.

    Attributes:
        total: Number of blocks and fixed parts of the space.
        missing: Those without a row.
        changed: Those whose row is of other layers than the space has now, as (key, layers_hash of the row, layers_hash now).
    """

    total: int
    missing: tuple[Key, ...]
    changed: tuple[tuple[Key, str, str], ...]

    @property
    def complete(self) -> bool:
        """Whether a search can use the table."""
        return not self.missing and not self.changed


def fixed_hash(space: Space) -> str:
    """Return 16 hexadecimal digits that identify the layers of all fixed parts together."""
    hashes = "".join(layers_hash(space.fixed_graph(name)) for name in space.fixed)
    return hashlib.sha256(hashes.encode()).hexdigest()[:16]


def block_key(stage: Stage, number: int) -> Key:
    """Return a block's key in a table."""
    return (stage.name, *(str(value) for value in stage.choice(number).values()))


def compute_coverage(space: Space, hashes: Mapping[Key, str]) -> Coverage:
    """Return what a table whose rows are {key: layers_hash} lacks of a space."""
    graphs = {block_key(stage, m): space.block_graph(stage, m) for stage in space.stages for m in range(stage.size)}
    expected = {key: layers_hash(graph) for key, graph in graphs.items()}
    expected |= (
        {FIXED: fixed_hash(space)}
        if FIXED in hashes
        else {(n,): layers_hash(space.fixed_graph(n)) for n in space.fixed}
    )
    changed = [(key, hashes[key], now) for key, now in expected.items() if key in hashes and hashes[key] != now]
    return Coverage(len(expected), tuple(key for key in expected if key not in hashes), tuple(changed))
