"""ptflops held against torch's own counter, our closed form and itself: layer by layer, block by block, on the paper's spaces.

Torch's FlopCounterMode counts two FLOPs a multiply-accumulate and no bias; ptflops counts multiply-accumulates, and one for each output
element that a convolution or a linear layer adds a bias to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import donna_hw.graph.flops
from donna_hw._core import torchvision_compat
from donna_hw.devices.backends.ptflops import PtflopsBackend
from donna_hw.errors import ConfigError
from donna_hw.graph.builder import GraphBuilder
from donna_hw.graph.flops import count_module
from donna_hw.graph.graph import Graph
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces import Space, load_space

SPACES = (
    "donna",
    "efficientnet_b0",
    "mobilenetv3_1.0",
    "mobilenetv3_1.2",
    "mobilenetv3_1.2_extended",
    "proxylessnas_1.3",
)
MACS, PARAMS = {"count": "macs"}, {"count": "params"}


def of_every_value(space: Space) -> Iterator[Graph]:
    """Yield the fixed parts, each stage's reference block, and the reference with each value of each axis, in one stage after another."""
    yield from (space.fixed_graph(name) for name in space.fixed)
    yield from (space.block_graph(stage, stage.reference) for stage in space.stages)
    values = sorted(
        {(axis.name, value) for stage in space.stages for axis in stage.axes for value in axis.values}, key=str
    )
    for place, (name, value) in enumerate(values):
        having = [s for s in space.stages if any(axis.name == name and value in axis.values for axis in s.axes)]
        stage = having[place % len(having)]
        yield space.block_graph(stage, stage.number(stage.choice(stage.reference) | {name: value}))


def biased_elements(graph: Graph) -> int:
    """Return the output elements of the layers with weights that have a bias."""
    return sum(prod(layer.out_shape) for layer in graph.layers if layer.weight_shape and not layer.batch_norm)


def pools_and_linears() -> Graph:
    builder = GraphBuilder((3, 9, 7))
    x = builder.max_pool("input", kernel=3, stride=2, name="pool")
    x = builder.conv(x, 4, kernel=5, batch_norm=False, activation="hard_swish", name="conv")
    x = builder.add(x, x, activation="relu6", name="twice")
    x = builder.scale(x, builder.global_pool(x, name="squeeze"), name="scale")
    x = builder.linear(builder.flatten(x, name="flat"), 6, activation="hard_sigmoid", name="hidden")
    builder.linear(x, 5, name="logits")
    return Graph(builder.input_shape, tuple(builder.layers))


def plain_ptflops(graph: Graph) -> tuple[float, float]:
    """Return (MACs, parameters) as ptflops alone counts the whole block, really run on this CPU."""
    torchvision_compat.patch_torchvision()
    from ptflops import get_model_complexity_info

    macs, params = get_model_complexity_info(
        to_torch(graph).eval(), graph.input_shape, as_strings=False, print_per_layer_stat=False, backend="aten"
    )
    return float(macs), float(params)


@pytest.mark.parametrize("name", [f"{space}@32px" for space in SPACES])
def test_four_counters_agree_on_a_block_of_every_value_of_every_axis(name: str) -> None:
    graphs = list(of_every_value(load_space(name)))
    macs, params = (PtflopsBackend(1, options).costs(graphs) for options in (MACS, PARAMS))
    for graph, block_macs, block_params in zip(graphs, macs, params, strict=True):
        assert block_macs == graph.macs + biased_elements(graph)
        assert block_params == graph.params
        with torch.no_grad(), FlopCounterMode(display=False) as flops:
            to_torch(graph).eval()(torch.zeros(1, *graph.input_shape))
        assert flops.get_total_flops() == 2 * graph.macs


@pytest.mark.parametrize("name", ["donna@64px", "efficientnet_b0@64px", "mobilenetv3_1.2_extended@64px"])
def test_the_sum_of_the_layers_is_exactly_ptflops_count_of_the_whole_block(name: str) -> None:
    space = load_space(name)
    graphs = [
        *list(of_every_value(space))[::3],
        *(space.fixed_graph(part) for part in space.fixed),
        pools_and_linears(),
    ]
    assert {"classifier"} <= set(space.fixed)
    macs, params = (PtflopsBackend(1, options).costs(graphs) for options in (MACS, PARAMS))
    assert list(zip(macs, params, strict=True)) == [plain_ptflops(graph) for graph in graphs]


def test_the_whole_network_costs_what_its_parts_cost() -> None:
    space, backend = load_space("mobilenetv3_1.2_extended@64px"), PtflopsBackend(1, MACS)
    parts = [space.fixed_graph(name) for name in space.fixed]
    parts += [space.block_graph(stage, stage.reference) for stage in space.stages]
    network = space.network_graph(space.reference)
    assert backend.cost(network) == sum(backend.costs(parts)) == plain_ptflops(network)[0]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Input shapes of the modules that are counted, in order."""
    seen: list[tuple[int, ...]] = []
    real = count_module

    def noted(module: torch.nn.Module, input_shape: tuple[int, ...]) -> donna_hw.graph.flops.Counts:
        seen.append(input_shape)
        return real(module, input_shape)

    monkeypatch.setattr(donna_hw.graph.flops, "count_module", noted)
    return seen


def test_ptflops_sees_each_distinct_layer_of_the_papers_space_once(calls: list[tuple[int, ...]]) -> None:
    space, backend = load_space("donna"), PtflopsBackend(1, MACS)
    graphs = [space.block_graph(stage, number) for stage in space.stages for number in range(stage.size)]
    assert len(graphs) == 1920
    layers = {replace(layer, name="", inputs=()) for graph in graphs for layer in graph.layers}
    costs = backend.costs(graphs)
    assert len(calls) == len(layers)
    assert costs == [graph.macs + biased_elements(graph) for graph in graphs]
    assert backend.costs(graphs[::-1]) == costs[::-1]
    assert len(calls) == len(layers)


def test_a_layer_is_counted_once_whatever_it_is_called_and_fed_by(calls: list[tuple[int, ...]]) -> None:
    graph, backend = pools_and_linears(), PtflopsBackend(1, MACS)
    names = {"input": "input"} | {layer.name: f"{layer.name}_2" for layer in graph.layers}
    renamed = [replace(x, name=names[x.name], inputs=tuple(names[y] for y in x.inputs)) for x in graph.layers]
    assert backend.costs([graph, Graph(graph.input_shape, tuple(renamed)), graph]) == [backend.cost(graph)] * 3
    assert len(calls) == len(graph.layers)


def test_a_layer_that_cannot_run_is_an_error_of_ours_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    [conv] = [layer for layer in pools_and_linears().layers if layer.name == "conv"]
    torn = replace(conv, in_shape=conv.in_shape[:2])
    with pytest.raises(
        ConfigError, match=r"GraphModule on one image of shape \(3, 5\).*RuntimeError: Invalid channel"
    ) as failure:
        PtflopsBackend(1, MACS).cost(Graph(torn.in_shape, (torn,)))
    assert "\n" not in str(failure.value)
    assert capfd.readouterr() == ("", "")
