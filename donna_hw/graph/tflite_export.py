"""A graph of layers as a TensorFlow Lite file, written directly: batch-norm folded, shapes fixed, channels last throughout.

A converter would add a transpose at both ends, whose time is not the block's. Needs the packages flatbuffers and ai-edge-litert; the
latter has the schema of the format.
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
    """Return the TensorFlow Lite model of a graph for a fixed batch: it computes what `to_onnx` of the same arguments does.

    Args:
        graph: The layers.
        batch: Images per inference.
        weights: As `to_onnx` takes them; random if None.
        seed: Of the random weights.

    Returns:
        The file. Its input and output are float32, [batch, height, width, channels] or [batch, features].

    Raises:
        ConfigError: If a flattened map is read by anything but a linear layer, because its order differs from torch's.
        UnavailableError: If the packages are missing.
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
        _add_reshape(builder, INPUT, "output", _channels_last(graph.output_shape, batch))
    return builder.serialize(graph.output if graph.layers else "output")


def _channels_last(shape: Shape, batch: int) -> tuple[int, ...]:
    """Return the shape with the batch first and the channels last."""
    return (batch, *shape[1:], shape[0]) if len(shape) == 3 else (batch, *shape)


def _add_layer(builder: TfliteBuilder, layer: Layer, values: tuple[np.ndarray, np.ndarray] | None) -> None:
    """Add a layer and its activation; ReLU and ReLU6 are fused where the operator allows it."""
    shape = _channels_last(layer.out_shape, builder.batch)
    fusible = layer.operator in ("conv", "linear", "add", "max_pool")
    fused = layer.activation if fusible and layer.activation in FUSED_ACTIVATIONS else "none"
    separate = "none" if fused == layer.activation else layer.activation
    name = layer.name if separate == "none" else f"{layer.name}.linear"
    inputs = [builder.tensor_indices[x] for x in layer.inputs]
    if layer.operator == "conv":
        assert values is not None  # noqa: S101  a convolution has weights
        _add_convolution(builder, layer, values, name, fused)
    elif layer.operator == "linear":
        assert values is not None  # noqa: S101  a linear layer has weights
        _add_linear(builder, layer, values, name, fused)
    elif layer.operator == "max_pool":
        _add_max_pool(builder, layer, name, fused)
    elif layer.operator == "global_pool":
        options = builder.schema.ReducerOptionsT()
        options.keepDims = True
        axes = builder.tensor(f"{layer.name}.axes", (2,), np.array([1, 2], np.int32))
        builder.operator("MEAN", [inputs[0], axes], builder.tensor(name, shape), options)
    elif layer.operator == "flatten":
        _add_reshape(builder, layer.inputs[0], name, shape)
    elif layer.operator in ("add", "scale"):
        _add_binary(builder, "ADD" if layer.operator == "add" else "MUL", inputs, builder.tensor(name, shape), fused)
    elif layer.operator == "module":
        message = "a custom torch module cannot be written as .tflite"
        raise ConfigError(message, got=layer.name, hint="run it with ONNX Runtime, which phones have too")
    else:
        raise NotImplementedError(layer.operator)
    if separate != "none":
        _add_activation(builder, separate, name, layer.name, shape)


def _add_binary(builder: TfliteBuilder, op_type: str, inputs: list[int], output: int, fused: str = "none") -> None:
    options = builder.schema.AddOptionsT() if op_type == "ADD" else builder.schema.MulOptionsT()
    options.fusedActivationFunction = FUSED_ACTIVATIONS[fused]
    builder.operator(op_type, inputs, output, options)


def _add_reshape(builder: TfliteBuilder, x: str, name: str, shape: tuple[int, ...]) -> None:
    options = builder.schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    new_shape = builder.tensor(f"{name}.shape", (len(shape),), np.array(shape, np.int32))
    builder.operator("RESHAPE", [builder.tensor_indices[x], new_shape], builder.tensor(name, shape), options)


def _add_convolution(
    builder: TfliteBuilder, layer: Layer, values: tuple[np.ndarray, np.ndarray], name: str, fused: str
) -> None:
    weight, bias = values
    depthwise = layer.groups > 1 and layer.groups == layer.in_shape[0]
    if depthwise:
        options, op_type = builder.schema.DepthwiseConv2DOptionsT(), "DEPTHWISE_CONV_2D"
        options.depthMultiplier = layer.out_shape[0] // layer.groups
        weight = weight.transpose(1, 2, 3, 0)  # [1, height, width, channels out]
    else:
        options, op_type = builder.schema.Conv2DOptionsT(), "CONV_2D"
        weight = weight.transpose(0, 2, 3, 1)  # [channels out, height, width, channels in of a group]
    options.dilationWFactor = options.dilationHFactor = 1
    source, options.padding = _pad(builder, layer, 0.0)
    _set_window(layer, options, fused)
    parts = [(f"{layer.name}.weight", np.ascontiguousarray(weight)), (f"{layer.name}.bias", bias)]
    constants = [builder.tensor(part, array.shape, array) for part, array in parts]
    builder.operator(
        op_type, [source, *constants], builder.tensor(name, _channels_last(layer.out_shape, builder.batch)), options
    )


def _add_max_pool(builder: TfliteBuilder, layer: Layer, name: str, fused: str) -> None:
    options = builder.schema.Pool2DOptionsT()
    source, options.padding = _pad(builder, layer, float(np.finfo(np.float32).min))  # never the largest
    _set_window(layer, options, fused)
    options.filterWidth = options.filterHeight = layer.kernel
    builder.operator(
        "MAX_POOL_2D", [source], builder.tensor(name, _channels_last(layer.out_shape, builder.batch)), options
    )


