"""The random weights of a block that is only timed: repeatable, different, and harmless to a processor's speed."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from donna_hw.graph.builder import lower, lower_chain
from donna_hw.graph.graph import Graph
from donna_hw.graph.onnx_export import POOL_SIZE, to_onnx
from donna_hw.spaces.cells import CELLS, Classifier, ConvNormAct, InvertedResidual


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def deep_network(cell: str, activation: str, attention: str) -> Graph:
    """Return a network of 24 bottlenecks, 73 convolutions in a row without those of the gates."""
    stages = [
        InvertedResidual(
            channels=channels, stride=2, kernel=5, depth=6, cell=cell, activation=activation, attention=attention
        )
        for channels in (16, 24, 40, 64)
    ]
    parts = [("stem", ConvNormAct(16, kernel=3)), *((f"stage{n}", stage) for n, stage in enumerate(stages))]
    return lower_chain([*parts, ("head", Classifier(10))], (3, 32, 32))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("activation", ["relu", "hard_swish"])
@pytest.mark.parametrize("attention", ["none", "se"])
def test_values_neither_vanish_nor_overflow_through_a_deep_network(cell: str, activation: str, attention: str) -> None:
    model = to_onnx(deep_network(cell, activation, attention))
    names = [name for node in model.graph.node for name in node.output if name != "output"]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(1).standard_normal((1, 3, 32, 32), dtype=np.float32)
    found = dict(zip(["output", *names], session.run(None, {"input": image}), strict=True))
    # a residual triples the variance (its branch ends without the activation that the 2 in 2 / fan-in is for), a gate of
    # about a half quarters its branch's
    blocks = [found[name].std() for name in names if name.endswith(("project", "residual"))]
    assert len(blocks) == 24 + 20  # a bottleneck with a stride has no residual
    assert min(blocks) > 1e-4
    assert max(blocks) < 1e4
    tiny = np.finfo(np.float32).tiny
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        assert not ((values != 0) & (np.abs(values) < tiny)).any(), f"{name} has denormal numbers"


def test_weights_have_the_variance_of_their_fan_in_and_no_bias() -> None:
    found = weights(to_onnx(deep_network("grouped", "relu", "none")))
    graph = deep_network("grouped", "relu", "none")
    for layer in graph.layers:
        if not layer.weight_shape:
            continue
        weight, bias = found[f"{layer.name}.weight"], found[f"{layer.name}.bias"]
        assert weight.shape == layer.weight_shape
        assert bias.tolist() == [0] * layer.weight_shape[0]
        if weight.size > 10_000:  # the standard error of a variance is its square root of 2 / n: 1.4 % here
            assert weight.var() * np.prod(weight.shape[1:]) == pytest.approx(2, rel=0.1)


def test_weights_repeat_by_seed_and_differ_between_seeds_and_layers() -> None:
    graph = lower(InvertedResidual(channels=8, depth=2, expand=2), (8, 4, 4))
    assert to_onnx(graph, seed=3).SerializeToString() == to_onnx(graph, seed=3).SerializeToString()
    three, four = weights(to_onnx(graph, seed=3)), weights(to_onnx(graph, seed=4))
    names = [name for name in three if name.endswith(".weight")]
    assert not any(np.array_equal(three[name], four[name]) for name in names)
    first, second = three["1_expand.weight"], three["2_expand.weight"]
    assert first.shape == second.shape
    assert not np.array_equal(first, second)


def test_the_filters_of_a_layer_larger_than_the_pool_all_differ() -> None:
    graph = lower(ConvNormAct(2048, kernel=1), (512, 1, 1))
    weight = weights(to_onnx(graph))["conv.weight"].reshape(2048, 512)
    assert weight.size > 2 * POOL_SIZE
    assert len(np.unique(weight, axis=0)) == 2048
