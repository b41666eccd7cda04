"""A TensorFlow Lite file being drawn: tensors by name and operators in order, packed by the schema that comes with LiteRT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from donna_hw.errors import UnavailableError
from donna_hw.graph.graph import INPUT, Layer

SCHEMA_VERSION = 3  # of the schema
ALIGNMENT = 16  # bytes, of what a buffer holds, as the schema asks
MAX_DEPRECATED_CODE = 127  # operators from here on have their number in a later field, this one in the old field


def load_schema() -> Any:
    """Return the module that names the file's parts; raises `UnavailableError` without the packages."""
    try:
        import flatbuffers  # noqa: F401  needed by the schema
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise UnavailableError(
            "writing TensorFlow Lite files needs its packages", got=str(error), hint="pip install 'donna-hw[android]'"
        ) from None
    return schema_py_generated


@dataclass
class TfliteBuilder:
    """The file being drawn: tensors by name, operators in order."""

    schema: Any
    batch: int
    layers: dict[str, Layer]
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    tensor_indices: dict[str, int] = field(default_factory=dict)

    def tensor(self, name: str, shape: tuple[int, ...], values: np.ndarray | None = None) -> int:
        """Add a tensor, with values if it is a constant, and return its number."""
        if not self.buffers:
            self.buffers.append(self.schema.BufferT())  # the first is empty, for tensors without values
        found = self.schema.TensorT()
        found.shape, found.name = np.array(shape, np.int32), name.encode()
        found.type = self.schema.TensorType.FLOAT32
        found.buffer = 0
        if values is not None:
            if values.dtype == np.int32:
                found.type = self.schema.TensorType.INT32
            found.buffer = len(self.buffers)
            self.buffers.append(_aligned_buffer(self.schema, values))
        self.tensor_indices[name] = len(self.tensors)
        self.tensors.append(found)
        return self.tensor_indices[name]

    def operator(self, kind: str, inputs: list[int], output: int, options: Any = None) -> None:
        """Add an operator of a kind by its name in the schema."""
        one = self.schema.OperatorT()
        one.opcodeIndex = self.codes.setdefault(kind, len(self.codes))
        one.inputs, one.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        if options is not None:
            one.builtinOptionsType = getattr(self.schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            one.builtinOptions = options
        self.operators.append(one)

    def serialize(self, output: str) -> bytes:
        """Return the file."""
        import flatbuffers

        graph, model = self.schema.SubGraphT(), self.schema.ModelT()
        graph.tensors, graph.operators, graph.name = self.tensors, self.operators, b"block"
        graph.inputs = np.array([self.tensor_indices[INPUT]], np.int32)
        graph.outputs = np.array([self.tensor_indices[output]], np.int32)
        model.version, model.description = SCHEMA_VERSION, b"donna_hw"
        model.subgraphs, model.buffers, model.operatorCodes = [graph], self.buffers, []
        for kind in self.codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode, code.version = getattr(self.schema.BuiltinOperator, kind), 1
            code.deprecatedBuiltinCode = min(code.builtinCode, MAX_DEPRECATED_CODE)
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def _aligned_buffer(schema: Any, values: np.ndarray) -> Any:
    """Return a buffer whose bytes begin at a multiple of 16, which the schema's own packing does not see to."""

    class Buffer(schema.BufferT):  # type: ignore[misc]
        def Pack(self, builder: Any) -> int:  # noqa: N802  the schema's name
            data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
            builder.StartVector(1, len(data), ALIGNMENT)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            place = builder.EndVector()
            schema.BufferStart(builder)
            schema.BufferAddData(builder, place)
            return int(schema.BufferEnd(builder))

    return Buffer()
