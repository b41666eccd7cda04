"""Build a workload: rules add nodes and views, and tensors get their index, channels and precision."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from donna_hw.errors import FileFormatError
from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxGraph, OnnxOp, Shape
from donna_hw.simulator.onnx_frontend.quantized import QuantizedGraph
from donna_hw.simulator.workload import Geometry, Node, Tensor, Workload

MAX_WORK = 2**62
MAP_OPS = frozenset(
    {"Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MaxPool", "AveragePool", "BatchNormalization"}
)
TOKEN_OPS = frozenset(
    {"MatMul", "MatMulInteger", "QLinearMatMul", "LayerNormalization", "RMSNormalization", "Attention"}
)


class WorkloadBuilder:
    """A workload under construction: its nodes and tensors, and the index of each tensor of the graph."""

    def __init__(self, graph: OnnxGraph, quantized: QuantizedGraph) -> None:
        self.graph, self.quantized = graph, quantized
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []
        self.unknown_ops: list[str] = []
        self._tensor_indices: dict[str, int] = {}
        # The output of a DequantizeLinear, for operators that read it as floats.
        self._float_indices: dict[str, int] = {}
        self._maps = {name for op in graph.ops if op.rule in MAP_OPS for name in (*op.inputs[:1], *op.outputs[:1])}
        self._tokens = {name for op in graph.ops if op.rule in TOKEN_OPS for name in (*op.inputs[:3], *op.outputs[:1])}
        for name in graph.inputs:
            self._add_tensor(name, graph.shape(name, OnnxOp(name, "input", "", (), ())), graph.precision(name))

    def build(self) -> Workload:
        """Return the workload, without outputs that are constants."""
        outputs = tuple(
            self._float_indices.get(name, self._tensor_indices[name])
            for name in self.graph.outputs
            if name in self._tensor_indices
        )
        inputs = tuple(self._tensor_indices[name] for name in self.graph.inputs)
        return Workload(
            tuple(self.tensors), tuple(self.nodes), inputs, outputs, tuple(self.unknown_ops), tuple(self.graph.free_ops)
        )

    def add_view(self, op: OnnxOp) -> None:
        """Make an operator's first output the same tensor as its first activation."""
        source, target = self.graph.activations(op)[0], op.outputs[0]
        if source not in self._tensor_indices:
            raise FileFormatError(f"{op.op_type} {op.name} reads a tensor that no operator writes", got=source)
        self._tensor_indices[target] = self._tensor_indices[source]
        if source in self._float_indices:
            self._float_indices[target] = self._float_indices[source]
        self.graph.free_ops.append(op.name)

    def add_array_node(
        self,
        op: OnnxOp,
        geometry: Geometry,
        inputs: Sequence[str],
        *,
        weights: int = 0,
        biases: int = 0,
        output: Shape | None = None,
    ) -> None:
        """Add a product.

        Args:
            op: The operator.
            geometry: The product.
            inputs: Names of the tensors that it reads: the map first, then computed weights and a computed bias.
            weights: Elements of constant weights; 0 if the second of `inputs` is the weights.
            biases: Elements of a constant bias.
            output: Shape of an output that is not in the model.
        """
        if min(geometry) < 1 or geometry.macs > MAX_WORK:
            raise FileFormatError(
                f"{op.op_type} {op.name} must have 1 to 2**62 multiply-accumulates, and no dimension of 0",
                got=list(geometry),
            )
        numbers = tuple(self._tensor_index(op, name) for name in inputs)
        self._add_node("array", "", op, numbers, (0, output), geometry=geometry, weights=weights, biases=biases)

    def add_vector_node(
        self,
        op: OnnxOp,
        function: str,
        inputs: Sequence[str] | None = None,
        *,
        work: int | None = None,
        elementwise: bool = False,
        output: Shape | None = None,
    ) -> None:
        """Add a function of the vector unit.

        Args:
            op: The operator.
            function: The key of its cost.
            inputs: Names of the tensors that it reads; by default the operator's activations.
            work: Elements that it processes; by default those of the output.
            elementwise: Whether it is elementwise if the shapes agree.
            output: Shape of an output that is not in the model.
        """
        shape = output or self.graph.shape(op.outputs[0], op)
        names = list(inputs if inputs is not None else self.graph.activations(op))
        names.sort(key=lambda name: self.graph.shapes.get(name) != shape)
        elementwise = elementwise and bool(names) and self.graph.shapes.get(names[0]) == shape
        numbers = tuple(self._tensor_index(op, name) for name in names)
        channels = self.tensors[numbers[0]].channels if elementwise or (output and numbers) else 0
        self._add_node(
            "vector",
            function,
            op,
            numbers,
            (channels, output),
            work=prod(shape) if work is None else work,
            elementwise=elementwise,
        )

    def add_unknown_node(self, op: OnnxOp) -> None:
        """Add an operator without a rule, at the cost of moving all that it reads and writes."""
        read = sum(prod(self.graph.shapes.get(name, ())) for name in dict.fromkeys(op.inputs) if name)
        work = read + sum(self.graph.elements(name, op) for name in op.outputs)
        self.add_vector_node(op, "unknown", work=work)
        self.unknown_ops.append(op.name if op.is_named else op.op_type)

    def add_quantize(self, op: OnnxOp) -> None:
        """Add a QuantizeLinear, which is free if its input is already computed in integers, and else a node."""
        source, target = op.input(0), op.outputs[0]
        precision = self.graph.precision(target)
        if self.tensors[self._tensor_index(op, source, quantized=True)].precision == precision:
            self.add_view(op)
            self._float_indices.pop(target, None)
        else:
            self.add_vector_node(op, "quantize", [source], elementwise=True)

    def add_dequantize(self, op: OnnxOp) -> None:
        """Add a DequantizeLinear, which is free for operators that read integers, and a node for those that read floats."""
        source, target = op.input(0), op.outputs[0]
        if self.quantized.needs_float(target):
            self.add_vector_node(op, "dequantize", [source], elementwise=True)
            self._float_indices[target] = self._tensor_indices[target]
            self._tensor_indices[target] = self._tensor_indices[source]
        else:
            self.add_view(op)

    def _add_node(
        self,
        kind: str,
        function: str,
        op: OnnxOp,
        inputs: tuple[int, ...],
        output: tuple[int, Shape | None],
        **fields: object,
    ) -> None:
        channels, shape = output
        precision = self.quantized.op_precision(op) or self._int_precision(op)
        for name in op.outputs:
            if name in self.graph.shapes or shape is not None or name == op.outputs[0]:
                channels = channels or (shape[-1] if shape else 0)
                tensor_shape = shape or self.graph.shape(name, op)
                tensor_precision = self.quantized.precisions.get(name) or self.graph.precision(name)
                self._add_tensor(name, tensor_shape, tensor_precision, channels)
        numbers = tuple(self._tensor_indices[name] for name in op.outputs if name in self._tensor_indices)
        node = Node(kind, function, op.name, op.op_type, inputs, numbers, precision=precision, **fields)  # type: ignore[arg-type]
        self.nodes.append(node)

    def _int_precision(self, op: OnnxOp) -> str:
        """Return the precision of an operator of integers by its name, such as ConvInteger and QLinearAdd, else ""."""
        is_integer = op.op_type.endswith("Integer") or op.op_type.startswith(("QLinear", "QGemm"))
        return self.graph.precision(op.inputs[0]) if is_integer and op.inputs else ""

    def _tensor_index(self, op: OnnxOp, name: str, quantized: bool = False) -> int:
        if name not in self._tensor_indices:
            raise FileFormatError(f"{op.op_type} {op.name} reads a tensor that no operator writes", got=name)
        if quantized or self.quantized.op_precision(op) or name not in self._float_indices:
            return self._tensor_indices[name]
        return self._float_indices[name]

    def _add_tensor(self, name: str, shape: Shape, precision: str, channels: int = 0) -> None:
        self._tensor_indices[name] = len(self.tensors)
        if not channels:
            if not shape:
                channels = 1
            elif name in self._maps and len(shape) > 2:
                channels = shape[1]
            else:
                channels = shape[1] if len(shape) > 3 and name not in self._tokens else shape[-1]
        self.tensors.append(Tensor(prod(shape), channels, precision))
