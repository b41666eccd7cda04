"""Sections: the repeated pieces of a block."""

from __future__ import annotations

from donna_hw.graph.builder import Block, lower
from donna_hw.graph.graph import Graph


def lower_sections(block: Block, input_shape: tuple[int, ...]) -> tuple[Graph, ...]:
    """Return the layers of each section of a block, and those of the whole block if it has no sections.

    A block lists its sections by a method `sections()` that returns blocks; `lower_chain` of them must compute what the block computes.
    """
    sections = getattr(block, "sections", lambda: (block,))()
    graphs, shape = [], input_shape
    for section in sections:
        graphs.append(lower(section, shape))
        shape = graphs[-1].output_shape
    return tuple(graphs)
