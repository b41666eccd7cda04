"""Boxes: one for each layer, and what each says is what the graph has."""

import pytest
import torch
from torch import nn

from donna_hw.errors import ConfigError
from donna_hw.reporting.figures.boxes import KINDS, Box, build_boxes
from donna_hw.spaces import Architecture, Space, Stage, list_spaces, load_space
from donna_hw.spaces.cells import InvertedResidual
from donna_hw.spaces.from_model.partition import space_from_model

STAGEWISE = ("donna", "efficientnet_b0", "mobilenetv3_1.2", "proxylessnas_1.3", "small_28px", "small_vit_8px")


def network(name: str, **labels: str) -> tuple[Box, ...]:
    space = load_space(name)
    return build_boxes(space, space.architecture_from_labels(space.labels(space.reference) | labels))


@pytest.mark.parametrize("name", STAGEWISE)
def test_there_are_as_many_boxes_as_the_depths_add_up_to(name: str) -> None:
    space = load_space(name)
    for row in space.random_rows(5, 0):
        found = build_boxes(space, space.architecture(row))
        depths = [int(s.choice(m)["depth"]) for s, m in zip(space.stages, row, strict=True)]
        assert [box.stage for box in found] == [
            s.name for s, depth in zip(space.stages, depths, strict=True) for _ in range(depth)
        ]


@pytest.mark.parametrize("name", list_spaces())
def test_every_shipped_space_has_boxes_of_known_kinds(name: str) -> None:
    space = load_space(name)
    found = build_boxes(space, space.architecture(space.random_rows(1, 3)[0]))
    assert {box.kind for box in found} <= set(KINDS)
    assert name == "baselines" or all(box.channels for box in found)
    if not name.startswith(("baselines", "fbnet")) and "vit" not in name:
        assert {box.kind for box in found} == {"inverted_residual"}


def test_a_stage_is_its_choice_layer_after_layer() -> None:
    first, second = network("donna", stage1="k3-e4-d2-swish_se-grouped-w0.5", stage2="k7-e6-d1-relu-depthwise-w1.0")[:2]
    assert (first.kernel, first.stride, first.channels, first.grouped, first.se, first.swish) == (
        *(3, 2, 64),
        *(True, True, True),
    )
    assert first.expand == 2, "32 channels in, 4 times as many at half the width: 64"
    assert (second.stride, second.expand) == (1, 2)
    third = network("donna", stage2="k7-e6-d1-relu-depthwise-w1.0")[4]
    assert (third.kernel, third.expand, third.grouped, third.se, third.swish) == (7, 6, False, False, False)


def test_the_expansion_is_the_one_built_whole_groups_and_all() -> None:
    box = network("donna", stage5="k3-e2-d1-relu-grouped-w0.5")[-1]
    assert box.expand == 200 / 196, "196 hidden channels are rounded up to 25 groups of 8"


def test_hard_swish_is_not_called_swish() -> None:
    last = network("mobilenetv3_1.0")[-1]
    assert (last.activation, last.swish, last.se) == ("hard_swish", False, True)


def test_a_layer_left_out_has_no_box_and_a_skip_that_computes_is_a_convolution() -> None:
    assert len(network("ofa_mobilenetv3", stage2_layer3="skip", stage5_layer4="skip")) == 18
    found = network("fbnet", stage2_layer1="skip", stage2_layer2="skip")
    assert len(found) == 21, "the first skip changes channels and stride, the second nothing"
    assert (found[1].kind, found[1].kernel, found[1].stride, found[1].expand) == ("conv", 1, 2, None)


def test_groups_of_the_1x1_convolutions_are_told_and_not_taken_for_grouped_cells() -> None:
    box = network("fbnet", stage3_layer2="k3-e1-g2")[6]
    assert (box.grouped, box.label) == (False, "1x1 in 2 groups")


def test_a_shift_is_neither_depthwise_nor_grouped() -> None:
    box = network("small_8px_shift", stage1="k5-e2-d1-relu-shift")[0]
    assert (box.kernel, box.grouped, box.label, box.expand) == (5, None, "shift", 2)


