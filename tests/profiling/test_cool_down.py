"""The pauses of a table, foretold by closed form."""

from __future__ import annotations

from fakes import all_graphs, tiny_space

from donna_hw.graph.graph import Graph
from donna_hw.measurement.protocol import PROTOCOLS
from donna_hw.profiling.cool_down import estimate_cool_down
from donna_hw.spaces import load_space
from donna_hw.tables.parts import list_parts

PAPER = PROTOCOLS["paper_s20"]


def test_the_papers_protocol_on_donnas_space_rests_a_minute_for_each_of_1920_blocks_and_the_fixed_parts() -> None:
    parts = list_parts(load_space("donna"))
    rest = estimate_cool_down([part.graph for part in parts], PAPER, 1)
    assert rest.blocks == len(parts) == 1920 + 3
    assert rest.single_device_s == 60 * rest.blocks
    assert "32.0 h" in rest.summary or "32.1 h" in rest.summary
    assert rest.unique_blocks < rest.blocks
    assert rest.seconds == 60 * rest.unique_blocks


def test_equal_layers_are_visited_once_and_phones_share_the_visits() -> None:
    graphs = all_graphs(tiny_space())
    rest = estimate_cool_down([*graphs, *graphs, Graph((1, 2, 2), ())], PAPER, 3)
    one = estimate_cool_down(graphs, PAPER, 1)
    assert rest.blocks == 2 * len(graphs)
    assert rest.unique_blocks == one.unique_blocks
    assert rest.seconds == -(-one.unique_blocks // 3) * 60
    assert "each of 3 devices rests" in rest.summary
