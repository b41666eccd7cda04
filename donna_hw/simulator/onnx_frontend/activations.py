"""Activations: functions that exporters spell out in several operators, found by what they compute.

A group of element-wise operators that depends on one tensor, and of which only the last one's output is used outside, is evaluated at
some points and compared with the known functions. So the order of its operators and the way its constants are written do not matter.
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
    2e-3  # of the output: constants may be rounded to 16 bits; the functions differ by ten times as much and more
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
ACTIVATIONS: dict[
    str, tuple[str, Callable[[Values], Values]]
] = {  # what it is called, and the standard operator whose rule it has
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


def fold_activations(net: OnnxGraph) -> None:
    """Put one operator in place of each group of operators that computes a known activation function."""
    consumers = net.consumers()
    starts = {x: None for op in net.ops if op.rule in COMPONENT_OPS for x in net.activations(op)}
    gone: set[int] = set()
    for x in starts:
        if (found := _find_group(net, x, consumers, gone)) is None:
            continue
        name, members = found
        last = max(members)
        gone |= members - {last}
        for place in members:
            for read in net.ops[place].inputs:
                consumers[read] = [other for other in consumers.get(read, ()) if other not in members]
        net.ops[last] = OnnxOp(net.ops[last].name, name, ACTIVATIONS[name][0], (x,), net.ops[last].outputs)
        consumers[x] = sorted([*consumers[x], last])
    net.ops = [op for place, op in enumerate(net.ops) if place not in gone]


def _find_group(
    net: OnnxGraph, x: str, consumers: dict[str, list[int]], gone: set[int]
) -> tuple[str, frozenset[int]] | None:
    """Return the function and the members of the largest known group that starts at tensor x."""
    values, needs = {x: POINTS}, {x: frozenset[int]()}
    best: tuple[str, frozenset[int]] | None = None
    waiting = list(consumers.get(x, ()))
    heapify(waiting)
    seen: set[int] = set()
    while waiting and len(seen) < MAX_GROUP_SIZE:
        place = heappop(waiting)
        op = net.ops[place]
        if place in seen or place in gone or op.rule not in COMPONENT_OPS or len(op.outputs) != 1:
            continue
        with np.errstate(all="ignore"):
            value = _evaluate(net, op, values)
        if value is None:
            continue
        seen.add(place)
        output = op.outputs[0]
        members = frozenset({place}).union(*(needs[name] for name in op.inputs if name in needs))
        values[output], needs[output] = value, members
        for other in consumers.get(output, ()):
            heappush(waiting, other)
        if (
            len(members) > 1
            and op.rule not in {"QuantizeLinear", "DequantizeLinear", "Identity"}
            and _is_closed(net, members, place, consumers)
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


def _is_closed(net: OnnxGraph, members: frozenset[int], last: int, consumers: dict[str, list[int]]) -> bool:
    """Whether only the last member's output is read outside of the group."""
    return all(
        name not in net.outputs and members.issuperset(consumers.get(name, ()))
        for place in members - {last}
        for name in net.ops[place].outputs
    )


def _evaluate(net: OnnxGraph, op: OnnxOp, values: dict[str, Values]) -> Values | None:
    """Return what an operator makes of the points, None where an operand is no function of them and no single number."""
    data = op.inputs[:1] if op.rule in {"QuantizeLinear", "DequantizeLinear"} else op.inputs
    operands: list[Values | None] = []
    for name in data:
        number = values.get(name)
        if number is None and name in net.constants and (scalar := net.scalar(name)) is not None:
            number = np.array(scalar)
        operands.append(number)
    if op.rule == "Clip":
        low, high = clip_bounds(net, op)
        return np.clip(operands[0], low, high) if operands and operands[0] is not None and low <= high else None
    if not operands or any(number is None for number in operands):
        return None
    first = operands[0]
    assert first is not None  # noqa: S101 - for the type checker: said by the line above
    if op.rule == "HardSigmoid":
        return np.clip(first * op.float_attribute("alpha", 0.2) + op.float_attribute("beta", 0.5), 0, 1)
    if len(operands) == 1 and op.rule in UNARY_FUNCTIONS:
        return UNARY_FUNCTIONS[op.rule](first)
    if len(operands) == 2 and op.rule in BINARY_FUNCTIONS and operands[1] is not None:
        return BINARY_FUNCTIONS[op.rule](first, operands[1])
    return None


def clip_bounds(net: OnnxGraph, op: OnnxOp) -> tuple[float, float]:
    """Return the bounds of a Clip, as attributes or inputs; infinite where there is none, NaN where it is no constant."""
    bounds = []
    for place, attribute, default in ((1, "min", -np.inf), (2, "max", np.inf)):
        if place < len(op.inputs) and op.inputs[place]:
            value = net.scalar(op.inputs[place]) if op.inputs[place] in net.constants else None
            bounds.append(np.nan if value is None else value)
        else:
            bounds.append(op.float_attribute(attribute, default))
    return bounds[0], bounds[1]
