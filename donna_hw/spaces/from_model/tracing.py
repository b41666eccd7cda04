"""A torch model as a graph of its operations (torch.fx), and the places where it can be cut in two."""

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
    """Keeps torch's own layers whole, and every kind of batch-norm: a traced one would forget to learn its statistics."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) or isinstance(m, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True)
class TracedModel:
    """A model and its operations in their order, each with the shape of its output in `meta`."""

    model: nn.Module
    graph: fx.Graph

    @property
    def nodes(self) -> list[fx.Node]:
        """All operations but the return."""
        return [node for node in self.graph.nodes if node.op != "output"]

    @cached_property
    def input_node(self) -> fx.Node:
        """The model's input."""
        return next(node for node in self.nodes if node.op == "placeholder")

    @cached_property
    def output_node(self) -> fx.Node:
        """The operation whose output the model returns."""
        found: list[fx.Node] = next(node for node in self.graph.nodes if node.op == "output").all_input_nodes
        return found[0]

    @cached_property
    def cut_points(self) -> dict[str, fx.Node]:
        """The operations after which one tensor alone goes on, in their order, by name: the module that ends there, or the operation."""
        found: dict[str, fx.Node] = {}
        for node in self.nodes:
            if node is self.input_node or node_shape(node) is None or self.output_node not in self._descendants(node):
                continue
            if not self.crossing_edges(node):
                found[self._boundary_name(node)] = node
        return found

    def ancestors(self, node: fx.Node) -> set[fx.Node]:
        """Return the operation and all that it needs."""
        found, todo = set(), [node]
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo += one.all_input_nodes
        return found

    def crossing_edges(self, node: fx.Node) -> list[tuple[fx.Node, fx.Node]]:
        """Return what would cross a border after `node` beside its own output, and who reads it there."""
        before = self.ancestors(node)
        return [
            (one, reader)
            for one in self.nodes
            if one in before and one is not node and one.op != "get_attr"
            for reader in one.users
            if reader not in before
        ]

    def boundary_node(self, name: str) -> fx.Node:
        """Return where a border of that name lies, a module's path or an operation's name.

        Raises `UnknownNameError`, and `ConfigError` with the place where something else crosses it.
        """
        node = self._find_node(name)
        crossing = self.crossing_edges(node)
        if crossing:
            one, reader = crossing[0]
            raise ConfigError(
                f"the boundary {name} must be crossed by its own output alone",
                got=f"{_describe_node(one)} is read behind it by {_describe_node(reader)}",
                hint=f"cut at one of {', '.join(self.cut_points)}",
            )
        if node not in self.cut_points.values():
            raise ConfigError(
                f"the boundary {name} must lie between the input and the output, and be one tensor",
                got=str(node_shape(node) or "no tensor"),
                hint=f"cut at one of {', '.join(self.cut_points)}",
            )
        return node

    def _find_node(self, name: str) -> fx.Node:
        inside = [node for node in self.nodes if name in _module_paths(node)]
        if not inside:
            inside = [node for node in self.nodes if node.name == name]
        if not inside:
            raise UnknownNameError(
                "a boundary must be a module or an operation", got=name, choices=list(self.cut_points)
            )
        ends = [node for node in inside if any(user not in inside for user in node.users)]
        if len(ends) != 1:
            raise ConfigError(
                f"the boundary {name} must have one output",
                got=", ".join(node.name for node in ends) or "none that is read",
                hint=f"cut at one of {', '.join(self.cut_points)}",
            )
        return ends[0]

    def _boundary_name(self, node: fx.Node) -> str:
        """Return the outermost module whose only output the operation is, else the operation's own name."""
        for path in _module_paths(node):
            inside = [one for one in self.nodes if path in _module_paths(one)]
            if [one for one in inside if any(user not in inside for user in one.users)] == [node]:
                return path
        return node.name

    def _descendants(self, node: fx.Node) -> set[fx.Node]:
        found, todo = set(), [node]
        while todo:
            one = todo.pop()
            for user in one.users:
                if user not in found:
                    found.add(user)
                    todo.append(user)
        return found


def trace_model(model: nn.Module, example: Tensor) -> TracedModel:
    """Return a model's operations, traced in evaluation mode; the model's modes are put back.

    example: its input, [batch, ...]. Raises `ConfigError` when torch.fx cannot trace it, as where a branch depends on values, or it has
    several inputs or outputs.
    """
    modes = [(part, part.training) for part in model.modules()]
    try:
        whole = fx.GraphModule(model, _Tracer().trace(model.eval()))
        graph = whole.graph
        graph.eliminate_dead_code()
        with torch.no_grad():
            ShapeProp(whole).propagate(example)
    except Exception as error:  # whatever a user's model raises
        raise ConfigError(
            f"torch.fx must be able to trace {type(model).__name__} and torch to run it on {tuple(example.shape)}",
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
    """Return the shape of an operation's output for one image; None where it is no single tensor."""
    shape = getattr(node.meta.get("tensor_meta"), "shape", None)  # of several tensors it is a tuple of such
    return tuple(int(size) for size in shape[1:]) if isinstance(shape, torch.Size) else None


def find_stage_ends(found: TracedModel) -> Iterator[str]:
    """Yield the boundaries to propose: of the maps of every size of more than one pixel, the last place to cut."""
    ends: dict[Sequence[int], str] = {}
    for name, node in found.cut_points.items():
        shape: Any = node_shape(node)
        if len(shape) == 3 and shape[1] * shape[2] > 1:
            ends[shape[1:]] = name
    yield from ends.values()


def _module_paths(node: fx.Node) -> tuple[str, ...]:
    """Return the paths of the modules that an operation lies in, the outermost first."""
    return tuple(path for path in node.meta.get("nn_module_stack", {}) if path)


def _describe_node(node: fx.Node) -> str:
    path = _module_paths(node)
    return f"{node.name} in {path[-1]}" if path else node.name
