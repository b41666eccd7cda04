"""The paper's spaces: their counts, their references by closed form, and what their files say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from donna_hw.graph.graph import Graph, Layer
from donna_hw.spaces import Space, list_spaces, load_space
from donna_hw.spaces.extremes import find_extremes

PAPER = {  # stages, blocks a stage
    "donna": (5, 384),
    "efficientnet_b0": (6, 36),
    "mobilenetv3_1.0": (5, 27),
    "mobilenetv3_1.2": (5, 27),
    "mobilenetv3_1.2_extended": (5, 216),
    "proxylessnas_1.3": (5, 27),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_numbers_of_blocks_and_architectures(name: str) -> None:
    space, (stages, blocks) = load_space(name), PAPER[name]
    assert name in list_spaces()
    assert space.name == name
    assert space.stage_sizes == (blocks,) * stages
    assert space.size == blocks**stages
    assert space.input_shape == (3, 224, 224)
    assert space.output_shapes["classifier"] == (1000,)


def bottleneck_macs(*sizes: int, pixels: tuple[int, int], reduced: int = 0) -> int:
    """Return the MACs of one inverted residual bottleneck by hand: channels in and out, kernel, expand; a side's pixels."""
    into, out, kernel, expand = sizes
    before, after = pixels[0] ** 2, pixels[1] ** 2
    hidden = expand * into
    expansion = into * hidden * before if expand > 1 else 0
    return expansion + kernel**2 * hidden * after + 2 * hidden * reduced + hidden * out * after


