"""TensorFlow Lite files compute what torch does, by the LiteRT interpreter: every operator, every padding, every shipped space."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_runs import assert_agrees_with_torch, run_tflite

from donna_hw.errors import ConfigError
from donna_hw.graph.builder import GraphBuilder, lower
from donna_hw.graph.graph import ACTIVATIONS, Graph, Shape
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.graph.tflite_export import to_tflite
from donna_hw.spaces import load_space
from donna_hw.spaces.cells import InvertedResidual
from donna_hw.testing import example_graphs


def graph_of(shape: Shape, *steps: Callable[[GraphBuilder, str], str]) -> Graph:
    builder, x = GraphBuilder(shape), "input"
    for step in steps:
        x = step(builder, x)
    return Graph(shape, tuple(builder.layers))


def conv(builder: GraphBuilder, x: str, **settings: int | str) -> str:
    return builder.conv(x, int(settings.pop("channels", 6)), name=f"conv{len(builder.layers)}", **settings)  # type: ignore[arg-type]


def operators(model: bytes) -> list[int]:
    file = schema.Model.GetRootAs(model, 0)
    graph = file.Subgraphs(0)
    return [file.OperatorCodes(graph.Operators(i).OpcodeIndex()).BuiltinCode() for i in range(graph.OperatorsLength())]


@pytest.mark.parametrize("size", [4, 5, 7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_a_convolution_sees_the_same_window_whatever_the_padding(kernel: int, stride: int, size: int) -> None:
    for groups in (1, 2, 4):
        assert_agrees_with_torch(
            graph_of((4, size, size + 1), partial(conv, channels=8, kernel=kernel, stride=stride, groups=groups)), 2
        )


@pytest.mark.parametrize("size", [4, 5, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (5, 3)])
def test_padding_is_never_the_largest_of_a_pool(kernel: int, stride: int, size: int) -> None:
    graph = graph_of((3, size, size), lambda builder, x: builder.max_pool(x, kernel=kernel, stride=stride, name="pool"))
    assert_agrees_with_torch(graph)
    below = -np.ones((1, 3, size, size), np.float32)
    assert (run_tflite(to_tflite(graph), below) == -1).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_every_layer_that_has_one(activation: str) -> None:
    assert_agrees_with_torch(graph_of((4, 6, 6), partial(conv, activation=activation)), 3)
    assert_agrees_with_torch(
        graph_of((5,), lambda builder, x: builder.linear(x, 7, activation=activation, name="linear")), 3
    )
    assert_agrees_with_torch(
        graph_of(
            (4, 6, 6),
            lambda builder, x: builder.add(x, conv(builder, x, channels=4), activation=activation, name="sum"),
        )
    )


def test_a_classifier_of_a_map_of_several_pixels_keeps_torchs_order() -> None:
    graph = graph_of(
        (3, 4, 5),
        lambda builder, x: builder.flatten(x, name="flat"),
        lambda builder, x: builder.linear(x, 7, name="linear"),
    )
    assert_agrees_with_torch(graph, 2)


def test_a_flattened_map_that_no_linear_layer_reads_is_refused() -> None:
    with pytest.raises(ConfigError, match="only linear layers may read a flattened map"):
        to_tflite(graph_of((3, 4, 5), lambda builder, x: builder.flatten(x, name="flat")))
    assert_agrees_with_torch(graph_of((3, 1, 1), lambda builder, x: builder.flatten(x, name="flat")))


def test_a_block_without_layers_passes_its_input_on() -> None:
    images = np.random.default_rng(0).standard_normal((2, 3, 4, 5), dtype=np.float32)
    assert np.array_equal(run_tflite(to_tflite(Graph((3, 4, 5), ()), 2), images), images)


BLOCKS = st.builds(
    InvertedResidual,
    channels=st.just(8),
    stride=st.sampled_from([1, 2]),
    kernel=st.sampled_from([3, 5, 7]),
    expand=st.sampled_from([2, 3]),
    depth=st.just(2),
    activation=st.sampled_from(["relu", "swish", "hard_swish"]),
    attention=st.sampled_from(["none", "se"]),
    cell=st.sampled_from(["depthwise", "grouped"]),
)


@settings(max_examples=15, deadline=None)
@given(block=BLOCKS, size=st.integers(5, 9))
def test_random_blocks_agree(block: InvertedResidual, size: int) -> None:
    assert_agrees_with_torch(lower(block, (8, size, size)))


@pytest.mark.parametrize(
    "name",
    ["donna@64px", "efficientnet_b0@64px", "mobilenetv3_1.0@64px", "proxylessnas_1.3@64px", "small_32px", "fbnet@64px"],
)
def test_blocks_of_shipped_spaces_agree_and_have_no_transpose(name: str) -> None:
    space = load_space(name)
    graphs = [space.fixed_graph(part) for part in space.fixed]
    rng = np.random.default_rng(0)
    graphs += [space.block_graph(stage, int(rng.integers(stage.size))) for stage in space.stages]
    for graph in graphs:
        if graph.layers:
            assert_agrees_with_torch(graph)
        assert schema.BuiltinOperator.TRANSPOSE not in operators(to_tflite(graph))


def test_a_whole_network_computes_what_onnx_runtime_does_with_the_same_random_weights() -> None:
    space = load_space("small_32px")
    for graph in (space.network_graph(space.reference), *example_graphs()):
        images = np.random.default_rng(1).standard_normal((2, *graph.input_shape), dtype=np.float32)
        session = onnxruntime.InferenceSession(
            to_onnx(graph, 2).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        expected = session.run(None, {"input": images})[0]
        output = run_tflite(to_tflite(graph, 2), images)
        assert np.abs(output - expected).max() <= 1e-4 * np.abs(expected).max()


def test_channels_are_last_at_both_ends_and_buffers_lie_at_multiples_of_sixteen() -> None:
    model = to_tflite(graph_of((4, 6, 8), partial(conv, channels=10, stride=2)), 3)
    file = schema.Model.GetRootAs(model, 0)
    graph = file.Subgraphs(0)
    assert graph.Tensors(graph.Inputs(0)).ShapeAsNumpy().tolist() == [3, 6, 8, 4]
    assert graph.Tensors(graph.Outputs(0)).ShapeAsNumpy().tolist() == [3, 3, 4, 10]
    assert model[4:8] == b"TFL3"
    offsets = [file.Buffers(i)._tab.Vector(file.Buffers(i)._tab.Offset(4)) for i in range(1, file.BuffersLength())]
    assert offsets
    assert all(offset % 16 == 0 for offset in offsets)
