"""Model: an ONNX file without its weights, its input shapes fixed and its functions inlined, ready for shape inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from donna_hw.errors import ConfigError, FileFormatError, UnknownNameError

if TYPE_CHECKING:
    import onnx

MAX_CONSTANT_ELEMENTS = 1024  # elements of a constant whose values may decide shapes or name an activation
MAX_NODES = 1_000_000
STANDARD_DOMAINS = ("", "ai.onnx")

InputShapes = Mapping[str, Sequence[int]]


def load_model(source: Path | onnx.ModelProto) -> onnx.ModelProto:
    """Return a model; weights in other files stay there. Raises `FileFormatError` for what is no ONNX model."""
    import onnx

    if isinstance(source, onnx.ModelProto):
        return source
    try:
        model = onnx.load(source, load_external_data=False)
    except OSError as error:
        raise FileFormatError("an ONNX model must be a file that can be read", got=str(source)) from error
    except Exception as error:  # the parsers of onnx's formats raise their own kinds
        raise FileFormatError(f"{source} must be an ONNX model", got=f"{type(error).__name__}: {error}") from error
    if not model.graph.node and not model.graph.output:
        raise FileFormatError(f"{source} must be an ONNX model", got="a file without operators and outputs")
    return model


def validate_names(model: onnx.ModelProto) -> None:
    """Raise `FileFormatError` for a name that is no text: protobuf hands out the bytes of a torn one."""
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
            raise FileFormatError("a name in an ONNX model must be text", got=name)


def build_skeleton(model: onnx.ModelProto, input_shapes: InputShapes, symbols: Mapping[str, int]) -> onnx.ModelProto:
    """Return the model with large constants as inputs, inputs of fixed shape, and no functions of its own.

    Shapes that the model states are left out where inference will find them, so that stale ones do no harm.
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
            raise FileFormatError("every input and constant of an ONNX model must have a name", got=name)
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
    """Return the inputs that are no constants."""
    constants = {tensor.name for tensor in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in constants]


def resolve_symbols(graph: onnx.GraphProto, given: InputShapes) -> dict[str, int]:
    """Return the sizes that given input shapes mean for the symbolic dimensions of the model; a symbol has one size in all inputs."""
    inputs = graph_inputs(graph)
    for name in given:
        if name not in (names := [value.name for value in inputs]):
            raise UnknownNameError("a shape must be given for an input of the model", got=name, choices=names)
    symbols: dict[str, int] = {}
    for value in inputs:
        if value.name in given:
            symbols.update(_resolve_input_symbols(value, given[value.name], symbols))
    return symbols


def declared_shapes(graph: onnx.GraphProto, symbols: Mapping[str, int]) -> list[onnx.ValueInfoProto]:
    """Return the shapes that a model states of its tensors, with the sizes of their symbols."""
    import onnx

    values = []
    for stated in (*graph.value_info, *graph.output):
        values.append(value := onnx.ValueInfoProto())
        value.CopyFrom(stated)
        for dim in value.type.tensor_type.shape.dim if value.type.HasField("tensor_type") else ():
            if dim.dim_param in symbols:
                dim.dim_value = symbols[dim.dim_param]
    return values


def _resolve_input_symbols(
    value: onnx.ValueInfoProto, shape: Sequence[int], known: Mapping[str, int]
) -> dict[str, int]:
    """Return the sizes that a given shape means for the input's symbolic dimensions; refuses a shape that does not fit the input's."""
    stated, rule = value.type.tensor_type.shape.dim, f"the shape given for input {value.name!r} must fit the model's"
    if not shape or any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in shape):
        raise ConfigError("an input's shape must be whole numbers of 1 or more", got=list(shape))
    if not value.type.tensor_type.HasField("shape"):
        return {}
    if len(stated) != len(shape):
        raise ConfigError(f"{rule}, {_format_shape(value)}, with as many dimensions", got=list(shape))
    found: dict[str, int] = {}
    for dim, size in zip(stated, shape, strict=True):
        limit = (
            dim.dim_value
            if dim.HasField("dim_value") and dim.dim_value > 0
            else {**known, **found}.get(dim.dim_param, size)
        )
        if limit != size:
            raise ConfigError(f"{rule}, {_format_shape(value)}", got=list(shape))
        if dim.dim_param:
            found[dim.dim_param] = size
    return found


def _fixed_input(
    value: onnx.ValueInfoProto, given: Sequence[int] | None, symbols: Mapping[str, int]
) -> onnx.ValueInfoProto:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise ConfigError(f"the input {value.name!r} must be a tensor", got=value.type.WhichOneof("value"))
    if given is not None:
        return _value_info(value.name, tensor.elem_type, given)
    sizes = [dim.dim_value if dim.HasField("dim_value") else symbols.get(dim.dim_param, 0) for dim in tensor.shape.dim]
    if not tensor.HasField("shape") or any(size < 1 for size in sizes):
        example = [size if size > 0 else 224 if place > 1 else (1, 3)[place] for place, size in enumerate(sizes)] or [
            1,
            3,
            224,
            224,
        ]
        raise ConfigError(
            f"every dimension of input {value.name!r} must be fixed",
            got=_format_shape(value),
            hint=f"say it with --input-shape {value.name}={','.join(map(str, example))} (read_onnx: input_shapes)",
        )
    return _value_info(value.name, tensor.elem_type, sizes)


def _format_shape(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return "no shape"
    return f"[{', '.join(dim.dim_param or (str(dim.dim_value) if dim.HasField('dim_value') else '?') for dim in tensor.shape.dim)}]"


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
            raise FileFormatError("a function of an ONNX model must not call itself", got=node.op_type)
        if key not in sizes:
            sizes[key] = 1 + sum(size(inner, (*callers, key)) for inner in bodies[key].node)
        return sizes[key]

    if sum(size(node, ()) for node in skeleton.graph.node) > MAX_NODES:
        raise FileFormatError(
            f"a model must have at most {MAX_NODES:,} operators once its functions are inlined", got="more"
        )
    skeleton.functions.extend(model.functions)
    try:
        return onnx.inliner.inline_local_functions(skeleton)
    except Exception as error:  # onnx's C++ raises its own kinds
        raise FileFormatError("the functions of an ONNX model must be well formed", got=str(error)) from error
