"""Data-Free Quantization: each step preserves what it must preserve, and improves what it is for."""

from __future__ import annotations

from dataclasses import replace
from math import erf, exp, pi, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_examples import every_operator, normal_stats, trained_module

from donna_hw.errors import ConfigError
from donna_hw.graph.builder import GraphBuilder
from donna_hw.graph.graph import INPUT, Graph, with_dtype
from donna_hw.graph.int8_torch import Int8Layer
from donna_hw.graph.torch_module import GraphModule
from donna_hw.training.quantization.bn_folding import FoldedLayer, fold_batch_norms, read_bn_stats
from donna_hw.training.quantization.channel_stats import ChannelStats
from donna_hw.training.quantization.data_free import QuantizationConfig, quantize, weight_grids
from donna_hw.training.quantization.equalization import absorb, equalize, find_pairs
from donna_hw.training.quantization.range_estimation import observe, propagate

PLAIN = QuantizationConfig(equalize=False, absorb_bias=False, correct_bias=False)


def bottleneck(activation: str = "relu") -> Graph:
    builder = GraphBuilder((6, 8, 8))
    x = builder.conv(INPUT, 24, activation=activation, name="expand")
    x = builder.conv(x, 24, kernel=3, groups=24, activation=activation, name="spatial")
    builder.conv(x, 6, name="project")
    return Graph(builder.input_shape, tuple(builder.layers))


def compute_folded(graph: Graph, folded: dict[str, FoldedLayer], x: torch.Tensor) -> torch.Tensor:
    """Compute a chain of convolutions with a ReLU between from folded weights."""
    for layer in graph.layers:
        parameters = folded[layer.name]
        x = torch.nn.functional.conv2d(
            x, parameters.weight, parameters.bias, layer.stride, layer.kernel // 2, 1, layer.groups
        )
        x = x.relu() if layer.activation == "relu" else x
    return x


