"""A graph of layers as an ONNX model, built directly: batch-norm folded, shapes fixed, opset 17.

Building from layers avoids the tracing of torch's exporter, which would dominate for thousands of blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod

import numpy as np
import onnx
from onnx import TensorProto, helper

from donna_hw.graph.graph import INPUT, Graph, Layer, Shape, graph_dtypes
from donna_hw.graph.int8_onnx import Int8Writer, random_int8_buffers
from donna_hw.graph.onnx_format import IR_VERSION, OPSET, Weights

POOL_SIZE = 262_147  # a prime, so that the filters of a large layer still differ
_SINGLE_NODE_ACTIVATIONS = {"relu": "Relu", "hard_swish": "HardSwish", "sigmoid": "Sigmoid"}


def to_onnx(graph: Graph, batch: int = 1, weights: Weights | None = None, seed: int = 0) -> onnx.ModelProto:
    """Return the ONNX model of a graph for a fixed batch, with layers of type int8 written as QDQ (`int8_onnx`).

    Random weights are scaled so that values neither vanish nor overflow, since both change the speed of a processor. They are slices of
    one pool of normal numbers, because drawing each layer's anew would take longer than everything else.

    Args:
        graph: The layers.
        batch: Images per inference.
        weights: torch's state dict as numpy arrays (`<layer>.weights.weight`, `<layer>.norm.running_mean`, ...); random if None.
        seed: Of the random weights.

    Returns:
        The model. Its input and output are named `input` and `output`, float32, [batch, *shape].
    """
    rng = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    opset = helper.make_opsetid("", OPSET)
    model = onnx.ModelProto(ir_version=IR_VERSION, producer_name="donna_hw", opset_import=[opset])
    body = model.graph  # filled in place: helper.make_graph and make_model would copy all weights twice
    body.name = "block"
    int8_writer = Int8Writer(body, _main_node) if "int8" in graph_dtypes(graph) else None
    for layer in graph.layers:
        target = "output" if layer.name == graph.output else layer.name
        if layer.dtype == "int8" and int8_writer is not None:
            if weights is not None:
                buffers = {key: np.asarray(weights[f"{layer.name}.{key}"]) for key in _int8_keys(layer)}
            else:
                weight = random_weights(layer, rng, normal_pool(seed))[0] if layer.weight_shape else None
                buffers = random_int8_buffers(graph, layer, weight)
            body.node.extend(nodes)
            nodes.clear()
            int8_writer.write(layer, buffers, layer.inputs, target)
            continue
        linear = target if layer.activation == "none" else f"{layer.name}.linear"
        if layer.module_spec is not None:
            module_graph = _embed_module(layer, linear, batch, weights, seed)
            nodes += module_graph.node
            body.initializer.extend(module_graph.initializer)
        else:
            parameters = [f"{layer.name}.weight", f"{layer.name}.bias"] if layer.weight_shape else []
            nodes.append(_main_node(layer, [*layer.inputs, *parameters], linear))
        if layer.weight_shape:
            weight, bias = (
                fold_batch_norm(layer, weights)
                if weights is not None
                else random_weights(layer, rng, normal_pool(seed))
            )
            _add_tensor(body, f"{layer.name}.weight", weight)
            _add_tensor(body, f"{layer.name}.bias", bias)
        nodes += _activation_nodes(layer, linear, target)
    if not graph.layers:
        nodes.append(helper.make_node("Identity", [INPUT], ["output"], name="nothing"))
    body.node.extend(nodes)
    body.input.append(_value_info(INPUT, batch, graph.input_shape))
    body.output.append(_value_info("output", batch, graph.output_shape))
    if any(node.op_type == "Clip" for node in body.node):
        _add_tensor(body, "relu6.low", np.array(0, np.float32))
        _add_tensor(body, "relu6.high", np.array(6, np.float32))
    return model


def _embed_module(layer: Layer, output: str, batch: int, weights: Weights | None, seed: int) -> onnx.GraphProto:
    from donna_hw.graph.torch_to_onnx import embed_module  # deferred, since only modules need torch

    return embed_module(layer, output, batch, weights, seed)


def fold_batch_norm(layer: Layer, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Return a layer's weight and bias in float32 with its batch-norm folded in, as deployed."""
    weight = np.asarray(weights[f"{layer.name}.weights.weight"], np.float64)
    if not layer.batch_norm:
        bias = np.asarray(weights[f"{layer.name}.weights.bias"], np.float64)
        return weight.astype(np.float32), bias.astype(np.float32)
    norm = {key: np.asarray(weights[f"{layer.name}.norm.{key}"], np.float64) for key in _NORM_KEYS}
    gain = norm["weight"] / np.sqrt(norm["running_var"] + 1e-5)  # torch's default eps
    bias = norm["bias"] - norm["running_mean"] * gain
    return (weight * gain[:, None, None, None]).astype(np.float32), bias.astype(np.float32)


