"""Sections: the repeated pieces that a block of a chain consists of."""

from __future__ import annotations

from donna_hw.graph.builder import Block, lower
from donna_hw.graph.graph import Graph


def lower_sections(block: Block, input_shape: tuple[int, ...]) -> tuple[Graph, ...]:
    """Return the layers of each section of a block that is a chain of sections, its own alone for any other.

    A block says what it is a chain of by a method `sections()` that returns blocks; `lower_chain` of them must
    compute what the block computes.
    """
    parts = getattr(block, "sections", lambda: (block,))()
    graphs, shape = [], input_shape
    for part in parts:
        graphs.append(lower(part, shape))
        shape = graphs[-1].output_shape
    return tuple(graphs)
