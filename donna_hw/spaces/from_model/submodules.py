"""A part of a traced model as one layer: before, between or after its boundaries."""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from torch import fx, nn

from donna_hw.graph.builder import GraphBuilder
from donna_hw.graph.graph import Shape
from donna_hw.graph.torch_layer import count_macs_and_params, infer_output_shape
from donna_hw.spaces.from_model.tracing import TracedModel

ORIGINAL = "original"


@dataclass(frozen=True)
class SubmoduleSpec:
    """What a part of a model computes on an input of one shape; equal specs have the same operations, in order, on equal layers."""

    key: str
    in_shape: Shape
    module: fx.GraphModule = field(compare=False, repr=False)

    def build(self) -> nn.Module:
        """Return a copy with new random weights in the layers that have `reset_parameters`."""
        module = copy.deepcopy(self.module)
        for layer in module.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
        return module

    @cached_property
    def out_shape(self) -> Shape:
        """Shape of the output for one image."""
        return infer_output_shape(self.module, self.in_shape)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self._counts[0]

    @cached_property
    def params(self) -> int:
        """Trainable parameters."""
        return self._counts[1]

    @cached_property
    def _counts(self) -> tuple[int, int]:
        return count_macs_and_params(self.module, self.in_shape)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as bytes: torch would send the tensors through shared memory, which only its own child processes can read."""
        return _unpickle, (self.key, self.in_shape, pickle.dumps(self.module))


def _unpickle(key: str, in_shape: Shape, part: bytes) -> SubmoduleSpec:
    return SubmoduleSpec(key, in_shape, pickle.loads(part))  # noqa: S301  written by this program for a process that it started


@dataclass(frozen=True)
class SubmoduleBlock:
    """A part of a user's model as a block of one layer, named `original`."""

    spec: SubmoduleSpec

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the layer; images of another size go through the same operations."""
        shape = builder.shape(x)
        spec = self.spec if shape == self.spec.in_shape else replace(self.spec, in_shape=shape)
        return builder.module(x, spec, spec.out_shape, name=ORIGINAL)


def extract_submodule(traced: TracedModel, start: fx.Node, end: fx.Node, in_shape: Shape) -> SubmoduleBlock:
    """Extract what a model computes between two operations.

    Args:
        traced: The model.
        start: The operation whose output is the part's input.
        end: The operation whose output is the part's output.
        in_shape: Shape of the part's input for one image.

    Returns:
        The part, with copies of its weights.
    """
    inside = (
        traced.ancestors(end) - traced.ancestors(start)
        if start is not traced.input_node
        else traced.ancestors(end) - {start}
    )
    constants = [node for node in traced.nodes if node.op == "get_attr" and set(node.users) & inside]
    nodes = [node for node in traced.nodes if node in inside or node in constants]
    graph = fx.Graph()
    copies = {start: graph.placeholder("x")}
    for node in nodes:
        copies[node] = graph.node_copy(node, lambda argument: copies[argument])
    graph.output(copies[end])
    module = copy.deepcopy(fx.GraphModule(traced.model, graph)).eval()
    return SubmoduleBlock(SubmoduleSpec(_fingerprint(module, nodes), in_shape, module))


def _fingerprint(module: fx.GraphModule, nodes: Sequence[fx.Node]) -> str:
    """Return what identifies the function of a part, independent of its weights and of the names of its layers."""
    numbers = {node: number for number, node in enumerate(nodes)}

    def to_number(value: object) -> object:
        return f"#{numbers.get(value, 'x')}" if isinstance(value, fx.Node) else value

    lines = []
    for node in nodes:
        target = repr(module.get_submodule(str(node.target))) if node.op == "call_module" else str(node.target)
        if node.op == "get_attr":
            *path, last = str(node.target).split(".")
            target = str(tuple(getattr(module.get_submodule(".".join(path)), last).shape))
        if node.op == "call_function":
            target = f"{getattr(node.target, '__module__', '')}.{getattr(node.target, '__name__', node.target)}"
        args, kwargs = (fx.map_arg(value, to_number) for value in (node.args, node.kwargs))  # type: ignore[arg-type]
        lines.append(f"{node.op} {target} {args} {kwargs}")
    return f"{ORIGINAL} {hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:24]}"
