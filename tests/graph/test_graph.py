"""Counts by closed form, names of layers, and the rules of a builder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from donna_hw.devices.backends.ptflops import PtflopsBackend
from donna_hw.errors import ConfigError, DonnaError, UnknownNameError
from donna_hw.graph.builder import Block, GraphBuilder, lower, lower_chain
from donna_hw.graph.graph import Graph, Layer, layers_hash
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces import load_space
from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual


def test_a_convolution_by_hand() -> None:
    layer = lower(ConvNormAct(channels=8, kernel=3, stride=2), (3, 9, 7)).layers[0]
    assert layer.out_shape == (8, 5, 4)
    assert layer.macs == 8 * 3 * 3 * 3 * 5 * 4
    assert layer.params == 8 * 3 * 3 * 3 + 2 * 8


def test_a_depthwise_bottleneck_by_the_papers_closed_form() -> None:
    # expand 1x1, k x k depthwise, project 1x1 on c channels, e-fold, h x h pixels, no attention
    c, e, k, h = 12, 4, 5, 6
    graph = lower(InvertedResidual(c, kernel=k, expand=e), (c, h, h))
    assert graph.macs == h * h * (c * c * e + c * e * k * k + c * e * c)
    assert graph.params == c * c * e + c * e * k * k + c * e * c + 2 * (c * e + c * e + c)


@pytest.mark.parametrize("name", ["small_8px", "small_28px"])
def test_parameters_are_those_of_the_torch_module(name: str) -> None:
    space = load_space(name)
    rng = np.random.default_rng(0)
    for row in space.random_rows(4, rng):
        graph = space.network_graph(space.architecture(row))
        assert graph.params == sum(weight.numel() for weight in to_torch(graph).parameters())


def test_a_network_costs_the_sum_of_its_parts() -> None:
    space = load_space("small_28px")
    architecture = space.architecture(space.random_rows(1, np.random.default_rng(1))[0])
    blocks = [space.block_graph(stage, m) for stage, m in zip(space.stages, architecture.blocks, strict=True)]
    parts = blocks + [space.fixed_graph(name) for name in space.fixed]
    network = space.network_graph(architecture)
    assert network.macs == sum(part.macs for part in parts)
    assert network.params == sum(part.params for part in parts)


class BiasedConv:
    """A convolution without batch-norm on a map larger than one pixel."""

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        return builder.conv(x, 5, kernel=3, groups=1, batch_norm=False, name="only")


def ptflops_sample() -> list[Graph]:
    space = load_space("small_8px")
    row = space.random_rows(1, np.random.default_rng(2))[0]
    stage = space.stages[0]
    return [
        lower(BiasedConv(), (2, 6, 4)),
        space.network_graph(space.reference),
        space.network_graph(space.architecture(row)),
        space.fixed_graph("classifier"),
        *(space.block_graph(stage, m) for m in range(0, stage.size, 5)),
    ]


def test_ptflops_counts_our_macs_and_one_for_each_output_element_of_a_layer_with_a_bias() -> None:
    for graph in ptflops_sample():
        biased = [layer for layer in graph.layers if layer.weight_shape and not layer.batch_norm]
        additions = sum(int(np.prod(layer.out_shape)) for layer in biased)
        assert PtflopsBackend(1, {"count": "macs"}).cost(graph) == graph.macs + additions


def test_ptflops_counts_our_parameters() -> None:
    for graph in ptflops_sample():
        assert PtflopsBackend(1, {"count": "params"}).cost(graph) == graph.params


def test_the_hash_is_of_what_is_computed_not_of_names() -> None:
    block = InvertedResidual(12, attention="se")
    alone = lower(block, (12, 8, 8))
    assert layers_hash(alone) == layers_hash(lower_chain([("somewhere", block)], (12, 8, 8)))
    assert layers_hash(alone) == layers_hash(lower_chain([("elsewhere", block)], (12, 8, 8)))
    names = {"input": "input"} | {layer.name: f"layer{i}" for i, layer in enumerate(alone.layers)}
    renamed = [
        replace(layer, name=names[layer.name], inputs=tuple(names[x] for x in layer.inputs)) for layer in alone.layers
    ]
    assert layers_hash(Graph(alone.input_shape, tuple(renamed))) == layers_hash(alone)


@pytest.mark.parametrize("field", [field.name for field in fields(Layer) if field.name != "name"])
def test_the_hash_changes_with_every_field(field: str) -> None:
    graph = lower_chain([("a", ConvNormAct(4)), ("b", ConvNormAct(4))], (4, 2, 2))
    layer = graph.layers[1]
    value = getattr(layer, field)
    changed: object = {
        "inputs": ("input",),
        "operator": "linear",
        "activation": "sigmoid",
        "dtype": "int8",
        "batch_norm": False,
        "module_spec": SimpleNamespace(key="a module"),
    }.get(field)
    if changed is None:
        changed = (9, 9, 9) if isinstance(value, tuple) else value + 1
    other = Graph(graph.input_shape, (graph.layers[0], replace(layer, **{field: changed})))
    assert layers_hash(other) != layers_hash(graph)


def test_the_hash_changes_with_the_input_and_with_the_order_of_inputs() -> None:
    assert layers_hash(lower(ConvNormAct(4), (4, 2, 2))) != layers_hash(lower(ConvNormAct(4), (4, 2, 4)))
    graph = lower(InvertedResidual(4), (4, 2, 2))
    *rest, last = graph.layers
    swapped = Graph(graph.input_shape, (*rest, replace(last, inputs=last.inputs[::-1])))
    assert layers_hash(swapped) != layers_hash(graph)


def test_no_two_blocks_of_a_stage_share_their_layers() -> None:
    space = load_space("small_28px")
    for stage in space.stages:
        assert len({layers_hash(space.block_graph(stage, m)) for m in range(stage.size)}) == stage.size


class FunctionBlock:
    """A block from a function."""

    def __init__(self, add_layers: Callable[[GraphBuilder, str], str]) -> None:
        self.add_layers = add_layers


def twice(builder: GraphBuilder, x: str) -> str:
    return builder.flatten(builder.flatten(x, name="flat"), name="flat")


def early(builder: GraphBuilder, x: str) -> str:
    first = builder.conv(x, 2, name="first")
    builder.conv(first, 2, name="second")
    return first


@pytest.mark.parametrize(
    ("block", "error", "message"),
    [
        (ConvNormAct(4, kernel=2), ConfigError, "odd"),
        (ConvNormAct(4, stride=0), ConfigError, "stride"),
        (ConvNormAct(0), ConfigError, "channels"),
        (ConvNormAct(4, activation="tanh"), UnknownNameError, "unknown activation 'tanh'; expected none, relu"),
        (FunctionBlock(lambda d, x: d.conv(x, 4, groups=3, name="c")), ConfigError, "groups"),
        (
            FunctionBlock(lambda d, x: d.add(x, d.conv(x, 3, name="c"), name="sum")),
            ConfigError,
            "both inputs of an addition must have the shape",
        ),
        (FunctionBlock(lambda d, x: d.scale(x, x, name="scaled")), ConfigError, "gate"),
        (FunctionBlock(lambda d, x: d.linear(x, 3, name="end")), ConfigError, "flatten"),
        (FunctionBlock(twice), ConfigError, "different names"),
        (FunctionBlock(early), ConfigError, "end with"),
    ],
)
def test_a_builder_refuses(block: Block, error: type[DonnaError], message: str) -> None:
    with pytest.raises(error, match=message):
        lower(block, (2, 4, 4))


@pytest.mark.parametrize("field", ["cell", "attention"])
def test_an_unknown_setting_of_a_cell_lists_the_choices(field: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown {field} 'nope'; expected "):
        InvertedResidual(4, **{field: "nope"})  # type: ignore[arg-type]


def test_a_block_has_a_bottleneck_or_more() -> None:
    with pytest.raises(ConfigError, match="depth"):
        InvertedResidual(4, depth=0)


def test_width_acts_inside_a_block_only() -> None:
    wide, narrow = (lower(InvertedResidual(8, width=width), (8, 4, 4)) for width in (1.0, 0.5))
    assert wide.output_shape == narrow.output_shape
    assert narrow.layers[0].out_shape[0] * 2 == wide.layers[0].out_shape[0]


def test_grouped_cells_hold_whole_groups() -> None:
    spatial = lower(InvertedResidual(4, expand=3, cell="grouped", group_size=8), (4, 4, 4)).layers[1]
    assert spatial.out_shape[0] == 16
    assert spatial.groups == 2


def test_the_classifier_is_pool_flatten_linear() -> None:
    graph = lower(Classifier(10), (6, 4, 4))
    assert [layer.operator for layer in graph.layers] == ["global_pool", "flatten", "linear"]
    assert (graph.macs, graph.params) == (60, 70)


@pytest.mark.parametrize("name", ["input", "output"])
def test_a_layer_has_no_reserved_name(name: str) -> None:
    with pytest.raises(ConfigError, match="a reserved name"):
        GraphBuilder((3, 4, 4)).conv("input", 2, name=name)


@pytest.mark.parametrize("name", ["graph", "training", "forward"])
def test_a_layer_is_not_named_like_an_attribute_of_torch_modules(name: str) -> None:
    builder = GraphBuilder((3, 4, 4))
    builder.conv("input", 2, name=name)
    with pytest.raises(ConfigError, match="attribute of torch modules"):
        to_torch(Graph(builder.input_shape, tuple(builder.layers)))


def test_a_block_without_layers_passes_its_input_on() -> None:
    graph = lower(FunctionBlock(lambda d, x: x), (2, 3, 3))
    assert (graph.layers, graph.output_shape, graph.macs, graph.params) == ((), (2, 3, 3), 0, 0)
    between = [(name, FunctionBlock(lambda d, x: d.conv(x, 2, name="conv"))) for name in ("a", "b")]
    chain = lower_chain([between[0], ("nothing", FunctionBlock(lambda d, x: x)), between[1]], (2, 3, 3))
    assert layers_hash(chain) == layers_hash(lower_chain(between, (2, 3, 3)))
