"""A torch model as a graph of its operations (torch.fx), and the boundaries at which it can be cut in two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.graph.graph import Shape


class _Tracer(fx.Tracer):
    """Does not trace into torch's own layers, nor into any batch-norm: a traced one would not update its statistics."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) or isinstance(m, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True)
class TracedModel:
    """A model and its operations in order, each with the shape of its output in `meta`."""

    model: nn.Module
    graph: fx.Graph

    @property
    def nodes(self) -> list[fx.Node]:
        """All operations except the return."""
        return [node for node in self.graph.nodes if node.op != "output"]

    @cached_property
    def input_node(self) -> fx.Node:
        """The model's input."""
        return next(node for node in self.nodes if node.op == "placeholder")

    @cached_property
    def output_node(self) -> fx.Node:
        """The operation whose output the model returns."""
        inputs: list[fx.Node] = next(node for node in self.graph.nodes if node.op == "output").all_input_nodes
        return inputs[0]

    @cached_property
    def cut_points(self) -> dict[str, fx.Node]:
        """The operations, in order, whose output alone is used afterwards, by the name of the module that ends there or their own."""
        points: dict[str, fx.Node] = {}
        for node in self.nodes:
            if node is self.input_node or node_shape(node) is None or self.output_node not in self._descendants(node):
                continue
            if not self.crossing_edges(node):
                points[self._boundary_name(node)] = node
        return points

    def ancestors(self, node: fx.Node) -> set[fx.Node]:
        """Return the operation and everything on which it depends."""
        seen, pending = set(), [node]
        while pending:
            current = pending.pop()
            if current not in seen:
                seen.add(current)
                pending += current.all_input_nodes
        return seen

    def crossing_edges(self, node: fx.Node) -> list[tuple[fx.Node, fx.Node]]:
        """Return (operation, reader) of each output, other than that of `node`, that would cross a boundary after `node`."""
        before = self.ancestors(node)
        return [
            (source, reader)
            for source in self.nodes
            if source in before and source is not node and source.op != "get_attr"
            for reader in source.users
            if reader not in before
        ]

    def boundary_node(self, name: str) -> fx.Node:
        """Return the operation at the end of a boundary, a module's path or an operation's name.

        Raises `UnknownNameError`, and `ConfigError` if something else crosses the boundary.
        """
        node = self._find_node(name)
        crossing = self.crossing_edges(node)
        if crossing:
            source, reader = crossing[0]
            raise ConfigError(
                f"only the output of the boundary {name} may cross it",
                got=f"{_describe_node(source)}, which {_describe_node(reader)} reads",
                hint=f"choose among {', '.join(self.cut_points)}",
            )
        if node not in self.cut_points.values():
            raise ConfigError(
                f"the boundary {name} must be one tensor between the input and the output",
                got=str(node_shape(node) or "no tensor"),
                hint=f"choose among {', '.join(self.cut_points)}",
            )
        return node

    def _find_node(self, name: str) -> fx.Node:
        inside = [node for node in self.nodes if name in _module_paths(node)]
        if not inside:
            inside = [node for node in self.nodes if node.name == name]
        if not inside:
            raise UnknownNameError("unknown boundary", got=name, choices=list(self.cut_points))
        ends = [node for node in inside if any(user not in inside for user in node.users)]
        if len(ends) != 1:
            raise ConfigError(
                f"the boundary {name} must have one output",
                got=", ".join(node.name for node in ends) or "none that is read",
                hint=f"choose among {', '.join(self.cut_points)}",
            )
        return ends[0]

    def _boundary_name(self, node: fx.Node) -> str:
        """Return the outermost module whose only output is that of the operation, else the operation's own name."""
        for path in _module_paths(node):
            inside = [other for other in self.nodes if path in _module_paths(other)]
            if [other for other in inside if any(user not in inside for user in other.users)] == [node]:
                return path
        return node.name

    def _descendants(self, node: fx.Node) -> set[fx.Node]:
        seen, pending = set(), [node]
        while pending:
            for user in pending.pop().users:
                if user not in seen:
                    seen.add(user)
                    pending.append(user)
        return seen


def trace_model(model: nn.Module, example: Tensor) -> TracedModel:
    """Trace a model in evaluation mode; its training modes are restored afterwards.

    Args:
        model: A model of one input and one output.
        example: An input, [batch, ...].

    Returns:
        The model's operations with their shapes.

    Raises:
        ConfigError: If torch.fx cannot trace it, for example because a branch depends on values, or it has several inputs or outputs.
    """
    modes = [(part, part.training) for part in model.modules()]
    try:
        traced = fx.GraphModule(model, _Tracer().trace(model.eval()))
        graph = traced.graph
        graph.eliminate_dead_code()
        with torch.no_grad():
            ShapeProp(traced).propagate(example)
    except Exception as error:  # whatever a user's model raises
        raise ConfigError(
            f"torch.fx cannot trace {type(model).__name__} on an input of shape {tuple(example.shape)}",
            got=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
            hint="write branches that depend on values as operations on tensors",
        ) from error
    finally:
        for part, training in modes:
            part.training = training
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    [output] = [node for node in graph.nodes if node.op == "output"]
    if len([node for node in inputs if node.users]) != 1 or not isinstance(output.args[0], fx.Node):
        raise ConfigError(
            f"{type(model).__name__} must have one input and one output",
            got=f"{len(inputs)} inputs, {len(output.all_input_nodes)} outputs",
        )
    return TracedModel(model, graph)


def node_shape(node: fx.Node) -> Shape | None:
    """Return the shape of an operation's output for one image; None if it is not a single tensor."""
    shape = getattr(node.meta.get("tensor_meta"), "shape", None)  # a tuple of shapes for several tensors
    return tuple(int(size) for size in shape[1:]) if isinstance(shape, torch.Size) else None


def find_stage_ends(traced: TracedModel) -> Iterator[str]:
    """Yield the last boundary of the maps of each size of more than one pixel."""
    ends: dict[Sequence[int], str] = {}
    for name, node in traced.cut_points.items():
        shape: Any = node_shape(node)
        if len(shape) == 3 and shape[1] * shape[2] > 1:
            ends[shape[1:]] = name
    yield from ends.values()


def _module_paths(node: fx.Node) -> tuple[str, ...]:
    """Return the paths of the modules around an operation, the outermost first."""
    return tuple(path for path in node.meta.get("nn_module_stack", {}) if path)


def _describe_node(node: fx.Node) -> str:
    path = _module_paths(node)
    return f"{node.name} in {path[-1]}" if path else node.name
