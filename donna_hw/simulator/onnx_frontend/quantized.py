"""Quantised: which operators a model runs in integers, found from the QuantizeLinear and DequantizeLinear around them."""

from __future__ import annotations

from collections.abc import Set

from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxGraph, OnnxOp
from donna_hw.simulator.onnx_frontend.views import is_view

Q, DQ = "QuantizeLinear", "DequantizeLinear"


class QuantizedGraph:
    """The integer part of a net: `precision` of each operator in it, by its name's first output.

    products, functions: operators whose activation function may come before the QuantizeLinear, and those functions.
    """

    def __init__(self, net: OnnxGraph, products: Set[str], functions: Set[str]) -> None:
        self._net, self._consumers, self._functions = net, net.consumers(), functions
        self.views = {op.outputs[0] for op in net.ops if op.outputs and is_view(net, op)}
        self._quantized_tensors = self._find_quantized_tensors() if any(op.rule == Q for op in net.ops) else {}
        self.precisions: dict[str, str] = {}
        fed: set[str] = set()
        for op in net.ops if self._quantized_tensors else ():
            inputs = net.activations(op)
            if op.rule == DQ:
                fed.update(op.outputs)
            elif op.rule != Q and inputs and fed.issuperset(inputs) and op.outputs:
                if all(name in self._quantized_tensors for name in op.outputs):
                    self.precisions |= {name: self._quantized_tensors[name] for name in op.outputs}
                    if op.rule in products or op.outputs[0] in self.views:
                        fed.update(op.outputs)
                elif op.outputs[0] in self.views:
                    fed.update(op.outputs)

    def op_precision(self, op: OnnxOp) -> str:
        """Return the precision of an operator that the model quantises, else ""."""
        return self.precisions.get(op.outputs[0], "") if op.outputs else ""

    def needs_float(self, name: str) -> bool:
        """Whether something reads the tensor `name`, out of a DequantizeLinear, as a float."""
        names = [name]
        while names:
            name = names.pop()
            if name in self._net.outputs:
                return True
            for op in (self._net.ops[place] for place in self._consumers.get(name, ())):
                if op.rule == Q or self.op_precision(op):
                    continue
                if not (op.outputs and op.outputs[0] in self.views):
                    return True
                names.append(op.outputs[0])
        return False

    def _find_quantized_tensors(self) -> dict[str, str]:
        """Return the tensors that end in a QuantizeLinear, at once or after an activation function, each with its precision."""
        net = self._net
        found: dict[str, str] = {}
        for op in reversed(net.ops):
            for name in op.outputs:
                ends = {self._consumer_precision(net.ops[place], found) for place in self._consumers.get(name, ())}
                if len(ends) == 1 and name not in net.outputs and (end := ends.pop()):
                    found[name] = end
        return found

    def _consumer_precision(self, op: OnnxOp, found: dict[str, str]) -> str:
        if not op.outputs:
            return ""
        if op.rule == Q:
            return self._net.precision(op.outputs[0])
        return found.get(op.outputs[0], "") if op.rule in self._functions or op.outputs[0] in self.views else ""
