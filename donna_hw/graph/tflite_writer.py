"""Build a TensorFlow Lite file: tensors by name and operators in order, packed by the schema of LiteRT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from donna_hw.errors import UnavailableError
from donna_hw.graph.graph import INPUT, Layer

SCHEMA_VERSION = 3
ALIGNMENT = 16  # bytes, of the content of a buffer, as the schema requires
MAX_DEPRECATED_CODE = 127  # from here on an operator's code is in a newer field, with this number in the old one


def load_schema() -> Any:
    """Return the module with the schema of the format; raises `UnavailableError` without the packages."""
    try:
        import flatbuffers  # noqa: F401  needed by the schema
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise UnavailableError(
            "the packages that write TensorFlow Lite files are not installed",
            got=str(error),
            hint="pip install 'donna-hw[android]'",
        ) from None
    return schema_py_generated


@dataclass
class TfliteBuilder:
    """A file under construction: tensors by name, operators in order."""

    schema: Any
    batch: int
    layers: dict[str, Layer]
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    tensor_indices: dict[str, int] = field(default_factory=dict)

    def tensor(self, name: str, shape: tuple[int, ...], values: np.ndarray | None = None) -> int:
        """Add a tensor, with values if it is a constant, and return its index."""
        if not self.buffers:
            self.buffers.append(self.schema.BufferT())  # the first is empty, for tensors without values
        tensor = self.schema.TensorT()
        tensor.shape, tensor.name = np.array(shape, np.int32), name.encode()
        tensor.type = self.schema.TensorType.FLOAT32
        tensor.buffer = 0
        if values is not None:
            if values.dtype == np.int32:
                tensor.type = self.schema.TensorType.INT32
            tensor.buffer = len(self.buffers)
            self.buffers.append(_aligned_buffer(self.schema, values))
        self.tensor_indices[name] = len(self.tensors)
        self.tensors.append(tensor)
        return self.tensor_indices[name]

    def operator(self, op_type: str, inputs: list[int], output: int, options: Any = None) -> None:
        """Add an operator.

        Args:
            op_type: Its name in the schema.
            inputs: Indices of the tensors that it reads.
            output: Index of the tensor that it writes.
            options: Its options, an object of the schema.
        """
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault(op_type, len(self.codes))
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        if options is not None:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
            operator.builtinOptions = options
        self.operators.append(operator)

    def serialize(self, output: str) -> bytes:
        """Return the bytes of the file; `output` is the name of the output tensor."""
        import flatbuffers

        graph, model = self.schema.SubGraphT(), self.schema.ModelT()
        graph.tensors, graph.operators, graph.name = self.tensors, self.operators, b"block"
        graph.inputs = np.array([self.tensor_indices[INPUT]], np.int32)
        graph.outputs = np.array([self.tensor_indices[output]], np.int32)
        model.version, model.description = SCHEMA_VERSION, b"donna_hw"
        model.subgraphs, model.buffers, model.operatorCodes = [graph], self.buffers, []
        for op_type in self.codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode, code.version = getattr(self.schema.BuiltinOperator, op_type), 1
            code.deprecatedBuiltinCode = min(code.builtinCode, MAX_DEPRECATED_CODE)
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def _aligned_buffer(schema: Any, values: np.ndarray) -> Any:
    """Return a buffer whose bytes begin at a multiple of 16, which the schema's own packing does not ensure."""

    class Buffer(schema.BufferT):  # type: ignore[misc]
        def Pack(self, builder: Any) -> int:  # noqa: N802  the schema's name
            data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
            builder.StartVector(1, len(data), ALIGNMENT)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            offset = builder.EndVector()
            schema.BufferStart(builder)
            schema.BufferAddData(builder, offset)
            return int(schema.BufferEnd(builder))

    return Buffer()
