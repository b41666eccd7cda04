"""Spaces with 8-bit blocks in addition to, or instead of, float32 ones."""

from __future__ import annotations

import numpy as np
import pytest

from donna_hw import load_space
from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.graph import graph_dtypes, layers_hash, with_dtype
from donna_hw.spaces.extend import find_new_blocks
from donna_hw.spaces.mixed_precision import float_block_number, float_counterparts, int8_counterparts, is_int8
from donna_hw.spaces.sections import lower_sections


def test_float32_blocks_keep_their_labels_layers_and_frame() -> None:
    old, new = load_space("small_8px_cells"), load_space("small_8px_cells@precision")
    assert new.hash == old.hash
    assert [sum(flags) for flags in find_new_blocks(old, new)] == [48] * 4
    assert new.labels(new.reference) == old.labels(old.reference)
    assert not is_int8(new, new.reference)
    stage = new.stages[1]
    for m in range(stage.size):
        graph, twin = new.block_graph(stage, m), new.block_graph(stage, float_block_number(stage, m))
        assert graph_dtypes(graph) == {stage.choice(m)["precision"]}
        assert layers_hash(with_dtype(graph, "float32")) == layers_hash(twin)
        assert (graph.macs, graph.params) == (twin.macs, twin.params)
        assert stage.label(m) == stage.label(float_block_number(stage, m)) + (
            "-int8" if graph_dtypes(graph) == {"int8"} else ""
        )


def test_counterparts_are_the_same_network_in_one_type() -> None:
    space = load_space("small_28px@precision")
    rows = space.random_rows(50, 0)
    for twins, expected in ((float_counterparts(space, rows), "float32"), (int8_counterparts(space, rows), "int8")):
        for row, twin in zip(rows, twins, strict=True):
            for stage, one, other in zip(space.stages, row, twin, strict=True):
                assert stage.choice(int(other)) == stage.choice(int(one)) | {"precision": expected}
    assert np.array_equal(float_counterparts(space, int8_counterparts(space, rows)), float_counterparts(space, rows))


def test_a_whole_space_in_int8_has_the_same_labels_and_no_other_type() -> None:
    old, new = load_space("donna@64px"), load_space("donna@64px@int8")
    row = old.random_rows(1, 3)[0]
    assert new.labels(new.architecture(row)) == old.labels(old.architecture(row))
    graph = new.network_graph(new.architecture(row))
    assert graph_dtypes(graph) == {"int8"}
    assert layers_hash(with_dtype(graph, "float32")) == layers_hash(old.network_graph(old.architecture(row)))
    assert new.hash != old.hash
    with pytest.raises(UnknownNameError, match=r"has no axis 'precision'.*SPACE@precision has both"):
        float_block_number(new.stages[0], 0)


def test_sections_of_an_8_bit_block_are_8_bit() -> None:
    space = load_space("small_28px@precision")
    stage = space.stages[0]
    m = stage.number(stage.choice(stage.reference) | {"precision": "int8"})
    sections = lower_sections(stage.block(m), space.input_shapes[stage.name])
    assert len(sections) == 3
    assert all(graph_dtypes(section) == {"int8"} for section in sections)
    assert sum(section.macs for section in sections) == space.block_graph(stage, m).macs


def test_a_torch_module_has_no_8_bit_form() -> None:
    space = load_space("small_8px_shift@precision")
    stage = space.stages[0]
    choice = stage.choice(stage.reference) | {"cell": "shift", "precision": "int8"}
    with pytest.raises(ConfigError, match="a custom torch module must be float32; got 'int8'"):
        space.block_graph(stage, stage.number(choice))


@pytest.mark.parametrize("name", ["small_8px@int8@precision", "small_8px@precision@8px", "small_8px@int4"])
def test_types_come_once_and_last(name: str) -> None:
    with pytest.raises(ConfigError, match="each at most once and in this order"):
        load_space(name)
