"""The paper's DONNA space: its counts, and its reference by closed form."""

from __future__ import annotations

from donna_hw.graph.graph import layers_hash
from donna_hw.spaces import load_space

CHANNELS, STRIDES = (64, 96, 128, 196, 256), (2, 2, 2, 1, 2)


def test_it_has_five_stages_of_384_blocks() -> None:
    space = load_space("donna")
    assert space.stage_sizes == (3 * 4 * 4 * 2 * 2 * 2,) * 5 == (384,) * 5
    assert space.size == 384**5 == 8_349_416_423_424
    assert all(len(set(stage.labels)) == 384 for stage in space.stages)


def test_the_reference_is_the_largest_member_with_depthwise_cells() -> None:
    space = load_space("donna")
    assert set(space.labels(space.reference).values()) == {"k7-e6-d4-swish_se-depthwise-w1.0"}
    depthwise = [stage.choice(m)["cell"] == "depthwise" for stage in space.stages[:1] for m in range(stage.size)]
    graphs = [space.block_graph(space.stages[0], m) for m in range(384)]
    most = max(graph.macs for graph, kept in zip(graphs, depthwise, strict=True) if kept)
    assert space.block_graph(space.stages[0], space.reference.blocks[0]).macs == most


def test_the_references_macs_are_the_closed_form() -> None:
    pixels, into = 112, 32
    macs = 3 * 9 * 32 * pixels**2
    for channels, stride in zip(CHANNELS, STRIDES, strict=True):
        for number in range(4):
            hidden = 6 * into
            macs += into * hidden * pixels**2  # expand, before the stride
            pixels //= stride if number == 0 else 1
            macs += 49 * hidden * pixels**2 + 2 * hidden * (into // 4) + hidden * channels * pixels**2
            into = channels
    assert pixels == 7
    macs += 256 * 1536 * 7**2 + 1536 * 1000
    space = load_space("donna")
    assert space.network_graph(space.reference).macs == macs


def test_shapes_follow_from_channels_and_strides() -> None:
    space = load_space("donna")
    pixels = (112, 56, 28, 14, 14, 7)
    shapes = [(channels, size, size) for channels, size in zip((32, *CHANNELS), pixels, strict=True)]
    assert [space.input_shapes[name] for name in space.part_names[1:-1]] == shapes
    assert list(space.output_shapes.values())[:-2] == shapes
    assert space.output_shapes["head"] == space.input_shapes["classifier"] == (1536, 7, 7)
    assert space.output_shapes["classifier"] == (1000,)


def test_grouped_cells_have_whole_groups_of_eight_though_196_has_none() -> None:
    space = load_space("donna")
    for stage in space.stages:
        for m in range(stage.size):
            if stage.choice(m)["cell"] == "grouped":
                spatial = [layer for layer in space.block_graph(stage, m).layers if layer.name.endswith("spatial")]
                assert all(layer.out_shape[0] == 8 * layer.groups for layer in spatial)


def test_duplicates_are_blocks_of_equal_expand_times_width() -> None:
    # expand 4 at width 0.5 is expand 2 at 1.0, and 6 at 0.5 is 3 at 1.0: 6 of 8 products differ, so three blocks of four
    space = load_space("donna")
    stage = space.stages[2]
    found: dict[str, tuple[object, ...]] = {}
    for m in range(stage.size):
        choice = stage.choice(m)
        product = float(choice.pop("expand")) * float(choice.pop("width"))
        key = (product, *choice.values())
        assert found.setdefault(layers_hash(space.block_graph(stage, m)), key) == key
    assert len(found) == len(set(found.values())) == 384 * 6 // 8
