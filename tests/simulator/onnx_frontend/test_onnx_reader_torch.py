"""Models from torch's exporter: what torch counts, and the functions that a person sees in the module."""

from __future__ import annotations

import io
import warnings
from math import prod

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnx_examples import checked, functions, macs
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from donna_hw.errors import ConfigError
from donna_hw.graph.torch_to_onnx import export_onnx
from donna_hw.simulator.onnx_frontend.reader import read_onnx

pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # of branches in torch's own modules


def torch_macs(module: nn.Module, *shape: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(shape))
    return counter.get_total_flops() // 2


class Attention(nn.Module):
    """Self-attention of `heads` heads, by hand."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.mix, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.mix(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind()
        scores = (q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5).softmax(-1)
        return self.out((scores @ v).transpose(1, 2).reshape(batch, tokens, width))


class SqueezeExcite(nn.Module):
    """A gate for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.expand(self.reduce(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Up(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Grow(nn.Module):
    """Shapes that depend on the input's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        row = torch.arange(x.shape[2], dtype=torch.float32).expand(x.shape[0], x.shape[1], x.shape[2])
        return (x + row).reshape(x.shape[0], -1, 2)


def test_attention_is_two_linear_layers_two_products_and_a_softmax() -> None:
    module = Attention(24, 3)
    workload = checked(read_onnx(export_onnx(module, (5, 24), batch=2)))
    assert macs(workload) == torch_macs(module, 2, 5, 24) == 2 * 5 * 24 * 24 * 4 + 2 * (2 * 5 * 5 * 24)
    products = [node for node in workload.nodes if node.kind == "array"]
    assert [(node.weights, node.biases, len(node.inputs)) for node in products] == [
        (24 * 72, 72, 1),
        (0, 0, 2),
        (0, 0, 2),
        (24 * 24, 24, 1),
    ]
    assert [node.geometry.groups for node in products if node.geometry] == [1, 6, 6, 1]
    assert functions(workload).count("softmax") == 1
    assert set(functions(workload)) <= {"array", "softmax", "move", "mul", "div"}


@pytest.mark.parametrize("opset", [16, 17])
@pytest.mark.parametrize("affine", [True, False])
def test_a_layer_norm_is_one_node(opset: int, affine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("donna_hw.graph.torch_to_onnx.OPSET", opset)
    model = export_onnx(nn.Sequential(nn.LayerNorm(16, elementwise_affine=affine), nn.Linear(16, 4)), (7, 16))
    assert ("LayerNormalization" in {node.op_type for node in model.graph.node}) == (opset == 17)
    workload = checked(read_onnx(model))
    assert functions(workload) == ["layer_norm", "array"]
    assert (workload.nodes[0].work, workload.nodes[0].op_type) == (7 * 16, "LayerNormalization")


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (nn.GELU(), "gelu"),
        (nn.GELU(approximate="tanh"), "gelu"),
        (nn.SiLU(), "swish"),
        (nn.Mish(), "mish"),
        (nn.Hardswish(), "hard_swish"),
        (nn.Hardsigmoid(), "hard_sigmoid"),
        (nn.ReLU6(), "relu6"),
        (nn.Softplus(), "softplus"),
        (nn.LeakyReLU(0.1), "leaky_relu"),
        (nn.PReLU(4), "prelu"),
        (nn.ELU(), "elu"),
    ],
)
def test_an_activation_is_one_node_after_its_convolution(module: nn.Module, function: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), module)
    workload = checked(read_onnx(export_onnx(net, (3, 6, 6))))
    assert functions(workload) == ["array", function]
    assert workload.nodes[1].elementwise


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (SqueezeExcite(8), (8, 5, 5), ["reduce", "array", "relu", "array", "sigmoid", "mul"]),
        (nn.Sequential(nn.Conv1d(3, 6, 5, stride=2, groups=3), nn.ReLU()), (3, 20), ["array", "relu"]),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2), (4, 5, 6), ["array"]),
        (nn.Sequential(nn.Conv2d(3, 4, 1), Up()), (3, 4, 4), ["array", "resize"]),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)), (3, 8, 8), ["array", "instance_norm", "mul", "add"]),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Softmax(-1)), (3, 2, 2), ["array", "softmax"]),
    ],
)
def test_modules(module: nn.Module, shape: tuple[int, ...], expected: list[str]) -> None:
    workload = checked(read_onnx(export_onnx(module, shape, batch=3)))
    assert functions(workload) == expected
    assert macs(workload) == torch_macs(module, 3, *shape)


def test_elements_and_channels_of_every_tensor_are_those_that_a_run_has() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU6(), SqueezeExcite(8), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 5)
    )
    model = export_onnx(net, (3, 9, 9), batch=2)
    del model.graph.output[:]
    names = [node.output[0] for node in model.graph.node]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    shapes = [
        value.shape for value in ReferenceEvaluator(model).run(None, {"input": np.zeros((2, 3, 9, 9), np.float32)})
    ]
    workload = read_onnx(model)
    assert [workload.tensors[place].elements for place in workload.outputs] == [
        prod(s) for s, n in zip(shapes, names, strict=True) if n in names and s != ()
    ]


def dynamic(module: nn.Module, shape: tuple[int, ...], axes: dict[int, str]) -> onnx.ModelProto:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (torch.zeros(shape),),
            buffer,
            dynamo=False,
            opset_version=17,
            input_names=["input"],
            dynamic_axes={"input": axes},
        )
    return onnx.load_from_string(buffer.getvalue())


def test_dynamic_axes_are_refused_or_fixed() -> None:
    model = dynamic(nn.Conv2d(3, 4, 3), (1, 3, 8, 8), {0: "batch", 2: "height"})
    with pytest.raises(
        ConfigError,
        match=r"input 'input' has open dimensions; got '\[batch, 3, height, 8\]'.*--input-shape input=1,3,224,8",
    ):
        read_onnx(model)
    for batch, height in ((1, 8), (5, 11)):
        workload = read_onnx(model, {"input": (batch, 3, height, 8)})
        assert macs(workload) == batch * 4 * 27 * (height - 2) * 6


@pytest.mark.parametrize("module", [Attention(8, 2), Grow()])
def test_shapes_that_are_computed_from_the_inputs(module: nn.Module) -> None:
    model = dynamic(module, (2, 4, 8), {0: "batch", 1: "tokens"})
    workload = checked(read_onnx(model, {"input": (3, 6, 8)}))
    assert macs(workload) == torch_macs(module, 3, 6, 8)
    assert workload.tensors[workload.outputs[0]].elements == 3 * 6 * 8
    assert workload.unknown_ops == ()
