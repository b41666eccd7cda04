"""A custom torch module as a layer: run, exported, counted, timed and simulated like any other."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from donna_hw.costs.gaussian_process import feature_matrix
from donna_hw.devices.backends.onnxruntime import OnnxRuntimeBackend
from donna_hw.devices.backends.ptflops import PtflopsBackend
from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.graph.builder import GraphBuilder, lower
from donna_hw.graph.graph import Graph, Layer, layers_hash
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.graph.tflite_export import to_tflite
from donna_hw.graph.torch_layer import TorchLayer
from donna_hw.graph.torch_module import to_torch
from donna_hw.simulator.from_graph import workload_from_graph
from donna_hw.simulator.onnx_frontend.reader import read_onnx


class Mixed(nn.Module):
    """Two convolutions of half of the channels each, a batch-norm, and a gelu."""

    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__()
        half = channels // 2
        self.one = nn.Conv2d(half, half, kernel, padding=kernel // 2)
        self.other = nn.Conv2d(half, half, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        out: Tensor = nn.functional.gelu(self.norm(torch.cat([self.one(a), self.other(b)], 1)))
        return out


class Halved(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::2, ::2]


class Two(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@dataclass(frozen=True)
class Cell:
    """A user's cell: a convolution, the module, a convolution."""

    kernel: int = 3

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        y = builder.conv(x, 8, activation="relu", name="into")
        y = TorchLayer.of(Mixed, "mixed", channels=8, kernel=self.kernel).add_layers(builder, y)
        return builder.conv(y, 6, name="out")


SHAPE = (6, 9, 7)


def shaken(graph: Graph) -> nn.Module:
    """Return the graph's module, its batch-norms with random statistics."""
    module = to_torch(graph, seed=3)
    generator = torch.Generator().manual_seed(0)
    for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d)):
        for tensor in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
            assert tensor is not None
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return module.eval()


def test_onnx_runtime_computes_what_torch_does() -> None:
    graph = lower(Cell(), SHAPE)
    module = shaken(graph)
    weights = {key: value.detach().numpy() for key, value in module.state_dict().items()}
    model = to_onnx(graph, 2, weights)
    image = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"input": image.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, module(image).numpy(), atol=1e-5)


def test_it_is_trained_with_its_block() -> None:
    module = to_torch(lower(Cell(), SHAPE), seed=0)
    module(torch.randn(4, *SHAPE)).square().mean().backward()
    assert all(weights.grad is not None for weights in module.parameters())
    assert {key.split(".")[0] for key in module.state_dict()} == {"into", "mixed", "out"}


def test_counts_are_those_of_the_operators_inside() -> None:
    graph = lower(Cell(), SHAPE)
    [layer] = [layer for layer in graph.layers if layer.operator == "module"]
    elements = 9 * 7
    macs = elements * (4 * 4 * 9 + 4 * 4 + 8)  # ptflops counts a bias as one more
    assert layer.macs == macs
    assert layer.params == 4 * 4 * 9 + 4 + 4 * 4 + 4 + 2 * 8
    assert graph.macs == macs + elements * (6 * 8 + 8 * 6)
    assert PtflopsBackend(1, {}).cost(graph) == graph.macs
    assert PtflopsBackend(1, {"count": "params"}).cost(graph) == graph.params


def test_the_shape_is_what_torch_gives() -> None:
    assert lower(TorchLayer.of(Halved), SHAPE).output_shape == (6, 5, 4)


def test_equal_code_and_settings_are_one_measurement_others_are_not() -> None:
    one, same, other = (lower(Cell(kernel), SHAPE) for kernel in (3, 3, 5))
    assert one == same
    assert layers_hash(one) == layers_hash(same) != layers_hash(other)
    assert hash(one.layers) == hash(same.layers)


def test_hashes_of_layers_without_modules_are_as_they_were() -> None:
    layer = Layer("a", "conv", ("input",), (3, 8, 8), (4, 8, 8), 3)
    assert layers_hash(Graph((3, 8, 8), (layer,))) == "3b95dec443f50c49"  # of the version before modules came
    assert replace(layer, module_spec=None) == layer


def test_it_goes_to_another_process() -> None:
    graph = lower(Cell(), SHAPE)
    found = pickle.loads(pickle.dumps(graph))  # noqa: S301  written by this very test
    assert found == graph
    assert found.macs == graph.macs


def test_a_runtime_times_it() -> None:
    runner = OnnxRuntimeBackend(1, {}).prepare(lower(Cell(), SHAPE))
    assert (runner.samples(3).wall_s > 0).all()
    runner.close()


def test_the_simulator_reads_it_from_its_onnx_form() -> None:
    graph = lower(Cell(), SHAPE)
    assert workload_from_graph(graph, 2) == read_onnx(to_onnx(graph, 2))


def test_what_does_not_support_it_raises_an_error() -> None:
    graph = lower(Cell(), SHAPE)
    with pytest.raises(ConfigError, match=r"torch module cannot be written as \.tflite; got 'mixed'"):
        to_tflite(graph)
    with pytest.raises(ConfigError, match="the torch module mixed"):
        feature_matrix([graph])
    with pytest.raises(ConfigError, match="torch cannot run Mixed on one image"):
        lower(TorchLayer.of(Mixed, channels=4), SHAPE)
    with pytest.raises(ConfigError, match="must return one tensor"):
        lower(TorchLayer.of(Two), SHAPE)
    with pytest.raises(ConfigError, match="top level of an importable file"):
        lower(TorchLayer.of(lambda: nn.Identity()), SHAPE)  # noqa: PLW0108  what is refused
    weights = {key: value.numpy() for key, value in to_torch(graph).state_dict().items() if "mixed" not in key}
    with pytest.raises(FileFormatError, match="do not fit the module mixed"):
        to_onnx(graph, 1, weights)


class Weighted(nn.Module):
    """A linear layer that records where it was created; it may read its numbers while it runs, which the device `meta` does not have."""

    made_on: list[str] = []  # noqa: RUF012  of all instances

    def __init__(self, reads: bool) -> None:
        super().__init__()
        self.linear, self.reads = nn.Linear(4, 6), reads
        Weighted.made_on.append(self.linear.weight.device.type)

    def forward(self, x: Tensor) -> Tensor:
        scale = float(self.linear.bias[0].item()) if self.reads else 1.0
        out: Tensor = self.linear(x) * scale
        return out


@pytest.mark.parametrize(("reads", "devices"), [(False, {"meta"}), (True, {"meta", "cpu"})])
def test_a_module_is_asked_without_numbers_unless_it_reads_them(reads: bool, devices: set[str]) -> None:
    Weighted.made_on.clear()
    layer = TorchLayer.of(Weighted, reads=reads)
    builder = GraphBuilder((4,))
    assert builder.shape(layer.add_layers(builder, "input")) == (6,)
    assert set(Weighted.made_on) == devices
