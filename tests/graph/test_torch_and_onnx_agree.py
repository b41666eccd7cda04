"""A block trained in torch and deployed as ONNX computes one function."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from donna_hw.graph.builder import GraphBuilder, lower
from donna_hw.graph.graph import ACTIVATIONS, OPERATORS, Graph, layers_hash
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.graph.torch_to_onnx import export_onnx
from donna_hw.spaces import Space, load_space

BATCH = 2


def lived_in(graph: Graph, seed: int = 0) -> GraphModule:
    """Return the module after it has seen images in train mode: no batch-norm is the identity any more."""
    generator = torch.Generator().manual_seed(seed)
    module = to_torch(graph, seed=seed).train()
    with torch.no_grad():
        for norm in (part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)):
            norm.weight.copy_(1 + 0.2 * torch.rand(norm.num_features, generator=generator))
            norm.bias.copy_(0.2 * torch.randn(norm.num_features, generator=generator))
            norm.momentum = 0.5
        for _ in range(3):
            module(0.3 + 1.5 * torch.randn(4, *graph.input_shape, generator=generator))
    return module.eval()


def run(model: onnx.ModelProto, image: torch.Tensor) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    output: np.ndarray = session.run(None, {session.get_inputs()[0].name: image.numpy()})[0]
    return output


def assert_agree(graph: Graph) -> None:
    module = lived_in(graph)
    image = torch.randn(BATCH, *graph.input_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module(image).numpy()
    model = to_onnx(graph, BATCH, {name: value.numpy() for name, value in module.state_dict().items()})
    found = run(model, image)
    assert found.shape == (BATCH, *graph.output_shape)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def one_at_a_time(space: Space) -> list[tuple[str, int]]:
    """Return (stage, block number) of the reference and of each block that differs from it in one axis."""
    found = []
    for stage in space.stages:
        reference = stage.choice(stage.reference)
        found.append((stage.name, stage.reference))
        for axis in stage.axes:
            others = [value for value in axis.values if value != reference[axis.name]]
            found += [(stage.name, stage.number({**reference, axis.name: value})) for value in others]
    return found


SMALL = ["small_8px", "small_28px"]
PAPER = [
    "donna",
    "efficientnet_b0",
    "mobilenetv3_1.0",
    "mobilenetv3_1.2",
    "mobilenetv3_1.2_extended",
    "proxylessnas_1.3",
]


LAYER_WISE = ["fbnet_cifar100", "ofa_mobilenetv3@64px"]


@pytest.mark.parametrize("name", LAYER_WISE)
def test_every_layer_of_a_layer_wise_space_agrees_skipped_ones_too(name: str) -> None:
    space = load_space(name)
    seen: set[tuple[object, ...]] = set()
    for stage in space.stages:  # of layers that differ in nothing but their channels the first ones stand for all
        into, out = space.input_shapes[stage.name], space.output_shapes[stage.name]
        for number in range(0, stage.size, 1 if stage.axes[0].name == "operator" else 4):
            kind = (stage.label(number), into[1] == out[1], into[0] == out[0])
            if kind not in seen:
                seen.add(kind)
                assert_agree(space.block_graph(stage, number))


FULL = [pytest.param(name, marks=pytest.mark.long) for name in PAPER]


@pytest.mark.parametrize("name", [*SMALL, *(f"{name}@32px" for name in PAPER), *FULL])
def test_every_axis_value_agrees(name: str) -> None:
    space = load_space(name)
    for stage, number in one_at_a_time(space):
        assert_agree(space.block_graph(space.stage(stage), number))
    for part in space.fixed:
        assert_agree(space.fixed_graph(part))


@pytest.mark.parametrize("name", [*SMALL, *(f"{name}@64px" for name in PAPER), *LAYER_WISE])
def test_whole_networks_agree(name: str) -> None:
    space = load_space(name)
    rows = space.random_rows(3, np.random.default_rng(0))
    for architecture in [space.reference, *(space.architecture(row) for row in rows)]:
        assert_agree(space.network_graph(architecture))


class EveryOperator:
    """A block with each operator; `activation` follows a convolution and ends the block."""

    def __init__(self, activation: str) -> None:
        self.activation = activation

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        a = builder.conv(x, 6, kernel=3, stride=2, activation=self.activation, name="a")
        a = builder.max_pool(a, kernel=3, stride=2, name="pooled")
        b = builder.conv(a, 6, kernel=5, groups=3, batch_norm=False, name="b")
        total = builder.add(a, b, activation=self.activation, name="total")
        gate = builder.conv(
            builder.global_pool(total, name="pool"), 6, activation="hard_sigmoid", batch_norm=False, name="gate"
        )
        scaled = builder.scale(total, gate, name="scaled")
        flat = builder.flatten(scaled, name="flat")
        return builder.linear(flat, 5, activation=self.activation, name="end")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_and_operator_agrees(activation: str) -> None:
    graph = lower(EveryOperator(activation), (3, 9, 7))  # odd sizes: a stride of 2 rounds up
    assert {layer.operator for layer in graph.layers} == set(OPERATORS)
    assert_agree(graph)


@pytest.mark.parametrize("name", SMALL)
def test_the_onnx_model_passes_the_checker_and_full_shape_inference(name: str) -> None:
    space = load_space(name)
    for graph in [space.network_graph(space.reference), lower(EveryOperator("relu6"), (3, 9, 7))]:
        model = to_onnx(graph, BATCH)
        onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        shapes = {
            value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
            for value in [*inferred.graph.value_info, *inferred.graph.output]
        }
        for layer in graph.layers:
            name_there = "output" if layer.name == graph.output else layer.name
            assert shapes[name_there] == (BATCH, *layer.out_shape)


def assert_agrees_with_the_exporter(graph: Graph) -> None:
    module = lived_in(graph)
    image = torch.randn(BATCH, *graph.input_shape, generator=torch.Generator().manual_seed(2))
    exported = run(export_onnx(module, graph.input_shape, BATCH), image)
    ours = run(to_onnx(graph, BATCH, {key: value.numpy() for key, value in module.state_dict().items()}), image)
    assert np.abs(ours - exported).max() <= 1e-5 * np.abs(exported).max()


@pytest.mark.parametrize("name", SMALL)
def test_every_axis_value_agrees_with_torchs_own_exporter(name: str) -> None:
    space = load_space(name)
    graphs = [space.block_graph(space.stage(stage), number) for stage, number in one_at_a_time(space)]
    fixed = [space.fixed_graph(part) for part in space.fixed]
    different = {layers_hash(graph): graph for graph in [*graphs, *fixed]}
    for graph in different.values():
        assert_agrees_with_the_exporter(graph)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_and_operator_agrees_with_torchs_own_exporter(activation: str) -> None:
    assert_agrees_with_the_exporter(lower(EveryOperator(activation), (3, 9, 7)))


def test_random_weights_are_repeatable_and_keep_values_finite_and_alive() -> None:
    space = load_space("small_28px")
    graph = space.network_graph(space.reference)
    assert to_onnx(graph, 1).SerializeToString() == to_onnx(graph, 1).SerializeToString()
    output = run(to_onnx(graph, 1), torch.randn(1, *graph.input_shape, generator=torch.Generator().manual_seed(0)))
    assert np.isfinite(output).all()
    assert np.abs(output).max() > 1e-6


def test_a_seed_repeats_the_module_and_leaves_torchs_random_state_alone() -> None:
    graph = load_space("small_8px").fixed_graph("tail")
    before = torch.random.get_rng_state()
    first, second = to_torch(graph, seed=3).state_dict(), to_torch(graph, seed=3).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[key], second[key]) for key in first)