def unbalanced(module: GraphModule, decades: float) -> GraphModule:
    """Scale the channels between expand, spatial and project apart, by up to `decades` powers of ten, without a change of the outputs."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for first, second in (("expand", "spatial"), ("spatial", "project")):
            factors = 10 ** (decades * (torch.rand(24, generator=generator) - 0.5))
            norm, after = module.get_submodule(f"{first}.norm"), module.get_submodule(f"{second}.weights")
            norm.weight.mul_(factors)
            norm.bias.mul_(factors)
            per_input = factors.view(-1, 1, 1, 1) if second == "spatial" else factors.view(1, -1, 1, 1)
            after.weight.div_(per_input)
    return module


def noise(quantized: GraphModule, trained: GraphModule, x: torch.Tensor) -> float:
    with torch.inference_mode():
        expected = trained(x)
        return float((quantized(x) - expected).square().mean() / expected.var())


def images(graph: Graph, count: int = 200) -> torch.Tensor:
    return torch.randn(count, *graph.input_shape, generator=torch.Generator().manual_seed(9))


def test_folded_weights_compute_what_the_network_does() -> None:
    module = trained_module(bottleneck())
    x = images(module.graph, 20)
    with torch.inference_mode():
        torch.testing.assert_close(
            compute_folded(module.graph, fold_batch_norms(module), x.double()).float(), module(x), rtol=1e-4, atol=1e-5
        )


def test_equalizing_changes_ranges_and_nothing_else() -> None:
    module = unbalanced(trained_module(bottleneck()), 3)
    graph, folded, known = with_dtype(module.graph, "int8"), fold_batch_norms(module), read_bn_stats(module, 6.0)
    before = dict(known)
    x = images(graph, 20).double()
    expected = compute_folded(graph, folded, x)
    pairs, skipped = find_pairs(graph)
    assert [(pair.first.name, pair.second.name) for pair in pairs] == [("expand", "spatial"), ("spatial", "project")]
    assert skipped == {"project": "no layer follows"}
    equalize(pairs, folded, known)
    torch.testing.assert_close(compute_folded(graph, folded, x), expected, rtol=1e-9, atol=1e-9)
    for pair in pairs:
        outputs = folded[pair.first.name].weight.abs().flatten(1).amax(1)
        inputs = folded[pair.second.name].grouped_weight.abs().amax((1, 3)).flatten()
        torch.testing.assert_close(outputs, inputs, rtol=1e-3, atol=0)
    ratio = known["expand"].mean / before["expand"].mean
    torch.testing.assert_close(known["expand"].high / before["expand"].high, ratio)
    torch.testing.assert_close(folded["expand"].bias / fold_batch_norms(module)["expand"].bias, ratio)


def test_equalization_saves_a_network_whose_channels_lie_decades_apart() -> None:
    """The reason for the method: one grid for a layer whose channels differ a thousandfold is nothing for the small ones."""
    trained = unbalanced(trained_module(bottleneck()), 4)
    graph, x = with_dtype(trained.graph, "int8"), images(trained.graph)
    noises = {
        name: noise(quantize(trained, graph, normal_stats(6), config).module, trained, x)
        for name, config in {
            "plain": PLAIN,
            "equalized": replace(PLAIN, equalize=True),
            "all": QuantizationConfig(),
        }.items()
    }
    assert noises["plain"] > 0.3
    assert noises["equalized"] < 0.01
    assert noises["all"] < 0.01


def test_skipped_layers_are_given_with_the_reason() -> None:
    _, skipped = find_pairs(with_dtype(every_operator(), "int8"))
    assert skipped == {
        "conv": "several layers read it",
        "depthwise": "a layer without weights follows, add",
        "grouped": "several layers read it",
        "gate": "a layer without weights follows, scale",
        "linear": "no layer follows",
    }
    assert find_pairs(with_dtype(bottleneck("swish"), "int8"))[1]["expand"] == "its activation is swish"
    graph = bottleneck()
    mixed = Graph(
        graph.input_shape,
        tuple(replace(layer, dtype="float32" if layer.name == "spatial" else "int8") for layer in graph.layers),
    )
    assert find_pairs(mixed)[1] == {"expand": "a float32 layer follows", "project": "no layer follows"}


def test_absorbed_biases_change_nothing_where_all_is_above_zero() -> None:
    module = trained_module(bottleneck())
    with torch.no_grad():
        module.get_submodule("spatial.norm").bias.add_(20)
    graph, folded, known = with_dtype(module.graph, "int8"), fold_batch_norms(module), read_bn_stats(module, 6.0)
    x = images(graph, 20).double()
    expected = compute_folded(graph, folded, x)
    pairs, _ = find_pairs(graph)
    before, _ = propagate(graph, folded, normal_stats(6), known, 6.0)
    high = before["spatial"].range[1]
    assert absorb(pairs, folded, before, known) == ["spatial"]  # `spatial` itself has padding
    assert before["spatial"].range[1] < high - 10
    assert known["spatial"].range == before["spatial"].range
    head = Graph(graph.input_shape, graph.layers[:2])
    uncut = (compute_folded(head, folded, x) > 0).all(1)  # values three deviations below the mean are cut now
    assert uncut.float().mean() > 0.9
    outputs = compute_folded(graph, folded, x).movedim(1, -1)
    torch.testing.assert_close(outputs[uncut], expected.movedim(1, -1)[uncut], rtol=1e-9, atol=1e-9)


def test_a_corrected_bias_takes_the_mean_error_away() -> None:
    """For an input that is its mean, the quantized weights give the same, but for the bias's own rounding."""
    builder = GraphBuilder((40,))
    builder.linear(INPUT, 7, name="linear")
    graph = Graph(builder.input_shape, tuple(builder.layers))
    trained = trained_module(graph)
    mean = torch.linspace(-1, 2, 40).double()
    input_stats = ChannelStats.from_normal(mean, torch.full((40,), 0.1).double(), 6.0)
    errors = {}
    for name, config in {"corrected": replace(PLAIN, correct_bias=True), "not": PLAIN}.items():
        layer = quantize(trained, with_dtype(graph, "int8"), input_stats, config).module.get_submodule("linear")
        assert isinstance(layer, Int8Layer)
        weight = (layer.codes.double() - layer.weight_zeros.double()[:, None]) * layer.weight_scales.double()[:, None]
        step = layer.scales[0].double() * layer.weight_scales.double()
        expected = fold_batch_norms(trained)["linear"]
        error = (weight @ mean + layer.bias * step) - (expected.weight @ mean + expected.bias)
        errors[name] = error.abs() / step
    assert errors["corrected"].max() <= 0.51
    assert errors["not"].max() > 5


