"""A graph of layers as a TensorFlow Lite file, written directly: batch-norm folded, shapes fixed, channels last from end to end.

A converter would put a transpose at both ends, whose time is not the block's. Needs the packages flatbuffers and ai-edge-litert, whose
schema names the file's parts.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from donna_hw.errors import ConfigError, FileFormatError, UnavailableError
from donna_hw.graph.graph import INPUT, Graph, Layer, Shape
from donna_hw.graph.onnx_export import fold_batch_norm, normal_pool, random_weights
from donna_hw.graph.onnx_format import Weights
from donna_hw.graph.tflite_writer import TfliteBuilder, load_schema

FUSED_ACTIVATIONS = {"none": 0, "relu": 1, "relu6": 3}  # ActivationFunctionType
SAME, VALID = 0, 1


def to_tflite(graph: Graph, batch: int = 1, weights: Weights | None = None, seed: int = 0) -> bytes:
    """Return the TensorFlow Lite model of a graph for a fixed batch: what `to_onnx` of the same arguments computes.

    Input and output are float32, [batch, height, width, channels], or [batch, features]. Raises `ConfigError` for a flattened map that is
    not read by a linear layer, whose order would not be torch's, and `UnavailableError` without the packages.
    """
    builder = TfliteBuilder(load_schema(), batch, {layer.name: layer for layer in graph.layers})
    rng = np.random.default_rng(seed)
    builder.tensor(INPUT, _channels_last(graph.input_shape, batch))
    for layer in graph.layers:
        values: tuple[np.ndarray, np.ndarray] | None = None
        if layer.weight_shape:
            values = (
                fold_batch_norm(layer, weights)
                if weights is not None
                else random_weights(layer, rng, normal_pool(seed))
            )
        _add_layer(builder, layer, values)
    if graph.layers:
        _validate_flatten_order(graph)
    else:
        _reshape(builder, INPUT, "output", _channels_last(graph.output_shape, batch))
    return builder.serialize(graph.output if graph.layers else "output")


def _channels_last(shape: Shape, batch: int) -> tuple[int, ...]:
    """Return the shape with the batch first and the channels last."""
    return (batch, *shape[1:], shape[0]) if len(shape) == 3 else (batch, *shape)


def _add_layer(builder: TfliteBuilder, layer: Layer, values: tuple[np.ndarray, np.ndarray] | None) -> None:
    """Add a layer and its activation; ReLU and ReLU6 go into the operator that can take them."""
    shape = _channels_last(layer.out_shape, builder.batch)
    fusible = layer.operator in ("conv", "linear", "add", "max_pool")
    fused = layer.activation if fusible and layer.activation in FUSED_ACTIVATIONS else "none"
    alone = "none" if fused == layer.activation else layer.activation
    name = layer.name if alone == "none" else f"{layer.name}.linear"
    inputs = [builder.tensor_indices[x] for x in layer.inputs]
    if layer.operator == "conv":
        assert values is not None  # noqa: S101  a convolution has weights
        _convolution(builder, layer, values, name, fused)
    elif layer.operator == "linear":
        assert values is not None  # noqa: S101  it has weights
        _linear(builder, layer, values, name, fused)
    elif layer.operator == "max_pool":
        _max_pool(builder, layer, name, fused)
    elif layer.operator == "global_pool":
        options = builder.schema.ReducerOptionsT()
        options.keepDims = True
        axes = builder.tensor(f"{layer.name}.axes", (2,), np.array([1, 2], np.int32))
        builder.operator("MEAN", [inputs[0], axes], builder.tensor(name, shape), options)
    elif layer.operator == "flatten":
        _reshape(builder, layer.inputs[0], name, shape)
    elif layer.operator in ("add", "scale"):
        _add_binary(builder, "ADD" if layer.operator == "add" else "MUL", inputs, builder.tensor(name, shape), fused)
    elif layer.operator == "module":
        rule = "a block as .tflite must be made of donna_hw's own operators"
        raise ConfigError(rule, got=f"the torch module {layer.name}", hint="run it with ONNX Runtime, on phones too")
    else:
        raise NotImplementedError(layer.operator)
    if alone != "none":
        _activation(builder, alone, name, layer.name, shape)


def _add_binary(builder: TfliteBuilder, kind: str, inputs: list[int], output: int, fused: str = "none") -> None:
    options = builder.schema.AddOptionsT() if kind == "ADD" else builder.schema.MulOptionsT()
    options.fusedActivationFunction = FUSED_ACTIVATIONS[fused]
    builder.operator(kind, inputs, output, options)


def _reshape(builder: TfliteBuilder, x: str, name: str, shape: tuple[int, ...]) -> None:
    options = builder.schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    wanted = builder.tensor(f"{name}.shape", (len(shape),), np.array(shape, np.int32))
    builder.operator("RESHAPE", [builder.tensor_indices[x], wanted], builder.tensor(name, shape), options)


def _convolution(
    builder: TfliteBuilder, layer: Layer, values: tuple[np.ndarray, np.ndarray], name: str, fused: str
) -> None:
    weight, bias = values
    depthwise = layer.groups > 1 and layer.groups == layer.in_shape[0]
    if depthwise:
        options, kind = builder.schema.DepthwiseConv2DOptionsT(), "DEPTHWISE_CONV_2D"
        options.depthMultiplier = layer.out_shape[0] // layer.groups
        weight = weight.transpose(1, 2, 3, 0)  # [1, height, width, channels out]
    else:
        options, kind = builder.schema.Conv2DOptionsT(), "CONV_2D"
        weight = weight.transpose(0, 2, 3, 1)  # [channels out, height, width, channels in of a group]
    options.dilationWFactor = options.dilationHFactor = 1
    source, options.padding = _pad(builder, layer, 0.0)
    _set_window(layer, options, fused)
    parts = [(f"{layer.name}.weight", np.ascontiguousarray(weight)), (f"{layer.name}.bias", bias)]
    constants = [builder.tensor(part, array.shape, array) for part, array in parts]
    builder.operator(
        kind, [source, *constants], builder.tensor(name, _channels_last(layer.out_shape, builder.batch)), options
    )


def _max_pool(builder: TfliteBuilder, layer: Layer, name: str, fused: str) -> None:
    options = builder.schema.Pool2DOptionsT()
    source, options.padding = _pad(builder, layer, float(np.finfo(np.float32).min))  # what is never the largest
    _set_window(layer, options, fused)
    options.filterWidth = options.filterHeight = layer.kernel
    builder.operator(
        "MAX_POOL_2D", [source], builder.tensor(name, _channels_last(layer.out_shape, builder.batch)), options
    )


def _set_window(layer: Layer, options: Any, fused: str) -> None:
    options.strideW = options.strideH = layer.stride
    options.fusedActivationFunction = FUSED_ACTIVATIONS[fused]


def _pad(builder: TfliteBuilder, layer: Layer, value: float) -> tuple[int, int]:
    """Return the tensor that a window slides over, and the padding to name.

    Torch pads kernel // 2 on each side. `SAME` pads as little as it can and puts the odd one behind: with a stride that is another
    place for the window, and the padding is then an operator of its own.
    """
    source, before = builder.tensor_indices[layer.inputs[0]], layer.kernel // 2
    channels, *sizes = layer.in_shape
    needed = [(-(-size // layer.stride) - 1) * layer.stride + layer.kernel - size for size in sizes]
    if all(max(total, 0) // 2 == before for total in needed):
        return source, SAME
    name = f"{layer.name}.padded"
    pads = np.array([[0, 0], [before, before], [before, before], [0, 0]], np.int32)
    edges = builder.tensor(f"{name}.edges", pads.shape, pads)
    height, width = (size + 2 * before for size in sizes)
    target = builder.tensor(name, (builder.batch, height, width, channels))
    if value == 0:
        builder.operator("PAD", [source, edges], target, builder.schema.PadOptionsT())
    else:
        filling = builder.tensor(f"{name}.value", (1,), np.array([value], np.float32))
        builder.operator("PADV2", [source, edges, filling], target, builder.schema.PadV2OptionsT())
    return target, VALID


def _linear(builder: TfliteBuilder, layer: Layer, values: tuple[np.ndarray, np.ndarray], name: str, fused: str) -> None:
    weight, bias = values
    before = builder.layers.get(layer.inputs[0])
    if before is not None and before.operator == "flatten":  # torch flattens channels first, this file channels last
        channels, *sizes = before.in_shape if len(before.in_shape) == 3 else (before.in_shape[0], 1, 1)
        weight = weight.reshape(-1, channels, *sizes).transpose(0, 2, 3, 1).reshape(weight.shape)
    options = builder.schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = FUSED_ACTIVATIONS[fused]
    parts = [(f"{layer.name}.weight", np.ascontiguousarray(weight)), (f"{layer.name}.bias", bias)]
    constants = [builder.tensor(part, array.shape, array) for part, array in parts]
    output = builder.tensor(name, _channels_last(layer.out_shape, builder.batch))
    builder.operator("FULLY_CONNECTED", [builder.tensor_indices[layer.inputs[0]], *constants], output, options)


def _activation(builder: TfliteBuilder, kind: str, x: str, name: str, shape: tuple[int, ...]) -> None:
    source = builder.tensor_indices[x]
    if kind in ("relu", "relu6", "sigmoid", "hard_swish"):
        operator = {"relu": "RELU", "relu6": "RELU6", "sigmoid": "LOGISTIC", "hard_swish": "HARD_SWISH"}[kind]
        builder.operator(operator, [source], builder.tensor(name, shape))
    elif kind == "swish":
        gate = builder.tensor(f"{name}.gate", shape)
        builder.operator("LOGISTIC", [source], gate)
        _add_binary(builder, "MUL", [source, gate], builder.tensor(name, shape))
    elif kind == "hard_sigmoid":  # relu6(x + 3) / 6
        three = builder.tensor(f"{name}.three", (1,), np.array([3], np.float32))
        sixth = builder.tensor(f"{name}.sixth", (1,), np.array([1 / 6], np.float32))
        above = builder.tensor(f"{name}.above", shape)
        _add_binary(builder, "ADD", [source, three], above, "relu6")
        _add_binary(builder, "MUL", [above, sixth], builder.tensor(name, shape))
    else:
        raise NotImplementedError(kind)


def _validate_flatten_order(graph: Graph) -> None:
    """Raise `ConfigError` for a flattened map of several pixels that anything but a linear layer reads."""
    readers = {layer.name: [other for other in graph.layers if layer.name in other.inputs] for layer in graph.layers}
    for layer in graph.layers:
        several = layer.operator == "flatten" and len(layer.in_shape) == 3 and prod(layer.in_shape[1:]) > 1
        if several and (layer.name == graph.output or any(one.operator != "linear" for one in readers[layer.name])):
            raise ConfigError(
                "a map that is flattened must be read by linear layers alone: TensorFlow Lite keeps it in another order",
                got=layer.name,
                hint="pool it first, or let a linear layer follow",
            )


TOLERANCE = 1e-5  # of the largest output


def run_tflite(model: bytes, images: np.ndarray) -> np.ndarray:
    """Return the output for images [batch, channels, height, width] or [batch, features], laid out as they are."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UnavailableError(
            "running TensorFlow Lite files here needs LiteRT", got=str(error), hint="pip install 'donna-hw[android]'"
        ) from None
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    first = images.transpose(0, 2, 3, 1) if images.ndim == 4 else images
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(first))
    interpreter.invoke()
    found: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return found.transpose(0, 3, 1, 2) if found.ndim == 4 else found


def validate_tflite(graph: Graph, batch: int = 1, seed: int = 0) -> float:
    """Return by how much a graph's file deviates from its torch module, as a share of the largest output.

    Raises `FileFormatError` beyond `TOLERANCE`.
    """
    import torch

    from donna_hw.graph.torch_module import to_torch

    module = to_torch(graph, seed).eval()
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    images = np.random.default_rng(seed).standard_normal((batch, *graph.input_shape), dtype=np.float32)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(images)).numpy()
    found = run_tflite(to_tflite(graph, batch, weights), images)
    if found.shape != wanted.shape:
        raise FileFormatError(
            "a TensorFlow Lite file must have the output of its block", got=f"{found.shape}, not {wanted.shape}"
        )
    deviation = float(np.abs(found - wanted).max() / max(float(np.abs(wanted).max()), np.finfo(np.float32).tiny))
    if not deviation <= TOLERANCE:
        raise FileFormatError(f"a TensorFlow Lite file must agree with torch to {TOLERANCE:g}", got=f"{deviation:.2g}")
    return deviation
