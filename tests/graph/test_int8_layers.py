"""8-bit layers compute one function in torch and in ONNX Runtime, which runs them in 8 bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_examples import every_operator, normal_stats, trained_module

from donna_hw.graph.builder import GraphBuilder
from donna_hw.graph.graph import ACTIVATIONS, INPUT, Graph, layers_hash, with_dtype
from donna_hw.graph.int8 import QUANT_MAX, activation_range, fit_grid, slots
from donna_hw.graph.int8_torch import Int8Layer, fake_quantize
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.spaces import load_space
from donna_hw.training.quantization.data_free import QuantizationConfig, quantize

BATCH = 3


def every_activation(activation: str) -> Graph:
    builder = GraphBuilder((4, 5, 5))
    x = builder.conv(INPUT, 8, kernel=3, activation=activation, name="conv")
    builder.linear(builder.flatten(x, name="flatten"), 5, name="linear")
    return Graph(builder.input_shape, tuple(builder.layers))


GRAPHS = [every_operator(), *map(every_activation, ACTIVATIONS)]


def state_of(module: GraphModule) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in module.state_dict().items()}


def run(model: onnx.ModelProto, image: torch.Tensor, *, fused: bool, kept: Path | None = None) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if fused else level.ORT_DISABLE_ALL
    if kept is not None:
        options.optimized_model_filepath = str(kept)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    output: np.ndarray = session.run(None, {"input": image.numpy()})[0]
    return output


@settings(max_examples=200, deadline=None)
@given(
    low=st.floats(-1e6, 1e6, width=32),
    high=st.floats(-1e6, 1e6, width=32),
    share=st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
def test_a_grid_holds_zero_exactly_and_its_range_within_half_a_step(
    low: float, high: float, share: list[float]
) -> None:
    low, high = min(low, high, 0.0), max(low, high, 0.0)
    scale, zero = fit_grid(low, high)
    assert 0 <= zero <= QUANT_MAX
    inside = torch.tensor([low + part * (high - low) for part in share] + [0.0])
    held = fake_quantize(inside, torch.tensor(float(scale)), torch.tensor(float(zero)))
    assert held[-1] == 0
    if high - low > 1e-30:  # the zero's own rounding moves the grid by up to half a step, at an end
        assert (held - inside).abs().max() <= 1.01 * float(scale)
        middle = (inside - low > float(scale)) & (high - inside > float(scale))
        if middle.any():
            assert (held - inside)[middle].abs().max() <= 0.51 * float(scale)
        assert torch.equal(fake_quantize(held, torch.tensor(float(scale)), torch.tensor(float(zero))), held)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_range_after_an_activation_is_that_of_a_dense_grid(activation: str) -> None:
    from donna_hw.graph.activations import ACTIVATIONS as FUNCTIONS

    for low, high in ((-5.0, 4.0), (-0.5, 0.25), (1.0, 9.0), (-9.0, -2.0)):
        values = FUNCTIONS[activation](torch.linspace(low, high, 200_001, dtype=torch.float64))
        assert activation_range(activation, (low, high)) == pytest.approx(
            (float(values.min()), float(values.max())), abs=1e-6
        )


def steps_apart(module: GraphModule, *, fused: bool) -> np.ndarray:
    """Return by how many steps of the output's grid ONNX Runtime's logits differ from torch's, of 64 images."""
    image = torch.randn(64, *module.graph.input_shape, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = module(image).numpy()
    assert len(np.unique(expected)) > 20
    last = module.get_submodule("linear")
    assert isinstance(last, Int8Layer)
    found = run(to_onnx(module.graph, 64, state_of(module)), image, fused=fused)
    return np.asarray(np.abs(found - expected) / float(last.scales[-1]))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("graph", GRAPHS, ids=["operators", *ACTIVATIONS])
def test_torch_and_onnx_runtime_agree(graph: Graph, per_channel: bool) -> None:
    """As written they are equal but for a number on the edge between two steps; fused, more of these are rounded the other way."""
    module = quantize(
        trained_module(graph), with_dtype(graph, "int8"), normal_stats(4), QuantizationConfig(per_channel=per_channel)
    ).module
    for fused, most, share in ((False, 1.01, 0.01), (True, 2.01, 0.1)):
        steps = steps_apart(module, fused=fused)
        assert steps.max() <= most
        assert (steps > 0.5).mean() <= share


@pytest.mark.parametrize("plain", ["depthwise", "sum", "gate", "flatten"])
def test_a_graph_with_a_float32_layer_agrees_too(plain: str) -> None:
    """An 8-bit layer puts what it reads from a float32 one on its input grid."""
    graph = every_operator()
    kinds = [replace(each, dtype="float32" if each.name == plain else "int8") for each in graph.layers]
    module = quantize(
        trained_module(graph), Graph(graph.input_shape, tuple(kinds)), normal_stats(4), QuantizationConfig()
    ).module
    steps = steps_apart(module, fused=False)
    assert steps.max() <= 1.01
    assert (steps > 0.5).mean() <= 0.01


def test_onnx_runtime_runs_them_in_eight_bits(tmp_path: Path) -> None:
    space = load_space("small_28px@int8")
    graph, kept = space.network_graph(space.reference), tmp_path / "fused.onnx"
    run(to_onnx(graph), torch.zeros(1, *space.input_shape), fused=True, kept=kept)
    kinds = [node.op_type for node in onnx.load(kept).graph.node]
    convolutions = sum(layer.operator == "conv" for layer in graph.layers)
    assert kinds.count("QLinearConv") == convolutions
    assert not {"Conv", "Gemm", "Add", "Mul"} & set(kinds)
    assert kinds.count("QuantizeLinear") == kinds.count("DequantizeLinear") == 1  # of the image, and of the logits


def test_a_model_to_be_timed_has_the_grids_of_a_real_one() -> None:
    """What a layer writes is what the next one reads: no more pairs of nodes than tensors; a ReLU's grid begins at zero."""
    graph = with_dtype(every_operator(), "int8")
    model = to_onnx(graph)
    pairs = sum(node.op_type == "QuantizeLinear" for node in model.graph.node)
    assert pairs == 1 + sum(len(slots(layer)) - len(layer.inputs) for layer in graph.layers)
    zeros = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.name.endswith(".zero")}
    assert zeros["conv.zero"] == 0
    assert zeros["input.held0.zero"] in (127, 128)
    random = to_torch(graph, seed=3).eval()
    image = torch.randn(BATCH, *graph.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = run(to_onnx(graph, BATCH, state_of(random)), image, fused=False)
        np.testing.assert_allclose(
            found, random(image).numpy(), atol=1.01 * float(random.get_submodule("linear").scales[-1])
        )


def test_float32_layers_keep_their_hash() -> None:
    graph = every_operator()
    assert layers_hash(graph) == layers_hash(with_dtype(with_dtype(graph, "int8"), "float32"))
    assert layers_hash(graph) != layers_hash(with_dtype(graph, "int8"))
    assert (with_dtype(graph, "int8").macs, with_dtype(graph, "int8").params) == (graph.macs, graph.params)
