"""An ONNX model as plain Python: its operators, shapes and element types, and which of its tensors are constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from donna_hw.errors import ConfigError, FileFormatError

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]
MAX_ELEMENTS = 2**40
PRECISIONS = {2: "int8", 3: "int8", 4: "int16", 5: "int16", 9: "int8", 21: "int8", 22: "int8"}  # of TensorProto's types
FLOAT_TYPES = frozenset({1, 10, 11, 16})  # float, float16, double, bfloat16: simulated in the hardware's precision


@dataclass
class OnnxOp:
    """An operator.

    Attributes:
        name: From the model, or made of its type and position.
        op_type: Its type in the model.
        rule: The standard operator whose cost it has.
        inputs: Names of the tensors that it reads, "" for an omitted one.
        outputs: Names of the tensors that it writes.
        attributes: Its attributes by name.
        biases: Elements of a bias folded into it.
        is_named: Whether the name is from the model.
    """

    name: str
    op_type: str
    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, onnx.AttributeProto] = field(default_factory=dict)
    biases: int = 0
    is_named: bool = True

    def input(self, index: int) -> str:
        """Return the name of a required input; raises `FileFormatError` if it is missing."""
        if index >= len(self.inputs) or not self.inputs[index]:
            raise FileFormatError(
                f"{self.name}: an operator of type {self.op_type} must have at least {index + 1} inputs"
            )
        return self.inputs[index]

    def int_attribute(self, attribute: str, default: int) -> int:
        """Return an integer attribute."""
        return int(self.attributes[attribute].i) if attribute in self.attributes else default

    def ints_attribute(self, attribute: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Return an attribute of integers."""
        return tuple(self.attributes[attribute].ints) if attribute in self.attributes else default

    def float_attribute(self, attribute: str, default: float) -> float:
        """Return a float attribute."""
        return float(self.attributes[attribute].f) if attribute in self.attributes else default

    def string_attribute(self, attribute: str) -> str:
        """Return a text attribute, "" if it is absent."""
        return self.attributes[attribute].s.decode(errors="replace") if attribute in self.attributes else ""


@dataclass
class OnnxGraph:
    """A model without the operators that depend only on constants.

    Attributes:
        ops: The operators in order.
        shapes: Shapes of the tensors.
        element_types: Element types of the tensors, as numbers of ONNX.
        constants: Names of the constant tensors.
        inputs: Names of the model's inputs.
        outputs: Names of the model's outputs.
        scalar: Reads a constant of one element.
        free_ops: Names of operators that cost nothing.
    """

    ops: list[OnnxOp]
    shapes: dict[str, Shape]
    element_types: Mapping[str, int]
    constants: set[str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scalar: Callable[[str], float | None]
    free_ops: list[str]

    def shape(self, name: str, op: OnnxOp) -> Shape:
        """Return a tensor's shape. Raises `ConfigError` if it is unknown, `FileFormatError` if it has no elements, or too many."""
        if name not in self.shapes:
            raise ConfigError(
                f"the shape of tensor {name!r} of {op.op_type} {op.name} is unknown to onnx's shape inference",
                hint="fix the inputs with --input-shape NAME=1,3,224,224, simplify the model (onnxsim), or export it with its shapes",
            )
        shape = self.shapes[name]
        if not 1 <= prod(shape) <= MAX_ELEMENTS:
            raise FileFormatError(
                f"tensor {name!r} of {op.op_type} {op.name} must have 1 to 2**40 elements", got=list(shape)
            )
        return shape

    def elements(self, name: str, op: OnnxOp) -> int:
        """Return a tensor's number of elements."""
        return prod(self.shape(name, op))

    def activations(self, op: OnnxOp) -> tuple[str, ...]:
        """Return an operator's inputs that are neither constants nor omitted, each once."""
        return tuple(dict.fromkeys(name for name in op.inputs if name and name not in self.constants))

    def precision(self, name: str) -> str:
        """Return the precision of a tensor's element type, "" for floats and for indices and accumulators."""
        return PRECISIONS.get(self.element_types.get(name, 0), "")

    def consumers(self) -> dict[str, list[int]]:
        """Return {tensor: indices in `ops` of the operators that read it}."""
        consumers: dict[str, list[int]] = {}
        for index, op in enumerate(self.ops):
            for name in dict.fromkeys(op.inputs):
                consumers.setdefault(name, []).append(index)
        return consumers

    def producers(self) -> dict[str, int]:
        """Return {tensor: index in `ops` of the operator that writes it}."""
        return {name: index for index, op in enumerate(self.ops) for name in op.outputs}


def split_words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


def attributes_by_name(node: Any) -> dict[str, Any]:
    """Return a node's attributes by name."""
    return {attribute.name: attribute for attribute in node.attribute}
