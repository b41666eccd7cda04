"""Which operators a model runs in integers, from the QuantizeLinear and DequantizeLinear around them."""

from __future__ import annotations

from collections.abc import Set

from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxGraph, OnnxOp
from donna_hw.simulator.onnx_frontend.views import is_view

Q, DQ = "QuantizeLinear", "DequantizeLinear"


class QuantizedGraph:
    """The integer part of a model.

    Args:
        graph: The model.
        products: Operators whose activation function may come before the QuantizeLinear.
        functions: Those activation functions.

    Attributes:
        precisions: Precision of each operator that runs in integers, by its outputs.
        views: First outputs of the views.
    """

    def __init__(self, graph: OnnxGraph, products: Set[str], functions: Set[str]) -> None:
        self._graph, self._consumers, self._functions = graph, graph.consumers(), functions
        self.views = {op.outputs[0] for op in graph.ops if op.outputs and is_view(graph, op)}
        self._quantized_tensors = self._find_quantized_tensors() if any(op.rule == Q for op in graph.ops) else {}
        self.precisions: dict[str, str] = {}
        dequantized: set[str] = set()
        for op in graph.ops if self._quantized_tensors else ():
            inputs = graph.activations(op)
            if op.rule == DQ:
                dequantized.update(op.outputs)
            elif op.rule != Q and inputs and dequantized.issuperset(inputs) and op.outputs:
                if all(name in self._quantized_tensors for name in op.outputs):
                    self.precisions |= {name: self._quantized_tensors[name] for name in op.outputs}
                    if op.rule in products or op.outputs[0] in self.views:
                        dequantized.update(op.outputs)
                elif op.outputs[0] in self.views:
                    dequantized.update(op.outputs)

    def op_precision(self, op: OnnxOp) -> str:
        """Return the precision of an operator that the model quantizes, else ""."""
        return self.precisions.get(op.outputs[0], "") if op.outputs else ""

    def needs_float(self, name: str) -> bool:
        """Whether anything reads the tensor `name`, the output of a DequantizeLinear, as a float."""
        names = [name]
        while names:
            name = names.pop()
            if name in self._graph.outputs:
                return True
            for op in (self._graph.ops[index] for index in self._consumers.get(name, ())):
                if op.rule == Q or self.op_precision(op):
                    continue
                if not (op.outputs and op.outputs[0] in self.views):
                    return True
                names.append(op.outputs[0])
        return False

    def _find_quantized_tensors(self) -> dict[str, str]:
        """Return {tensor: precision} of the tensors that reach a QuantizeLinear, directly or through an activation function."""
        graph = self._graph
        precisions: dict[str, str] = {}
        for op in reversed(graph.ops):
            for name in op.outputs:
                consumers = [graph.ops[index] for index in self._consumers.get(name, ())]
                results = {self._consumer_precision(consumer, precisions) for consumer in consumers}
                if len(results) == 1 and name not in graph.outputs and (precision := results.pop()):
                    precisions[name] = precision
        return precisions

    def _consumer_precision(self, op: OnnxOp, precisions: dict[str, str]) -> str:
        if not op.outputs:
            return ""
        if op.rule == Q:
            return self._graph.precision(op.outputs[0])
        return precisions.get(op.outputs[0], "") if op.rule in self._functions or op.outputs[0] in self.views else ""
