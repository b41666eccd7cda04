"""Numbers, choices, labels, genes and rows are one thing in five forms."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.spaces import Architecture, Axis, list_spaces, load_space

NAMES = ["donna", "small_28px", "small_32px", "small_8px"]


def test_the_shipped_spaces_are_known_by_name() -> None:
    assert set(NAMES) <= set(list_spaces())
    assert all(load_space(name).name == name for name in NAMES)


def test_the_sizes_are_those_of_the_titles() -> None:
    assert load_space("small_8px").size == 24**3 == 13_824
    assert load_space("small_28px").size == 72**4 == 26_873_856


@pytest.mark.parametrize("name", NAMES)
def test_size_is_the_product_of_all_axes(name: str) -> None:
    space = load_space(name)
    assert space.size == prod(len(axis.values) for stage in space.stages for axis in stage.axes)
    assert space.size == prod(space.stage_sizes) == int(space.gene_counts.prod())


@pytest.mark.parametrize("name", NAMES)
def test_number_choice_and_label_are_one_to_one(name: str) -> None:
    for stage in load_space(name).stages:
        assert [stage.number(stage.choice(m)) for m in range(stage.size)] == list(range(stage.size))
        assert [stage.number_of_label(stage.label(m)) for m in range(stage.size)] == list(range(stage.size))
        assert len(set(stage.labels)) == stage.size


def test_the_last_axis_counts_fastest() -> None:
    stage = load_space("small_28px").stages[0]
    first, second = stage.choice(0), stage.choice(1)
    assert [axis for axis in first if first[axis] != second[axis]] == [stage.axes[-1].name]


@given(data=st.data(), name=st.sampled_from(NAMES))
def test_rows_genes_architectures_and_labels_round_trip(data: st.DataObject, name: str) -> None:
    space = load_space(name)
    row = st.tuples(*(st.integers(0, size - 1) for size in space.stage_sizes))
    rows = np.array(data.draw(st.lists(row, min_size=1, max_size=5)))
    genes = space.rows_to_genes(rows)
    assert genes.shape == (len(rows), len(space.gene_counts))
    assert ((genes >= 0) & (genes < space.gene_counts)).all()
    assert (space.genes_to_rows(genes) == rows).all()
    values = iter(genes[0])
    for stage, number in zip(space.stages, rows[0], strict=True):
        choice = {axis.name: axis.values[int(next(values))] for axis in stage.axes}
        assert stage.choice(int(number)) == choice
    architecture = space.architecture(rows[0])
    assert space.architecture_from_labels(space.labels(architecture)) == architecture


@given(count=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
def test_random_rows_are_different_and_in_range(count: int, seed: int) -> None:
    space = load_space("small_8px")
    rows = space.random_rows(count, np.random.default_rng(seed))
    assert rows.shape == (count, len(space.stages))
    assert len(np.unique(rows, axis=0)) == count
    assert ((rows >= 0) & (rows < np.array(space.stage_sizes))).all()


def test_random_rows_can_be_the_whole_space() -> None:
    space = load_space("small_8px")
    rows = space.random_rows(space.size, np.random.default_rng(0))
    assert len(np.unique(rows, axis=0)) == space.size
    with pytest.raises(ConfigError, match="only 13824 architectures"):
        space.random_rows(space.size + 1, np.random.default_rng(0))


def test_random_rows_are_uniform_over_blocks() -> None:
    # 2,000 of 26.9 million: a block's count is binomial(2000, 1/72); 6 deviations leave one false alarm in millions
    space = load_space("small_28px")
    rows = space.random_rows(2000, np.random.default_rng(0))
    share = 1 / 72
    for column in rows.T:
        counts = np.bincount(column, minlength=72)
        assert np.abs(counts - 2000 * share).max() < 6 * np.sqrt(2000 * share * (1 - share))


@pytest.mark.parametrize("name", NAMES)
def test_every_block_has_the_reference_blocks_shapes(name: str) -> None:
    space = load_space(name)
    following = [*space.part_names[1:], None]
    for part, after in zip(space.part_names, following, strict=True):
        if part in space.fixed:
            shapes = {space.fixed_graph(part).output_shape}
        else:
            stage = space.stage(part)
            shapes = {space.block_graph(stage, m).output_shape for m in range(stage.size)}
        assert shapes == {space.input_shapes[after] if after else space.network_graph(space.reference).output_shape}


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_has_the_largest_values_and_depthwise_cells(name: str) -> None:
    space = load_space(name)
    for stage, number in zip(space.stages, space.reference.blocks, strict=True):
        for axis in stage.axes:
            expected = "depthwise" if axis.name == "cell" else axis.values[-1]
            assert stage.choice(number)[axis.name] == expected


def test_errors_name_the_known_values() -> None:
    space = load_space("small_8px")
    stage = space.stages[0]
    with pytest.raises(
        UnknownNameError,
        match=r"small_8px_cells, small_8px_shift, small_vit_28px, small_vit_8px, vit_b16 or vit_b16_81 \(did you mean 'small_8px'\?\)",
    ):
        load_space("smal_8px")
    with pytest.raises(UnknownNameError, match=r"unknown value of axis kernel '7'; expected 3 or 5"):
        stage.number({**stage.choice(0), "kernel": 7})
    with pytest.raises(UnknownNameError, match=r"axis kernel.*expected 3 or 5"):
        stage.number({})
    with pytest.raises(UnknownNameError, match="k3-e2-d1-relu"):
        stage.number_of_label("k3-e2-d1-rela")
    with pytest.raises(UnknownNameError, match="unknown stage 'stage4'; expected stage1, stage2 or stage3"):
        space.stage("stage4")
    with pytest.raises(UnknownNameError, match="no label for the stage or global axis 'stage3'"):
        space.architecture_from_labels({"stage1": stage.label(0), "stage2": stage.label(0)})


@pytest.mark.parametrize("number", [-1, 24])
def test_a_block_number_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(ConfigError, match=r"0\.\.23"):
        load_space("small_8px").stages[0].choice(number)


@pytest.mark.parametrize("blocks", [(), (0, 0), (0, 0, 0, 0), (0, 0, 24)])
def test_an_architecture_of_another_shape_is_refused(blocks: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError):
        load_space("small_8px").network_graph(Architecture(blocks))


def test_an_architecture_with_settings_that_the_space_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 global settings"):
        load_space("small_8px").network_graph(Architecture((0, 0, 0), (28,)))


@pytest.mark.parametrize("values", [(), (3, 3), (1, 1.0)])
def test_an_axis_needs_different_values(values: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="different values"):
        Axis("kernel", values)


def test_an_axis_refuses_a_reference_that_is_none_of_its_values() -> None:
    with pytest.raises(UnknownNameError, match="unknown reference value '7'; expected 3 or 5"):
        Axis("kernel", (3, 5), reference=7)
