"""A part of a traced model as one layer: what stands before, between and after the borders of its stages."""

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
    """What a part of a model computes on an input of one shape; equal ones have the same operations, in the same order, on layers alike."""

    key: str
    in_shape: Shape
    module: fx.GraphModule = field(compare=False, repr=False)

    def build(self) -> nn.Module:
        """Return a copy with new random weights, where its layers know how to draw them."""
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
        """Go to another process as bytes: torch would send its tensors through shared memory, for its own children alone."""
        return _unpickle, (self.key, self.in_shape, pickle.dumps(self.module))


def _unpickle(key: str, in_shape: Shape, part: bytes) -> SubmoduleSpec:
    return SubmoduleSpec(key, in_shape, pickle.loads(part))  # noqa: S301  written by this program, for a process that it started


@dataclass(frozen=True)
class SubmoduleBlock:
    """A part of a user's model as a block of one layer, named `own`."""

    spec: SubmoduleSpec

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the one layer; on images of another size it is what the same operations give there."""
        made = self.spec if builder.shape(x) == self.spec.in_shape else replace(self.spec, in_shape=builder.shape(x))
        return builder.module(x, made, made.out_shape, name=ORIGINAL)


def extract_submodule(found: TracedModel, start: fx.Node, end: fx.Node, in_shape: Shape) -> SubmoduleBlock:
    """Return what a model computes from the output of `start` to that of `end`, with copies of its weights."""
    inside = (
        found.ancestors(end) - found.ancestors(start)
        if start is not found.input_node
        else found.ancestors(end) - {start}
    )
    constants = [node for node in found.nodes if node.op == "get_attr" and set(node.users) & inside]
    chosen = [node for node in found.nodes if node in inside or node in constants]
    graph = fx.Graph()
    copies = {start: graph.placeholder("x")}
    for node in chosen:
        copies[node] = graph.node_copy(node, lambda one: copies[one])
    graph.output(copies[end])
    module = copy.deepcopy(fx.GraphModule(found.model, graph)).eval()
    return SubmoduleBlock(SubmoduleSpec(_fingerprint(module, chosen), in_shape, module))


def _fingerprint(module: fx.GraphModule, nodes: Sequence[fx.Node]) -> str:
    """Return what names the function of a part, whatever its weights and the names of its layers."""
    numbers = {node: number for number, node in enumerate(nodes)}

    def numbered(value: object) -> object:
        return f"#{numbers.get(value, 'x')}" if isinstance(value, fx.Node) else value

    lines = []
    for node in nodes:
        target = repr(module.get_submodule(str(node.target))) if node.op == "call_module" else str(node.target)
        if node.op == "get_attr":
            *path, last = str(node.target).split(".")
            target = str(tuple(getattr(module.get_submodule(".".join(path)), last).shape))
        if node.op == "call_function":
            target = f"{getattr(node.target, '__module__', '')}.{getattr(node.target, '__name__', node.target)}"
        lines.append(f"{node.op} {target} {fx.map_arg(node.args, numbered)} {fx.map_arg(node.kwargs, numbered)}")  # type: ignore[arg-type]
    return f"{ORIGINAL} {hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:24]}"