def _set_window(layer: Layer, options: Any, fused: str) -> None:
    options.strideW = options.strideH = layer.stride
    options.fusedActivationFunction = FUSED_ACTIVATIONS[fused]


def _pad(builder: TfliteBuilder, layer: Layer, value: float) -> tuple[int, int]:
    """Return the tensor that a window slides over, and the padding mode.

    Torch pads kernel // 2 on each side. `SAME` pads as little as possible, with the odd pixel at the end. With a stride that shifts the
    window, and the padding is then a separate operator.
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


def _add_linear(
    builder: TfliteBuilder, layer: Layer, values: tuple[np.ndarray, np.ndarray], name: str, fused: str
) -> None:
    weight, bias = values
    before = builder.layers.get(layer.inputs[0])
    if (
        before is not None and before.operator == "flatten"
    ):  # torch flattens channels first, TensorFlow Lite channels last
        channels, *sizes = before.in_shape if len(before.in_shape) == 3 else (before.in_shape[0], 1, 1)
        weight = weight.reshape(-1, channels, *sizes).transpose(0, 2, 3, 1).reshape(weight.shape)
    options = builder.schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = FUSED_ACTIVATIONS[fused]
    parts = [(f"{layer.name}.weight", np.ascontiguousarray(weight)), (f"{layer.name}.bias", bias)]
    constants = [builder.tensor(part, array.shape, array) for part, array in parts]
    output = builder.tensor(name, _channels_last(layer.out_shape, builder.batch))
    builder.operator("FULLY_CONNECTED", [builder.tensor_indices[layer.inputs[0]], *constants], output, options)


def _add_activation(builder: TfliteBuilder, activation: str, x: str, name: str, shape: tuple[int, ...]) -> None:
    source = builder.tensor_indices[x]
    if activation in ("relu", "relu6", "sigmoid", "hard_swish"):
        op_type = {"relu": "RELU", "relu6": "RELU6", "sigmoid": "LOGISTIC", "hard_swish": "HARD_SWISH"}[activation]
        builder.operator(op_type, [source], builder.tensor(name, shape))
    elif activation == "swish":
        gate = builder.tensor(f"{name}.gate", shape)
        builder.operator("LOGISTIC", [source], gate)
        _add_binary(builder, "MUL", [source, gate], builder.tensor(name, shape))
    elif activation == "hard_sigmoid":  # relu6(x + 3) / 6
        three = builder.tensor(f"{name}.three", (1,), np.array([3], np.float32))
        sixth = builder.tensor(f"{name}.sixth", (1,), np.array([1 / 6], np.float32))
        above = builder.tensor(f"{name}.above", shape)
        _add_binary(builder, "ADD", [source, three], above, "relu6")
        _add_binary(builder, "MUL", [above, sixth], builder.tensor(name, shape))
    else:
        raise NotImplementedError(activation)


def _validate_flatten_order(graph: Graph) -> None:
    """Raise `ConfigError` if anything but a linear layer reads a flattened map of several pixels."""
    readers = {layer.name: [other for other in graph.layers if layer.name in other.inputs] for layer in graph.layers}
    for layer in graph.layers:
        several = layer.operator == "flatten" and len(layer.in_shape) == 3 and prod(layer.in_shape[1:]) > 1
        if several and (
            layer.name == graph.output or any(reader.operator != "linear" for reader in readers[layer.name])
        ):
            raise ConfigError(
                "only linear layers may read a flattened map, since TensorFlow Lite flattens in another order than torch",
                got=layer.name,
                hint="pool it first, or add a linear layer after it",
            )


TOLERANCE = 1e-5  # of the largest output


def run_tflite(model: bytes, images: np.ndarray) -> np.ndarray:
    """Return the output for images [batch, channels, height, width] or [batch, features], in the same layout."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UnavailableError(
            "LiteRT, which runs TensorFlow Lite files on this machine, is not installed",
            got=str(error),
            hint="pip install 'donna-hw[android]'",
        ) from None
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    channels_last = images.transpose(0, 2, 3, 1) if images.ndim == 4 else images
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(channels_last))
    interpreter.invoke()
    output: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output.transpose(0, 3, 1, 2) if output.ndim == 4 else output


def validate_tflite(graph: Graph, batch: int = 1, seed: int = 0) -> float:
    """Compare the file of a graph with its torch module.

    Args:
        graph: The layers.
        batch: Images to run.
        seed: Of the weights and the images.

    Returns:
        The largest deviation, as a fraction of the largest output.

    Raises:
        FileFormatError: If the deviation exceeds `TOLERANCE`, or the shapes differ.
    """
    import torch

    from donna_hw.graph.torch_module import to_torch

    module = to_torch(graph, seed).eval()
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    images = np.random.default_rng(seed).standard_normal((batch, *graph.input_shape), dtype=np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(images)).numpy()
    output = run_tflite(to_tflite(graph, batch, weights), images)
    if output.shape != expected.shape:
        raise FileFormatError(
            f"the output of a TensorFlow Lite file must have the shape {expected.shape}", got=output.shape
        )
    largest = max(float(np.abs(expected).max()), np.finfo(np.float32).tiny)
    deviation = float(np.abs(output - expected).max() / largest)
    if not deviation <= TOLERANCE:
        raise FileFormatError(
            f"a TensorFlow Lite file must not deviate from torch by more than {TOLERANCE:g}", got=f"{deviation:.2g}"
        )
    return deviation