def test_the_reference_of_efficientnet_b0_is_the_table_of_its_paper() -> None:
    # Tan and Le, 2019, table 1: operator, side of the input, channels, layers; squeeze to a quarter of the input's channels
    rows = [
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    ]
    side, into = 112, 32
    macs = 27 * 32 * side**2
    for expand, kernel, out, layers, stride in rows:
        for number in range(layers):
            after = side // stride if number == 0 else side
            macs += bottleneck_macs(into, out, kernel, expand, pixels=(side, after), reduced=into // 4)
            side, into = after, out
    macs += 320 * 1280 * 7**2 + 1280 * 1000
    space = load_space("efficientnet_b0")
    assert space.network_graph(space.reference).macs == macs
    labels = [("k3", "d2"), ("k5", "d2"), ("k3", "d3"), ("k5", "d3"), ("k5", "d4"), ("k3", "d1")]
    assert list(space.labels(space.reference).values()) == [f"{kernel}-e6-{depth}" for kernel, depth in labels]


@pytest.mark.parametrize(
    ("name", "stem", "first", "channels", "tail"),
    [
        ("mobilenetv3_1.0", 16, 16, (24, 40, 80, 112, 160), (960, 1280)),
        ("mobilenetv3_1.2", 24, 24, (32, 48, 96, 136, 192), (1152, 1536)),
    ],
)
def test_any_network_of_mobilenetv3_is_its_closed_form(
    name: str, stem: int, first: int, channels: tuple[int, ...], tail: tuple[int, int]
) -> None:
    space = load_space(name)
    strides, gated = (2, 2, 2, 1, 2), (False, True, False, True, True)
    for row in [space.reference.blocks, *space.random_rows(5, 0)]:
        side, into = 112, stem
        macs = 27 * stem * side**2 + bottleneck_macs(stem, first, 3, 1, pixels=(side, side))
        into = first
        for stage, number, out, stride, gate in zip(space.stages, row, channels, strides, gated, strict=True):
            choice = {axis: int(value) for axis, value in stage.choice(int(number)).items()}
            for layer in range(choice["depth"]):
                after = side // stride if layer == 0 else side
                hidden = choice["expand"] * into
                # MobileNetV3: a quarter to the nearest multiple of 8, halves up; the next one if that is over a tenth too few
                reduced = (hidden + 16) // 32 * 8
                reduced += 8 * (reduced < 0.9 * hidden / 4)
                sizes = (into, out, choice["kernel"], choice["expand"])
                macs += bottleneck_macs(*sizes, pixels=(side, after), reduced=reduced if gate else 0)
                side, into = after, out
        macs += into * tail[0] * side**2 + tail[0] * tail[1] + tail[1] * 1000
        assert space.network_graph(space.architecture(row)).macs == macs


def test_any_network_of_proxylessnas_is_its_closed_form() -> None:
    space = load_space("proxylessnas_1.3")
    for row in [space.reference.blocks, *space.random_rows(5, 0)]:
        side, into = 112, 24
        macs = 27 * 40 * side**2 + bottleneck_macs(40, 24, 3, 1, pixels=(side, side))
        for stage, number, out, stride in zip(space.stages, row, (32, 56, 104, 128, 248), (2, 2, 2, 1, 2), strict=True):
            choice = {axis: int(value) for axis, value in stage.choice(int(number)).items()}
            for layer in range(choice["depth"]):
                after = side // stride if layer == 0 else side
                macs += bottleneck_macs(into, out, choice["kernel"], choice["expand"], pixels=(side, after))
                side, into = after, out
        macs += bottleneck_macs(248, 416, 7, 6, pixels=(7, 7)) + 416 * 1664 * 7**2 + 1664 * 1000
        assert space.network_graph(space.architecture(row)).macs == macs


def spatial(graph: Graph) -> list[Layer]:
    return [layer for layer in graph.layers if layer.name.endswith("spatial")]


@pytest.mark.parametrize("name", PAPER)
def test_every_axis_does_in_the_layers_what_it_is_called(name: str) -> None:
    space = load_space(name)
    for stage in space.stages:
        for number in range(stage.size):
            choice, graph = stage.choice(number), space.block_graph(stage, number)
            layers = spatial(graph)
            assert len(layers) == choice.get("depth")
            assert {layer.kernel for layer in layers} == {choice["kernel"]}
            into = [graph.input_shape[0], *[graph.output_shape[0]] * (len(layers) - 1)]
            width = float(choice.get("width", 1.0)) * float(choice["expand"])
            grouped = choice.get("cell") == "grouped"
            for layer, channels in zip(layers, into, strict=True):
                hidden = round(channels * width)
                assert layer.in_shape[0] == (-(-hidden // 8) * 8 if grouped else hidden)
                assert layer.in_shape[0] // layer.groups == (8 if grouped else 1)
            activations = {layer.activation for layer in layers}
            if "activation" in choice:
                assert activations == {choice["activation"]}
                assert any(layer.operator == "scale" for layer in graph.layers) == (choice["attention"] == "se")
            if "style" in choice:
                assert activations == {str(choice["style"]).split("_")[0]}
                assert any(layer.operator == "scale" for layer in graph.layers) == (choice["style"] == "swish_se")
            assert [layer.stride for layer in layers[1:]] == [1] * (len(layers) - 1)
            residuals = [layer.name for layer in graph.layers if layer.operator == "add"]
            first = layers[0].stride == 1 and graph.input_shape[0] == graph.output_shape[0]
            assert len(residuals) == len(layers) - 1 + first


def test_the_reach_of_a_space_is_that_of_all_its_networks() -> None:
    space = load_space("small_8px")
    graphs = {
        row: space.network_graph(space.architecture(row))
        for row in product(*(range(0, stage.size, 3) for stage in space.stages))
    }
    found = find_extremes(space)
    macs = np.array([graph.macs for graph in graphs.values()])
    assert found["smallest"].macs <= macs.min()
    assert found["largest"].macs >= macs.max()
    for member in found.values():
        network = space.network_graph(member.architecture)
        assert (member.macs, member.params) == (network.macs, network.params)
    by_stage = [[space.block_graph(stage, m).macs for m in range(stage.size)] for stage in space.stages]
    fixed = sum(space.fixed_graph(name).macs for name in space.fixed)
    assert found["smallest"].macs == fixed + sum(min(counts) for counts in by_stage)
    assert found["largest"].macs == fixed + sum(max(counts) for counts in by_stage)
    assert found["reference"].architecture == space.reference


@pytest.mark.parametrize("name", PAPER)
def test_a_member_costs_the_sum_of_its_parts(name: str) -> None:
    space = load_space(name)
    for member in find_extremes(space).values():
        blocks = [space.block_graph(s, m) for s, m in zip(space.stages, member.architecture.blocks, strict=True)]
        parts: list[Graph] = [*blocks, *(space.fixed_graph(part) for part in space.fixed)]
        assert member.macs == sum(graph.macs for graph in parts)
        assert member.params == sum(graph.params for graph in parts)


def test_the_command_lists_every_space_with_its_reach(main: Callable[..., tuple[int, str, str]]) -> None:
    code, text, _ = main("spaces")
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert code == 0
    assert set(list_spaces()) < set(lines)
    assert "385.8 MMAC, 5.289 M" in lines["efficientnet_b0"]  # what the closed form above gives
    assert "5 x 384" in lines["donna"]
    assert "kernel 3/5/7" in lines["donna"]


def test_a_space_of_a_name_is_the_same_object_each_time() -> None:
    spaces: list[Space] = [load_space("donna"), load_space("donna")]
    assert spaces[0] is spaces[1]