def test_what_somebodys_own_bottleneck_adds_is_told_and_what_it_does_not_say_is_absent() -> None:
    from dataclasses import dataclass

    from donna_hw.graph.builder import GraphBuilder
    from donna_hw.graph.torch_layer import TorchLayer
    from donna_hw.spaces.extend import add_cell
    from donna_hw.spaces.zoo.small import small_8px_cells

    @dataclass(frozen=True)
    class Leaky(InvertedResidual):
        def add_spatial(self, builder: GraphBuilder, x: str, hidden: int, stride: int, name: str) -> str:
            if self.kernel == 3:
                return TorchLayer.of(nn.AvgPool2d, name, kernel_size=stride, stride=stride).add_layers(builder, x)
            x = builder.conv(x, hidden, kernel=3, groups=hidden, stride=stride, name=f"{name}_before")
            return builder.conv(x, hidden, kernel=5, groups=hidden, name=name)

    space = add_cell(small_8px_cells(), "leaky", Leaky, name="leaky")
    chosen = {"stage1": "k3-e2-d1-relu-leaky", "stage2": "k5-e2-d1-relu-leaky"}
    first, second = build_boxes(space, space.architecture_from_labels(space.labels(space.reference) | chosen))[:2]
    assert (first.kernel, first.stride, first.grouped, first.label) == (None, 1, None, "avgpool2d")
    assert (second.kernel, second.grouped, second.label) == (5, False, "spatial_before")


def test_precision_changes_nothing_but_int8() -> None:
    plain, mixed = network("small_8px"), network("small_8px@precision", stage2="k5-e4-d2-swish_se-int8")
    assert [box.int8 for box in mixed] == [box.stage == "stage2" for box in plain]
    assert all(box.int8 for box in network("small_8px@int8"))
    strip = [{**vars(box), "int8": False} for box in mixed]
    assert strip == [vars(box) for box in plain]


def test_a_transformers_layer_says_its_embedding_and_heads() -> None:
    box = network("small_vit_8px", stage1="d1-e24-m3")[0]
    assert (box.kind, box.channels, box.expand, box.label) == ("transformer", 48, 24 * 3 / 48, "24 in 2 heads")
    assert box.kernel is box.se is box.swish is box.grouped is None


def test_what_is_not_known_of_a_torch_part_is_absent() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, 2, 1), nn.Flatten(), nn.Linear(128, 10))
    space = space_from_model(model, torch.zeros(1, 1, 8, 8), ["0", "1"])
    (own,) = build_boxes(space, space.reference)
    assert own == Box(space.stages[0].name, "other", channels=8, label=space.stages[0].label(space.reference.blocks[0]))
    two = space.architecture_from_labels({space.stages[0].name: "k5-e2-d2-relu-grouped"})
    assert [(box.kernel, box.stride, box.grouped) for box in build_boxes(space, two)] == [(5, 2, True), (5, 1, True)]


def test_residual_blocks_of_a_stage_are_boxes_of_their_own() -> None:
    space = load_space("baselines")
    found = [
        box
        for box in build_boxes(space, space.architecture_from_labels({"network": "resnet50"}))
        if box.kind == "residual"
    ]
    assert len(found) == 3 + 4 + 6 + 3
    assert [box.stride for box in found].count(2) == 3
    assert found[1].expand == 64 / 256


def test_a_cell_of_ones_own_that_is_one_convolution_is_one() -> None:
    from donna_hw.spaces.cells import ConvNormAct
    from donna_hw.spaces.stage import Axis

    stage = Stage("only", (Axis("kernel", (3, 5)),), lambda kernel: ConvNormAct(6, kernel, 2, "swish"))
    space = Space("one", "one", (3, 8, 8), (), (stage,), ())
    (box,) = build_boxes(space, Architecture((0,)))
    assert (box.kind, box.kernel, box.channels, box.stride, box.swish) == ("conv", 3, 6, 2, True)


def test_a_network_of_another_space_is_refused() -> None:
    with pytest.raises(ConfigError, match="space donna must have 5 blocks; got 2"):
        build_boxes(load_space("donna"), Architecture((0, 0)))