_NORM_KEYS = ("weight", "bias", "running_mean", "running_var")


@cache
def normal_pool(seed: int) -> np.ndarray:
    """Return the normal numbers of which random weights are slices."""
    pool = np.random.default_rng(seed).standard_normal(POOL_SIZE, dtype=np.float32)
    return np.concatenate([pool, pool])  # twice, so that a slice may begin anywhere


def random_weights(layer: Layer, rng: np.random.Generator, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return normal weights of variance 2 / fan-in from a random start in the pool, and a bias of zeros."""
    shape = layer.weight_shape
    start = int(rng.integers(POOL_SIZE))
    values = pool[start : start + min(prod(shape), POOL_SIZE)] * np.float32(np.sqrt(2 / prod(shape[1:])))
    return np.resize(values, shape), np.zeros(shape[0], np.float32)


def _add_tensor(body: onnx.GraphProto, name: str, values: np.ndarray) -> None:
    tensor = body.initializer.add(name=name, dims=values.shape, data_type=TensorProto.FLOAT)
    tensor.raw_data = np.ascontiguousarray(values, "<f4").tobytes()  # ONNX stores little-endian numbers


def _value_info(name: str, batch: int, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])


def _int8_keys(layer: Layer) -> tuple[str, ...]:
    weight_keys = ("codes", "weight_scales", "weight_zeros", "bias") if layer.weight_shape else ()
    return ("scales", "zeros", *weight_keys)


def _main_node(layer: Layer, inputs: Sequence[str], output: str) -> onnx.NodeProto:
    """Return the node of a layer without its activation; `inputs` are those of the layer, then its weight and bias."""
    if layer.operator == "conv":
        pad = layer.kernel // 2
        return helper.make_node(
            "Conv",
            inputs,
            [output],
            name=layer.name,
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            pads=[pad] * 4,
            group=layer.groups,
        )
    if layer.operator == "max_pool":
        return helper.make_node(
            "MaxPool",
            inputs,
            [output],
            name=layer.name,
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            pads=[layer.kernel // 2] * 4,
        )
    if layer.operator == "linear":
        return helper.make_node("Gemm", inputs, [output], name=layer.name, transB=1)
    op_type = {"global_pool": "GlobalAveragePool", "flatten": "Flatten", "add": "Add", "scale": "Mul"}[layer.operator]
    return helper.make_node(op_type, inputs, [output], name=layer.name)


def _activation_nodes(layer: Layer, x: str, output: str) -> list[onnx.NodeProto]:
    activation, name = layer.activation, f"{layer.name}.{layer.activation}"
    if activation == "none":
        return []
    if activation in _SINGLE_NODE_ACTIVATIONS:
        return [helper.make_node(_SINGLE_NODE_ACTIVATIONS[activation], [x], [output], name=name)]
    if activation == "relu6":
        return [helper.make_node("Clip", [x, "relu6.low", "relu6.high"], [output], name=name)]
    if activation == "hard_sigmoid":
        return [helper.make_node("HardSigmoid", [x], [output], name=name, alpha=1 / 6, beta=0.5)]
    if activation == "swish":
        gate = f"{name}.gate"
        return [
            helper.make_node("Sigmoid", [x], [gate], name=gate),
            helper.make_node("Mul", [x, gate], [output], name=name),
        ]
    raise NotImplementedError(activation)
