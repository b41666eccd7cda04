"""Draft: a workload being written: rules add nodes and views, tensors get their numbers, channels and precision."""

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
    """The nodes and tensors found so far, and where each tensor of the net lies."""

    def __init__(self, net: OnnxGraph, quantised: QuantizedGraph) -> None:
        self.net, self.quantised = net, quantised
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []
        self.unknown: list[str] = []
        self._numbers: dict[str, int] = {}
        self._floats: dict[str, int] = {}  # the same data out of a DequantizeLinear, for those that read it as floats
        self._maps = {name for op in net.ops if op.rule in MAP_OPS for name in (*op.inputs[:1], *op.outputs[:1])}
        self._tokens = {name for op in net.ops if op.rule in TOKEN_OPS for name in (*op.inputs[:3], *op.outputs[:1])}
        for name in net.inputs:
            self._add_tensor(name, net.shape(name, OnnxOp(name, "input", "", (), ())), net.precision(name))

    def finished(self) -> Workload:
        """Return the workload; an output that is a constant is none."""
        outputs = tuple(
            self._floats.get(name, self._numbers[name]) for name in self.net.outputs if name in self._numbers
        )
        inputs = tuple(self._numbers[name] for name in self.net.inputs)
        return Workload(
            tuple(self.tensors), tuple(self.nodes), inputs, outputs, tuple(self.unknown), tuple(self.net.free)
        )

    def view(self, op: OnnxOp) -> None:
        """Let an operator's first output be its first activation's data."""
        source, target = self.net.activations(op)[0], op.outputs[0]
        if source not in self._numbers:
            raise FileFormatError("an operator must read what others write", got=f"{op.op_type} {op.name}")
        self._numbers[target] = self._numbers[source]
        if source in self._floats:
            self._floats[target] = self._floats[source]
        self.net.free.append(op.name)

    def array(
        self,
        op: OnnxOp,
        geometry: Geometry,
        inputs: Sequence[str],
        *,
        weights: int = 0,
        biases: int = 0,
        output: Shape | None = None,
    ) -> None:
        """Add a product; weights is 0 where the second of `inputs` holds them. output: the shape of one that the model has not."""
        if min(geometry) < 1 or geometry.macs > MAX_WORK:
            raise FileFormatError(
                "a product must have 1 to 2**62 multiply-accumulates, and no part of 0", got=f"{op.op_type} {op.name}"
            )
        numbers = tuple(self._number(op, name) for name in inputs)
        self._node("array", "", op, numbers, (0, output), geometry=geometry, weights=weights, biases=biases)

    def vector(
        self,
        op: OnnxOp,
        function: str,
        inputs: Sequence[str] | None = None,
        *,
        work: int | None = None,
        elementwise: bool = False,
        output: Shape | None = None,
    ) -> None:
        """Add a function of the vector unit. work: elements, by default those of the output; elementwise: if the shapes agree."""
        shape = output or self.net.shape(op.outputs[0], op)
        names = list(inputs if inputs is not None else self.net.activations(op))
        names.sort(key=lambda name: self.net.shapes.get(name) != shape)
        elementwise = elementwise and bool(names) and self.net.shapes.get(names[0]) == shape
        numbers = tuple(self._number(op, name) for name in names)
        channels = self.tensors[numbers[0]].channels if elementwise or (output and numbers) else 0
        self._node(
            "vector",
            function,
            op,
            numbers,
            (channels, output),
            work=prod(shape) if work is None else work,
            elementwise=elementwise,
        )

    def unknown_node(self, op: OnnxOp) -> None:
        """Add an operator without a rule, as data movement of all that it reads and writes."""
        read = sum(prod(self.net.shapes.get(name, ())) for name in dict.fromkeys(op.inputs) if name)
        work = read + sum(self.net.elements(name, op) for name in op.outputs)
        self.vector(op, "unknown", work=work)
        self.unknown.append(op.name if op.named else op.op_type)

    def quantize(self, op: OnnxOp) -> None:
        """Take a QuantizeLinear: free where its input is computed in integers already, else a node."""
        source, target = op.input(0), op.outputs[0]
        precision = self.net.precision(target)
        if self.tensors[self._number(op, source, quantised=True)].precision == precision:
            self.view(op)
            self._floats.pop(target, None)
        else:
            self.vector(op, "quantize", [source], elementwise=True)

    def dequantize(self, op: OnnxOp) -> None:
        """Take a DequantizeLinear: free where integers are read, and a node for what reads floats."""
        source, target = op.input(0), op.outputs[0]
        if self.quantised.needs_float(target):
            self.vector(op, "dequantize", [source], elementwise=True)
            self._floats[target] = self._numbers[target]
            self._numbers[target] = self._numbers[source]
        else:
            self.view(op)

    def _node(
        self,
        kind: str,
        function: str,
        op: OnnxOp,
        inputs: tuple[int, ...],
        made: tuple[int, Shape | None],
        **parts: object,
    ) -> None:
        channels, shape = made
        precision = self.quantised.of(op) or self._int_precision(op)
        for name in op.outputs:
            if name in self.net.shapes or shape is not None or name == op.outputs[0]:
                own = shape or self.net.shape(name, op)
                channels = channels or (shape[-1] if shape else 0)
                channels = channels or (shape[-1] if shape else 0)
                self._add_tensor(name, own, self.quantised.precision.get(name) or self.net.precision(name), channels)
        numbers = tuple(self._numbers[name] for name in op.outputs if name in self._numbers)
        self.nodes.append(Node(kind, function, op.name, op.op_type, inputs, numbers, precision=precision, **parts))  # type: ignore[arg-type]

    def _int_precision(self, op: OnnxOp) -> str:
        """Return the precision of an operator that is of integers by its name, as ConvInteger and QLinearAdd."""
        whole = op.op_type.endswith("Integer") or op.op_type.startswith(("QLinear", "QGemm"))
        return self.net.precision(op.inputs[0]) if whole and op.inputs else ""

    def _number(self, op: OnnxOp, name: str, quantised: bool = False) -> int:
        if name not in self._numbers:
            raise FileFormatError(
                "an operator must read what others write", got=f"{op.op_type} {op.name}, which reads {name}"
            )
        if quantised or self.quantised.of(op) or name not in self._floats:
            return self._numbers[name]
        return self._floats[name]

    def _add_tensor(self, name: str, shape: Shape, precision: str, channels: int = 0) -> None:
        self._numbers[name] = len(self.tensors)
        if not channels:
            if not shape:
                channels = 1
            elif name in self._maps and len(shape) > 2:
                channels = shape[1]
            else:
                channels = shape[1] if len(shape) > 3 and name not in self._tokens else shape[-1]
        self.tensors.append(Tensor(prod(shape), channels, precision))
