"""Dropout and stochastic depth: which layers have them, how often they act, and that nothing else changes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from donna_hw.graph.builder import GraphBuilder
from donna_hw.graph.graph import INPUT, Graph
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces import load_space
from donna_hw.training.large_scale.regularization import Dropout, StochasticDepth, add_regularization


def hooks(network: GraphModule) -> dict[str, Dropout | StochasticDepth]:
    return {
        layer.name: hook  # type: ignore[misc]
        for layer in network.graph.layers
        for hook in network.get_submodule(layer.name)._forward_pre_hooks.values()
    }


def residual(channels: int, *, shortcut_first: bool = False) -> Graph:
    builder = GraphBuilder((channels, 2, 2))
    first = builder.conv(INPUT, channels, name="first")
    branch = builder.conv(first, channels, batch_norm=False, name="branch")
    inner = builder.add(*((first, branch) if shortcut_first else (branch, first)), name="sum")
    outer = builder.conv(inner, channels, batch_norm=False, name="outer")
    builder.add(*((inner, outer) if shortcut_first else (outer, inner)), name="last")
    return Graph(builder.input_shape, tuple(builder.layers))


def test_efficientnet_b0_has_dropout_on_its_classifier_and_rising_rates_on_its_nine_additions() -> None:
    """Bottlenecks of its table: 1, 2, 2, 3, 3, 4, 1; the first of each row has no residual, so nine have."""
    space = load_space("efficientnet_b0@32px")
    network = to_torch(space.network_graph(space.reference))
    add_regularization(network, 0.2, 0.2)
    *depth, (last, dropout) = hooks(network).items()
    assert (last, dropout) == ("classifier.linear", Dropout(0.2))
    additions = [layer.name for layer in network.graph.layers if layer.operator == "add"]
    assert len(additions) == 9
    assert [name for name, _ in depth] == additions[1:]  # the first one's rate is 0
    for k, (_, hook) in enumerate(depth, start=1):
        assert hook == StochasticDepth(pytest.approx(0.2 * k / 9), branch=0)


def test_dropout_is_before_the_last_of_two_linear_layers() -> None:
    space = load_space("mobilenetv3_1.0@32px@3classes")
    network = to_torch(space.network_graph(space.reference))
    add_regularization(network, 0.3, 0)
    assert hooks(network) == {"classifier.linear": Dropout(0.3)}


def test_rates_of_zero_leave_the_network_alone() -> None:
    network = to_torch(residual(2))
    add_regularization(network, 0, 0)
    assert hooks(network) == {}


@pytest.mark.parametrize("shortcut_first", [False, True])
def test_the_branch_is_dropped_whichever_input_it_is(shortcut_first: bool) -> None:
    """Each image's output is the shortcut alone, or the shortcut and the branch over 1 - rate; by chance, as often as the rate says."""
    rate, count = 0.25, 4000
    network = to_torch(residual(3, shortcut_first=shortcut_first), seed=0)
    add_regularization(network, 0, 2 * rate)  # two additions: 0 and half of it
    outputs: dict[str, Tensor] = {}
    for name in ("sum", "outer"):
        network.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: outputs.update({name: out}))
    torch.manual_seed(0)
    result = network.train()(torch.randn(count, 3, 2, 2))
    dropped = (result == outputs["sum"]).flatten(1).all(1)
    whole = outputs["sum"] + outputs["outer"] / (1 - rate)
    torch.testing.assert_close(result[~dropped], whole[~dropped], rtol=1e-5, atol=1e-6)
    deviation = math.sqrt(count * rate * (1 - rate))
    assert abs(int(dropped.sum()) - count * rate) < 5 * deviation


def test_dropout_keeps_the_expectation() -> None:
    x = torch.ones(1, 100_000)
    torch.manual_seed(0)
    (dropped,) = Dropout(0.2)(torch.nn.Identity().train(), (x,))
    assert set(dropped.unique().tolist()) == {0, 1.25}
    assert float(dropped.mean()) == pytest.approx(1, abs=5 * 0.5 / math.sqrt(100_000))  # one value's deviation is 0.5


def test_evaluation_names_and_graph_stay_as_they_were() -> None:
    space = load_space("mobilenetv3_1.0@32px@3classes")
    network = to_torch(space.network_graph(space.reference), seed=1).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before, keys, graph = network(images), list(network.state_dict()), network.graph
    add_regularization(network, 0.2, 0.2)
    assert torch.equal(network(images), before)
    assert list(network.state_dict()) == keys
    assert network.graph == graph
    assert not torch.equal(network.train()(images), network(images))
