"""An ONNX file without its weights, with fixed input shapes and inlined functions, ready for shape inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from donna_hw.errors import ConfigError, FileFormatError, UnknownNameError

if TYPE_CHECKING:
    import onnx

MAX_CONSTANT_ELEMENTS = 1024  # elements of a constant whose values may determine shapes or an activation
MAX_NODES = 1_000_000
STANDARD_DOMAINS = ("", "ai.onnx")

InputShapes = Mapping[str, Sequence[int]]


def load_model(source: Path | onnx.ModelProto) -> onnx.ModelProto:
    """Return a model, without the weights in other files. Raises `FileFormatError` for anything but an ONNX model."""
    import onnx

    if isinstance(source, onnx.ModelProto):
        return source
    try:
        model = onnx.load(source, load_external_data=False)
    except OSError as error:
        raise FileFormatError(f"{source}: the ONNX model cannot be read", got=str(error)) from error
    except Exception as error:  # the parsers of onnx's formats raise various kinds
        raise FileFormatError(f"{source}: not an ONNX model", got=f"{type(error).__name__}: {error}") from error
    if not model.graph.node and not model.graph.output:
        raise FileFormatError(f"{source}: not an ONNX model", got="a file without operators and outputs")
    return model


def validate_names(model: onnx.ModelProto) -> None:
    """Raise `FileFormatError` for a name that is not text: protobuf returns the bytes of a corrupt one."""
    graph = model.graph
    nodes = [*graph.node, *(node for function in model.functions for node in function.node)]
    values = [*graph.input, *graph.output, *graph.value_info]
    names: list[object] = [item.name for item in (*values, *graph.initializer, *nodes)]
    names += [name for node in nodes for name in (node.op_type, node.domain, *node.input, *node.output)]
    names += [attribute.name for node in nodes for attribute in node.attribute]
    names += [dim.dim_param for value in values for dim in value.type.tensor_type.shape.dim]
    names += [name for function in model.functions for name in (function.name, function.domain)]
    names += [sparse.values.name for sparse in graph.sparse_initializer]
    for name in names:
        if not isinstance(name, str):
            raise FileFormatError("a name in an ONNX model is not valid text", got=name)


def build_skeleton(model: onnx.ModelProto, input_shapes: InputShapes, symbols: Mapping[str, int]) -> onnx.ModelProto:
    """Return the model with large constants as inputs, inputs of fixed shape, and inlined functions.

    Shapes that the model declares are left out, so that outdated ones do no harm.

    Args:
        model: The model.
        input_shapes: Shapes of inputs by name.
        symbols: Sizes of symbolic dimensions.

    Returns:
        The skeleton, on which shape inference runs.

    Raises:
        ConfigError: If an input has an open dimension or is not a tensor.
        FileFormatError: If the model is not well formed.
    """
    import onnx

    graph = model.graph
    skeleton = onnx.ModelProto(ir_version=max(model.ir_version, 4), opset_import=model.opset_import)
    body = skeleton.graph
    body.name = "skeleton"
    body.node.extend(graph.node)
    constants = {tensor.name for tensor in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    for tensor in graph.initializer:
        if prod(tensor.dims) <= MAX_CONSTANT_ELEMENTS and not tensor.external_data:
            body.initializer.append(tensor)
        else:
            body.input.append(_value_info(tensor.name, tensor.data_type, tensor.dims))
    for sparse in graph.sparse_initializer:
        body.input.append(_value_info(sparse.values.name, sparse.values.data_type, sparse.dims))
    body.input.extend(_fixed_input(value, input_shapes.get(value.name), symbols) for value in graph_inputs(graph))
    for value in graph.output:
        body.output.append(onnx.ValueInfoProto(name=value.name))
    for name in (*constants, *(value.name for value in body.input)):
        if not name:
            raise FileFormatError("an input or constant of the ONNX model has no name")
    return _inline_functions(skeleton, model) if model.functions else skeleton


def _value_info(name: str, data_type: int, dims: Sequence[int]) -> onnx.ValueInfoProto:
    import onnx

    value = onnx.ValueInfoProto(name=name)
    value.type.tensor_type.elem_type = data_type
    for size in dims:
        value.type.tensor_type.shape.dim.add(dim_value=size)
    if not dims:
        value.type.tensor_type.shape.SetInParent()
    return value


def graph_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs that are not constants."""
    constants = {tensor.name for tensor in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in constants]


