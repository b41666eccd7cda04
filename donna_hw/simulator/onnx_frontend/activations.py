"""Activation functions that exporters write as several operators, recognized by what they compute.

A group of elementwise operators that depends on one tensor, and of which only the last one's output is used outside, is evaluated at
some points and compared with the known functions. The order of its operators and the form of its constants therefore do not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from heapq import heapify, heappop, heappush
from math import erf
from typing import Any

import numpy as np

from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxGraph, OnnxOp

POINTS = np.concatenate([np.linspace(-8, 8, 65), [-30.0, -12.0, 12.0, 30.0]])
TOLERANCE = (
    2e-3  # of the output: constants may be rounded to 16 bits; the functions differ by at least ten times as much
)
MAX_GROUP_SIZE = 12

Values = Any  # numpy's arrays of floats


def _erf(x: Values) -> Values:
    return np.array([erf(value) for value in np.broadcast_to(x, POINTS.shape)])


def _sigmoid(x: Values) -> Values:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Values) -> Values:
    return np.logaddexp(0, x)


def _gelu(x: Values) -> Values:
    return x * (1 + _erf(x / np.sqrt(2))) / 2


UNARY_FUNCTIONS: dict[str, Callable[[Values], Values]] = {
    "Abs": np.abs,
    "Erf": _erf,
    "Exp": np.exp,
    "Log": np.log,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": _sigmoid,
    "Softplus": _softplus,
    "Sqrt": np.sqrt,
    "Tanh": np.tanh,
    "Identity": lambda x: x,
    "QuantizeLinear": lambda x: x,
    "DequantizeLinear": lambda x: x,
}
BINARY_FUNCTIONS: dict[str, Callable[[Values, Values], Values]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Min": np.minimum,
    "Max": np.maximum,
}
COMPONENT_OPS = UNARY_FUNCTIONS.keys() | BINARY_FUNCTIONS.keys() | {"Clip", "HardSigmoid"}
# The name of a function, the standard operator whose rule it has, and the function.
ACTIVATIONS: dict[str, tuple[str, Callable[[Values], Values]]] = {
    "Swish": ("Swish", lambda x: x * _sigmoid(x)),
    "HardSwish": ("HardSwish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "HardSigmoid": ("HardSigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "Relu6": ("Relu6", lambda x: np.clip(x, 0, 6)),
    "Gelu": ("Gelu", _gelu),
    "QuickGelu": ("Gelu", lambda x: x * _sigmoid(1.702 * x)),
    "Mish": ("Mish", lambda x: x * np.tanh(_softplus(x))),
    "Softplus": ("Softplus", _softplus),
    "Sigmoid": ("Sigmoid", _sigmoid),
}


@cache
def _curves() -> dict[str, Values]:
    return {name: curve(POINTS) for name, (_, curve) in ACTIVATIONS.items()}


def fold_activations(graph: OnnxGraph) -> None:
    """Replace each group of operators that computes a known activation function by one operator."""
    consumers = graph.consumers()
    starts = {x: None for op in graph.ops if op.rule in COMPONENT_OPS for x in graph.activations(op)}
    removed: set[int] = set()
    for x in starts:
        if (group := _find_group(graph, x, consumers, removed)) is None:
            continue
        name, members = group
        last = max(members)
        removed |= members - {last}
        for index in members:
            for tensor in graph.ops[index].inputs:
                consumers[tensor] = [other for other in consumers.get(tensor, ()) if other not in members]
        graph.ops[last] = OnnxOp(graph.ops[last].name, name, ACTIVATIONS[name][0], (x,), graph.ops[last].outputs)
        consumers[x] = sorted([*consumers[x], last])
    graph.ops = [op for index, op in enumerate(graph.ops) if index not in removed]


def _find_group(
    graph: OnnxGraph, x: str, consumers: dict[str, list[int]], removed: set[int]
) -> tuple[str, frozenset[int]] | None:
    """Return the function and the members of the largest known group that starts at tensor x."""
    values, needs = {x: POINTS}, {x: frozenset[int]()}
    best: tuple[str, frozenset[int]] | None = None
    pending = list(consumers.get(x, ()))
    heapify(pending)
    seen: set[int] = set()
    while pending and len(seen) < MAX_GROUP_SIZE:
        index = heappop(pending)
        op = graph.ops[index]
        if index in seen or index in removed or op.rule not in COMPONENT_OPS or len(op.outputs) != 1:
            continue
        with np.errstate(all="ignore"):
            value = _evaluate(graph, op, values)
        if value is None:
            continue
        seen.add(index)
        output = op.outputs[0]
        members = frozenset({index}).union(*(needs[name] for name in op.inputs if name in needs))
        values[output], needs[output] = value, members
        for consumer in consumers.get(output, ()):
            heappush(pending, consumer)
        if (
            len(members) > 1
            and op.rule not in {"QuantizeLinear", "DequantizeLinear", "Identity"}
            and _is_closed(graph, members, index, consumers)
        ):
            name = next(
                (
                    name
                    for name, curve in _curves().items()
                    if np.allclose(value, curve, rtol=TOLERANCE, atol=TOLERANCE)
                ),
                None,
            )
            if name is not None:
                best = name, members
    return best


def _is_closed(graph: OnnxGraph, members: frozenset[int], last: int, consumers: dict[str, list[int]]) -> bool:
    """Whether only the last member's output is read outside of the group."""
    return all(
        name not in graph.outputs and members.issuperset(consumers.get(name, ()))
        for index in members - {last}
        for name in graph.ops[index].outputs
    )


def _evaluate(graph: OnnxGraph, op: OnnxOp, values: dict[str, Values]) -> Values | None:
    """Return the output of an operator at the points; None if an operand is neither a function of them nor a single number."""
    data = op.inputs[:1] if op.rule in {"QuantizeLinear", "DequantizeLinear"} else op.inputs
    operands: list[Values | None] = []
    for name in data:
        number = values.get(name)
        if number is None and name in graph.constants and (scalar := graph.scalar(name)) is not None:
            number = np.array(scalar)
        operands.append(number)
    if op.rule == "Clip":
        low, high = clip_bounds(graph, op)
        return np.clip(operands[0], low, high) if operands and operands[0] is not None and low <= high else None
    if not operands or any(number is None for number in operands):
        return None
    first = operands[0]
    assert first is not None  # noqa: S101 - for the type checker, given the line above
    if op.rule == "HardSigmoid":
        return np.clip(first * op.float_attribute("alpha", 0.2) + op.float_attribute("beta", 0.5), 0, 1)
    if len(operands) == 1 and op.rule in UNARY_FUNCTIONS:
        return UNARY_FUNCTIONS[op.rule](first)
    if len(operands) == 2 and op.rule in BINARY_FUNCTIONS and operands[1] is not None:
        return BINARY_FUNCTIONS[op.rule](first, operands[1])
    return None


def clip_bounds(graph: OnnxGraph, op: OnnxOp) -> tuple[float, float]:
    """Return the bounds of a Clip from its attributes or inputs; infinite if there is none, NaN if it is not a constant."""
    bounds = []
    for index, attribute, default in ((1, "min", -np.inf), (2, "max", np.inf)):
        if index < len(op.inputs) and op.inputs[index]:
            value = graph.scalar(op.inputs[index]) if op.inputs[index] in graph.constants else None
            bounds.append(np.nan if value is None else value)
        else:
            bounds.append(op.float_attribute(attribute, default))
    return bounds[0], bounds[1]
