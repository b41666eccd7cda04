"""Spaces of single layers, and a resolution that is searched: rows, genes, labels, networks and counts agree with closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.graph import layers_hash
from donna_hw.spaces import Architecture, Axis, load_space
from donna_hw.spaces.extremes import find_extremes

OFA = load_space("ofa_mobilenetv3")
FBNET = {
    "fbnet": (224, 2, (1, 2, 2, 2, 1, 2, 1), 1984, 1000),
    "fbnet_cifar100": (32, 1, (1, 1, 2, 2, 1, 2, 1), 1504, 100),
}


def test_the_numbers_of_layers_and_networks() -> None:
    assert OFA.stage_sizes == (9, 9, 10, 10) * 5
    assert OFA.size == 8100**5 * 25
    assert OFA.columns[-1] == "resolution"
    assert OFA.column_labels[-1] == tuple(f"r{pixels}" for pixels in range(128, 225, 4))
    for name in FBNET:
        assert load_space(name).size == 9**22


@given(data=st.data())
def test_rows_genes_architectures_and_labels_of_a_searched_resolution_round_trip(data: st.DataObject) -> None:
    row = st.tuples(*(st.integers(0, size - 1) for size in OFA.column_sizes))
    rows = np.array(data.draw(st.lists(row, min_size=1, max_size=4)))
    genes = OFA.rows_to_genes(rows)
    assert genes.shape == (len(rows), len(OFA.gene_counts))
    assert ((genes >= 0) & (genes < OFA.gene_counts)).all()
    assert (OFA.genes_to_rows(genes) == rows).all()
    architecture = OFA.architecture(rows[0])
    assert architecture.settings == (128 + 4 * rows[0][-1],)
    assert OFA.row(architecture) == tuple(rows[0])
    assert OFA.architecture_from_labels(OFA.labels(architecture)) == architecture


def test_random_rows_draw_the_resolution_too() -> None:
    rows = OFA.random_rows(2000, 0)
    assert rows.shape == (2000, 21)
    counts = np.bincount(rows[:, -1], minlength=25)
    assert np.abs(counts - 80).max() < 6 * np.sqrt(80)  # binomial(2000, 1/25)


def test_a_network_is_that_of_the_space_at_its_resolution() -> None:
    for row in OFA.random_rows(5, 1):
        found, at = OFA.architecture(row), OFA.at(OFA.architecture(row).settings)
        assert at.name == at.load_name == f"ofa_mobilenetv3@{found.settings[0]}px"
        assert at.global_axes == ()
        assert at is OFA.at(found.settings)
        assert at.hash == load_space(at.name).hash
        assert layers_hash(at.network_graph(Architecture(found.blocks))) == layers_hash(OFA.network_graph(found))
        assert OFA.network_graph(found).input_shape == (3, *found.settings * 2)


def test_a_space_without_global_axes_is_itself_at_no_setting() -> None:
    space = load_space("small_8px")
    assert space.at(()) is space


def test_settings_and_rows_that_the_space_lacks_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown value of global axis resolution"):
        OFA.at((130,))
    with pytest.raises(ConfigError, match="21 numbers; got 20"):
        OFA.architecture(OFA.reference.blocks)
    with pytest.raises(ConfigError, match=r"resolution.*0\.\.24"):
        OFA.architecture((*OFA.reference.blocks, 25))
    with pytest.raises(UnknownNameError, match="resolution"):
        OFA.architecture_from_labels(
            {name: label for name, label in OFA.labels(OFA.reference).items() if name != "resolution"}
        )
    bits = replace(OFA, global_axes=(Axis("bits", (4, 8)),))
    with pytest.raises(ConfigError, match="support only the global axis resolution; got 'bits'"):
        bits.network_graph(bits.reference)


def test_a_network_of_full_layers_is_that_of_the_space_of_whole_stages() -> None:
    # one kernel and one expansion a stage and no gap: mobilenetv3_1.2 has the same network as one block a stage
    stages = load_space("mobilenetv3_1.2")
    for row in stages.random_rows(5, 0):
        blocks = []
        for stage, number in zip(stages.stages, row, strict=True):
            choice = {axis: int(value) for axis, value in stage.choice(int(number)).items()}
            block = 3 * (3, 5, 7).index(choice["kernel"]) + (3, 4, 6).index(choice["expand"])
            blocks += [block if layer < choice["depth"] else 9 for layer in range(4)]
        network = OFA.network_graph(Architecture(tuple(blocks), (224,)))
        assert layers_hash(network) == layers_hash(stages.network_graph(stages.architecture(row)))


def test_skipping_the_third_layer_is_skipping_the_fourth() -> None:
    row = np.array(OFA.row(OFA.reference))
    third, fourth = row.copy(), row.copy()
    third[[2, 3]], fourth[[2, 3]] = (9, 4), (4, 9)
    assert layers_hash(OFA.network_graph(OFA.architecture(third))) == layers_hash(
        OFA.network_graph(OFA.architecture(fourth))
    )


@pytest.mark.parametrize("name", FBNET)
def test_any_network_of_fbnet_is_its_closed_form(name: str) -> None:
    space, (side, stem, strides, head, classes) = load_space(name), FBNET[name]
    for row in [space.reference.blocks, *space.random_rows(10, 0)]:
        pixels, into, numbers = side // stem, 16, iter(row)
        macs = 27 * 16 * pixels**2
        for channels, layers, stride in zip(
            (16, 24, 32, 64, 112, 184, 352), (1, 4, 4, 4, 4, 4, 1), strides, strict=True
        ):
            for layer in range(layers):
                number, step = int(next(numbers)), stride if layer == 0 else 1
                after = pixels // step
                if number < 8:
                    kernel, (expand, groups) = (3, 5)[number // 4], ((1, 1), (1, 2), (3, 1), (6, 1))[number % 4]
                    hidden = expand * into
                    macs += into * hidden // groups * pixels**2 + kernel**2 * hidden * after**2
                    macs += hidden * channels // groups * after**2
                elif step != 1 or into != channels:
                    macs += into * channels * after**2
                pixels, into = after, channels
        macs += 352 * head * pixels**2 + head * classes
        assert space.network_graph(space.architecture(row)).macs == macs


@pytest.mark.parametrize("name", ["ofa_mobilenetv3", *FBNET])
def test_every_layer_has_the_reference_layers_shapes(name: str) -> None:
    space = load_space(name)
    for stage in space.stages:
        shapes = {space.block_graph(stage, number).output_shape for number in range(stage.size)}
        assert shapes == {space.output_shapes[stage.name]}


def test_the_reach_is_from_the_smallest_images_to_the_largest() -> None:
    found = find_extremes(OFA)
    assert [found[name].architecture.settings for name in ("smallest", "largest")] == [(128,), (224,)]
    drawn = [OFA.network_graph(OFA.architecture(row)).macs for row in OFA.random_rows(30, 2)]
    assert found["smallest"].macs < min(drawn) < max(drawn) < found["largest"].macs
    assert found["largest"].architecture == OFA.reference
