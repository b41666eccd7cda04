"""What the simulator and its peers are both given: single layers for SCALE-Sim, MobileNetV2 for Vela."""

from __future__ import annotations

from typing import NamedTuple

from peers.mobilenet_v2 import Layer, layers

from donna_hw.simulator.workload import Geometry, Node, Tensor, Workload


class ConvLayer(NamedTuple):
    """A layer for SCALE-Sim: map padded, and a stride that divides, since SCALE-Sim rounds a map's size up."""

    name: str
    height: int
    width: int
    kernel: int
    channels: int
    filters: int
    stride: int


SCALESIM_LAYERS = (
    ConvLayer("stem", 65, 65, 3, 3, 32, 2),
    ConvLayer("expand", 28, 28, 1, 24, 144, 1),
    ConvLayer("project", 28, 28, 1, 144, 24, 1),
    ConvLayer("depthwise", 30, 30, 3, 1, 1, 1),
    ConvLayer("dense", 18, 18, 3, 32, 48, 1),
    ConvLayer("fifth", 19, 23, 5, 7, 11, 1),
    ConvLayer("classifier", 1, 1, 1, 320, 1000, 1),
)


def single_layer_workload(layer: ConvLayer) -> Workload:
    """Return one layer as a network."""
    height, width = ((size - layer.kernel) // layer.stride + 1 for size in (layer.height, layer.width))
    shape = Geometry(
        1,
        layer.channels,
        layer.height,
        layer.width,
        layer.filters,
        height,
        width,
        *[layer.kernel] * 2,
        *[layer.stride] * 2,
    )
    tensors = (
        Tensor(layer.channels * layer.height * layer.width, layer.channels),
        Tensor(layer.filters * height * width, layer.filters),
    )
    weights = layer.kernel**2 * layer.channels * layer.filters
    node = Node("array", "", layer.name, "Conv", (0,), (1,), shape, weights)
    return Workload(tensors, (node,), (0,), (1,))


def network() -> Workload:
    """Return MobileNetV2 as a workload; Relu6 is an operator of its own, as in ONNX."""
    tensors, nodes, outputs = [Tensor(3 * 224 * 224, 3)], [], [0]
    for layer in layers():
        inputs = tuple(outputs[number + 1] for number in layer.inputs)
        output = len(tensors)
        tensors.append(Tensor(layer.out_channels * layer.out_size**2, layer.out_channels))
        nodes.append(_node(layer, inputs, output))
        if layer.relu6:
            tensors.append(tensors[-1])
            work = tensors[-1].elements
            relu6 = Node(
                "vector", "relu6", f"{layer.name} relu6", "Clip", (output,), (output + 1,), work=work, elementwise=True
            )
            nodes.append(relu6)
        outputs.append(len(tensors) - 1)
    return Workload(tuple(tensors), tuple(nodes), (0,), (outputs[-1],))


def _node(layer: Layer, inputs: tuple[int, ...], output: int) -> Node:
    """Return a layer of MobileNetV2 as a node."""
    elements = layer.in_channels * layer.in_size**2
    if layer.kind == "add":
        return Node("vector", "add", layer.name, "Add", inputs, (output,), work=elements, elementwise=True)
    if layer.kind == "pool":
        return Node("vector", "global_pool", layer.name, "GlobalAveragePool", inputs, (output,), work=elements)
    groups = layer.in_channels if layer.kind == "depthwise" else 1
    into, out = (layer.in_channels, *[layer.in_size] * 2), (layer.out_channels, *[layer.out_size] * 2)
    shape = Geometry(1, *into, *out, *[layer.kernel] * 2, *[layer.stride] * 2, groups=groups)
    weights = layer.kernel**2 * layer.in_channels // groups * layer.out_channels
    return Node("array", "", layer.name, "Conv", inputs, (output,), shape, weights, layer.out_channels)
