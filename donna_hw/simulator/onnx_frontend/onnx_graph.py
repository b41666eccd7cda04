"""Net: an ONNX model as plain Python: its operators, shapes and element types, and which of its tensors are constants."""

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
FLOAT_TYPES = frozenset(
    {1, 10, 11, 16}
)  # float, float16, double, bfloat16: one precision to the simulator, the hardware's


@dataclass
class OnnxOp:
    """An operator. op_type: as the model says; rule: the standard operator that it is costed like; biases: elements folded into it.

    named: whether the model gave the name.
    """

    name: str
    op_type: str
    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, onnx.AttributeProto] = field(default_factory=dict)
    biases: int = 0
    is_named: bool = True

    def input(self, place: int) -> str:
        """Return the name of an input that the operator cannot do without."""
        if place >= len(self.inputs) or not self.inputs[place]:
            raise FileFormatError(f"the operator {self.op_type} must have {place + 1} inputs or more", got=self.name)
        return self.inputs[place]

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
        """Return a text attribute, "" when it is not there."""
        return self.attributes[attribute].s.decode(errors="replace") if attribute in self.attributes else ""


@dataclass
class OnnxGraph:
    """A model whose constant parts are gone from `ops`; `scalar` reads a constant of one element. free: operators that cost nothing."""

    ops: list[OnnxOp]
    shapes: dict[str, Shape]
    element_types: Mapping[str, int]
    constants: set[str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scalar: Callable[[str], float | None]
    free_ops: list[str]

    def shape(self, name: str, op: OnnxOp) -> Shape:
        """Return a tensor's shape. Raises `ConfigError` when it is unknown, `FileFormatError` when it holds nothing, or too much."""
        if name not in self.shapes:
            raise ConfigError(
                f"every tensor must have a fixed shape; onnx's shape inference found none for {name!r}",
                got=f"{op.op_type} {op.name}",
                hint="fix the inputs with --input-shape NAME=1,3,224,224, simplify the model (onnxsim), or export it with its shapes",
            )
        shape = self.shapes[name]
        if not 1 <= prod(shape) <= MAX_ELEMENTS:
            raise FileFormatError(
                f"a tensor must have 1 to 2**40 elements: {name!r} of {op.op_type} {op.name}", got=list(shape)
            )
        return shape

    def elements(self, name: str, op: OnnxOp) -> int:
        """Return a tensor's number of elements."""
        return prod(self.shape(name, op))

    def activations(self, op: OnnxOp) -> tuple[str, ...]:
        """Return an operator's inputs that are neither constants nor left out, each once."""
        return tuple(dict.fromkeys(name for name in op.inputs if name and name not in self.constants))

    def precision(self, name: str) -> str:
        """Return the precision that a tensor's element type says, "" for floats and for what counts or accumulates."""
        return PRECISIONS.get(self.element_types.get(name, 0), "")

    def consumers(self) -> dict[str, list[int]]:
        """Return the places in `ops` of those that read a tensor."""
        found: dict[str, list[int]] = {}
        for place, op in enumerate(self.ops):
            for name in dict.fromkeys(op.inputs):
                found.setdefault(name, []).append(place)
        return found

    def producers(self) -> dict[str, int]:
        """Return the place in `ops` of the one that writes a tensor."""
        return {name: place for place, op in enumerate(self.ops) for name in op.outputs}


def split_words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


def attributes_by_name(node: Any) -> dict[str, Any]:
    """Return a node's attributes by name."""
    return {attribute.name: attribute for attribute in node.attribute}