@settings(max_examples=50, deadline=None)
@given(mean=st.floats(-4, 4), deviation=st.floats(0.05, 3))
def test_a_relu_cuts_normal_numbers_as_in_the_closed_form(mean: float, deviation: float) -> None:
    """DFQ, appendix: mean and variance of a normal number that is cut at zero."""
    at = mean / deviation
    density, share = exp(-(at**2) / 2) / sqrt(2 * pi), (1 + erf(at / sqrt(2))) / 2
    first = mean * share + deviation * density
    second = (mean**2 + deviation**2) * share + mean * deviation * density
    stats = ChannelStats.from_normal(
        *(torch.tensor([value], dtype=torch.float64) for value in (mean, deviation)), 6.0
    ).apply_activation("relu")
    assert float(stats.mean) == pytest.approx(first, abs=1e-4 * deviation)
    assert float(stats.std) == pytest.approx(sqrt(max(second - first**2, 0)), abs=1e-3 * deviation)
    assert float(stats.low) == max(0.0, mean - 6 * deviation)


def test_statistics_are_those_of_many_numbers() -> None:
    """Propagated and observed statistics agree where the assumptions hold: independent normal numbers, no batch-norm."""
    builder = GraphBuilder((5, 1, 1))
    x = builder.conv(INPUT, 7, activation="swish", batch_norm=False, name="first")
    gate = builder.conv(INPUT, 7, activation="sigmoid", batch_norm=False, name="gate")
    builder.add(x, gate, name="sum")
    graph = Graph(builder.input_shape, tuple(builder.layers))
    module = trained_module(graph)
    input_stats, observed = observe(module, torch.randn(40_000, 5, 1, 1, generator=torch.Generator().manual_seed(0)))
    unit = ChannelStats.from_normal(torch.zeros(5).double(), torch.ones(5).double(), 6.0)
    torch.testing.assert_close(input_stats.mean, unit.mean, atol=0.03, rtol=0)
    before, _ = propagate(graph, fold_batch_norms(module), unit, {}, 6.0)
    for name in ("first", "gate"):
        torch.testing.assert_close(before[name].mean, observed[name].mean, atol=0.02, rtol=0)
        torch.testing.assert_close(before[name].std, observed[name].std, atol=0.02, rtol=0)
        assert (before[name].low <= observed[name].low).all()
        assert (before[name].high >= observed[name].high).all()
    torch.testing.assert_close(before["sum"].mean, observed["sum"].mean, atol=0.02, rtol=0)


def test_observed_ranges_are_exact() -> None:
    graph = every_operator()
    trained, x = trained_module(graph), images(graph, 100)
    module = quantize(trained, with_dtype(graph, "int8"), normal_stats(4), PLAIN, x).module
    layer = module.get_submodule("conv")
    assert isinstance(layer, Int8Layer)
    with torch.inference_mode():
        highest = float(trained.get_submodule("conv")(x).max())
    assert float(layer.scales[-1]) * 255 == pytest.approx(highest, rel=1e-4)
    assert float(layer.scales[0]) * 255 == pytest.approx(float(x.max() - x.min()), rel=1e-6)
    assert noise(module, trained, x) < 0.01


def test_grids_of_channels_are_finer_than_one_for_all() -> None:
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0)).double() * torch.logspace(
        -2, 0, 6
    ).view(-1, 1, 1, 1)
    channel_grids, common_grids = weight_grids(weight, per_channel=True), weight_grids(weight, per_channel=False)
    assert {grid.zero_point for grid in channel_grids} == {128}
    np.testing.assert_allclose(
        [float(g.scale) * 127 for g in channel_grids], weight.abs().flatten(1).amax(1).numpy(), rtol=1e-6
    )
    assert len(set(common_grids)) == 1
    assert float(common_grids[0].scale) * 255 == pytest.approx(float(weight.max() - weight.min()), rel=1e-6)


def test_layers_of_float32_are_left_alone() -> None:
    graph = bottleneck()
    mixed = Graph(
        graph.input_shape,
        tuple(replace(layer, dtype="int8" if layer.name == "project" else "float32") for layer in graph.layers),
    )
    trained = trained_module(graph)
    quantized = quantize(trained, mixed, normal_stats(6), QuantizationConfig())
    unchanged = {key: values for key, values in quantized.module.state_dict().items() if not key.startswith("project.")}
    for key, values in unchanged.items():
        assert torch.equal(values, trained.state_dict()[key])
    assert 0 < noise(quantized.module, trained, images(graph)) < 0.01
    with pytest.raises(ConfigError, match="the graph must have the same layers as the trained float32 network"):
        quantize(trained, with_dtype(every_operator(), "int8"), normal_stats(6), QuantizationConfig())