def resolve_symbols(graph: onnx.GraphProto, input_shapes: InputShapes) -> dict[str, int]:
    """Return the sizes of symbolic dimensions that follow from input shapes; a symbol has the same size in all inputs."""
    inputs = graph_inputs(graph)
    for name in input_shapes:
        if name not in (names := [value.name for value in inputs]):
            raise UnknownNameError("unknown input of the model", got=name, choices=names)
    symbols: dict[str, int] = {}
    for value in inputs:
        if value.name in input_shapes:
            symbols.update(_resolve_input_symbols(value, input_shapes[value.name], symbols))
    return symbols


def declared_shapes(graph: onnx.GraphProto, symbols: Mapping[str, int]) -> list[onnx.ValueInfoProto]:
    """Return the shapes that a model declares for its tensors, with the sizes of their symbols."""
    import onnx

    values = []
    for declared in (*graph.value_info, *graph.output):
        values.append(value := onnx.ValueInfoProto())
        value.CopyFrom(declared)
        for dim in value.type.tensor_type.shape.dim if value.type.HasField("tensor_type") else ():
            if dim.dim_param in symbols:
                dim.dim_value = symbols[dim.dim_param]
    return values


def _resolve_input_symbols(
    value: onnx.ValueInfoProto, shape: Sequence[int], known: Mapping[str, int]
) -> dict[str, int]:
    """Return the sizes of an input's symbolic dimensions for a shape; raises `ConfigError` if the shape does not fit."""
    dims = value.type.tensor_type.shape.dim
    message = f"the shape of input {value.name!r} must fit that of the model, {_format_shape(value)}"
    if not shape or any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in shape):
        raise ConfigError(f"the shape of input {value.name!r} must be whole numbers of at least 1", got=list(shape))
    if not value.type.tensor_type.HasField("shape"):
        return {}
    if len(dims) != len(shape):
        raise ConfigError(message, got=list(shape), hint="with as many dimensions")
    symbols: dict[str, int] = {}
    for dim, size in zip(dims, shape, strict=True):
        is_fixed = dim.HasField("dim_value") and dim.dim_value > 0
        expected = dim.dim_value if is_fixed else {**known, **symbols}.get(dim.dim_param, size)
        if expected != size:
            raise ConfigError(message, got=list(shape))
        if dim.dim_param:
            symbols[dim.dim_param] = size
    return symbols


def _fixed_input(
    value: onnx.ValueInfoProto, shape: Sequence[int] | None, symbols: Mapping[str, int]
) -> onnx.ValueInfoProto:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise ConfigError(f"input {value.name!r} must be a tensor", got=value.type.WhichOneof("value"))
    if shape is not None:
        return _value_info(value.name, tensor.elem_type, shape)
    sizes = [dim.dim_value if dim.HasField("dim_value") else symbols.get(dim.dim_param, 0) for dim in tensor.shape.dim]
    if not tensor.HasField("shape") or any(size < 1 for size in sizes):
        defaults = (1, 3, 224, 224)
        example = [size if size > 0 else defaults[min(axis, 3)] for axis, size in enumerate(sizes)] or defaults
        raise ConfigError(
            f"input {value.name!r} has open dimensions",
            got=_format_shape(value),
            hint=f"set them with --input-shape {value.name}={','.join(map(str, example))} (read_onnx: input_shapes)",
        )
    return _value_info(value.name, tensor.elem_type, sizes)


def _format_shape(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return "no shape"
    dims = (dim.dim_param or (str(dim.dim_value) if dim.HasField("dim_value") else "?") for dim in tensor.shape.dim)
    return f"[{', '.join(dims)}]"


def _inline_functions(skeleton: onnx.ModelProto, model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the skeleton with calls of the model's functions replaced by their bodies."""
    import onnx.inliner

    bodies = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(node: onnx.NodeProto, callers: tuple[tuple[str, str], ...]) -> int:
        key = (node.domain, node.op_type)
        if key not in bodies:
            return 1
        if key in callers or len(callers) > 100:
            raise FileFormatError("a function of the ONNX model calls itself", got=node.op_type)
        if key not in sizes:
            sizes[key] = 1 + sum(size(inner, (*callers, key)) for inner in bodies[key].node)
        return sizes[key]

    if sum(size(node, ()) for node in skeleton.graph.node) > MAX_NODES:
        raise FileFormatError(f"the ONNX model has more than {MAX_NODES:,} operators with its functions inlined")
    skeleton.functions.extend(model.functions)
    try:
        return onnx.inliner.inline_local_functions(skeleton)
    except Exception as error:  # onnx's C++ raises various kinds
        raise FileFormatError("onnx cannot inline the functions of the model", got=str(error)) from error
