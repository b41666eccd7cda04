"""Straight from layers or by way of the ONNX model: one workload."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx_examples import checked, macs

from donna_hw.graph.builder import Block, GraphBuilder, lower, lower_chain
from donna_hw.graph.graph import ACTIVATIONS, Graph
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.simulator.from_graph import workload_from_graph
from donna_hw.simulator.onnx_frontend.reader import read_onnx
from donna_hw.simulator.workload import Workload
from donna_hw.spaces import load_space
from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual


def without_names(workload: Workload) -> Workload:
    return replace(workload, nodes=tuple(node._replace(name="") for node in workload.nodes))


def assert_same(graph: Graph, batch: int = 1) -> None:
    straight = checked(workload_from_graph(graph, batch))
    assert without_names(straight) == without_names(read_onnx(to_onnx(graph, batch)))
    assert macs(straight) == batch * graph.macs


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("cell", ["depthwise", "grouped"])
@pytest.mark.parametrize("attention", ["none", "se", "se_v3"])
def test_every_cell_and_activation(activation: str, cell: str, attention: str) -> None:
    for stride, batch in ((1, 1), (2, 3)):
        block = InvertedResidual(12, stride, 5, 4, 2, activation, attention, cell)  # all of its settings
        assert_same(lower(block, (12, 9, 8)), batch)
    assert_same(lower(ConvNormAct(8, 3, 2, activation), (3, 7, 7)))


def test_blocks_and_networks_of_a_space() -> None:
    space = load_space("small_28px")
    for stage in space.stages:
        for number in range(0, stage.size, 13):
            assert_same(space.block_graph(stage, number), batch=1 + number % 2)
    for row in space.random_rows(3, np.random.default_rng(0)):
        assert_same(space.network_graph(space.architecture(row)))
    for name in space.fixed:
        assert_same(space.fixed_graph(name), batch=4)


def test_one_pixel_and_one_channel() -> None:
    assert_same(lower(InvertedResidual(1, expand=1, attention="se"), (1, 1, 1)))
    assert_same(lower(Classifier(1), (1, 1, 1)))


class Pooled:
    """A max pool of a window of 5 with a stride of 2, and a sum with an activation."""

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        x = builder.max_pool(x, kernel=5, stride=2, name="pool")
        return builder.add(x, builder.conv(x, 3, name="conv"), activation="relu", name="sum")


def test_a_max_pool_works_through_its_windows() -> None:
    graph = lower(Pooled(), (3, 9, 8))
    assert workload_from_graph(graph, 2).nodes[0].work == 2 * 3 * 5 * 4 * 25
    assert_same(graph, 2)


class Doubled:
    """The sum of a tensor with itself, and a flattened block."""

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        x = builder.add(x, x, name="sum")
        return builder.linear(builder.flatten(x, name="flat"), 5, activation="relu", name="linear")


@pytest.mark.parametrize("batch", [1, 2])
def test_a_tensor_read_twice_is_one_input(batch: int) -> None:
    block: Block = Doubled()
    graph = lower(block, (3, 4, 4))
    assert workload_from_graph(graph).nodes[0].inputs == (0,)
    assert_same(graph, batch)


def test_free_operators_are_named() -> None:
    assert workload_from_graph(lower_chain([("end", Classifier(3))], (4, 2, 2))).free_ops == ("end.flatten",)
