"""Operators that a compiler for any device runs as one: layer norms in several operators, batch-norms, separate biases."""

from __future__ import annotations

from math import prod

from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxGraph, OnnxOp

CONVOLUTIONS = ("Conv", "ConvTranspose")
MEANS = ("ReduceMean",)


def fold_norms(graph: OnnxGraph) -> None:
    """Replace each layer norm in several operators (mean, deviation, variance, root, quotient, scale, shift) by one."""
    consumers = graph.consumers()
    removed: set[int] = set()

    def users(name: str, rule: str) -> list[int]:
        """Return the consumers of a tensor if all of them have one of the rules and it is not an output, else none."""
        indices = [index for index in consumers.get(name, ()) if index not in removed]
        matches = name not in graph.outputs and all(graph.ops[index].rule in rule.split() for index in indices)
        return indices if matches else []

    def only(name: str, rule: str) -> int | None:
        indices = users(name, rule)
        return indices[0] if len(indices) == 1 else None

    for start, mean in enumerate(graph.ops):
        if mean.rule not in MEANS or not mean.inputs:
            continue
        x, members = mean.inputs[0], [start]
        deviation = only(mean.outputs[0], "Sub")
        if deviation is None or graph.ops[deviation].inputs != (x, mean.outputs[0]):
            continue
        members.append(deviation)
        centered = graph.ops[deviation].outputs[0]
        uses = users(centered, "Pow Mul Div")
        square = next((p for p in uses if _is_square(graph, graph.ops[p], centered)), None)
        quotient = next((p for p in uses if graph.ops[p].rule == "Div" and graph.ops[p].inputs[0] == centered), None)
        if len(uses) != 2 or square is None or quotient is None:
            continue
        index: int | None = square
        for rule in ("ReduceMean", "Add", "Sqrt", "Div"):
            if index is None:
                break
            members.append(index)
            index = only(graph.ops[index].outputs[0], rule)
        if index != quotient:
            continue
        members.append(quotient)
        for rule in ("Mul", "Add"):
            after = only(graph.ops[members[-1]].outputs[0], rule)
            if after is not None and len(graph.activations(graph.ops[after])) == 1:
                members.append(after)
        last = graph.ops[members[-1]]
        removed.update(members[:-1])
        graph.ops[members[-1]] = OnnxOp(last.name, "LayerNormalization", "LayerNormalization", (x,), last.outputs)
        consumers = graph.consumers()
    graph.ops = [op for index, op in enumerate(graph.ops) if index not in removed]


def _is_square(graph: OnnxGraph, op: OnnxOp, x: str) -> bool:
    return (
        op.inputs == (x, x)
        if op.rule == "Mul"
        else op.rule == "Pow" and op.inputs[0] == x and graph.scalar(op.inputs[-1]) == 2
    )


def fold_into_products(graph: OnnxGraph) -> None:
    """Fold batch-norms and added constants into the weights and the bias of the product that feeds them, which makes them free."""
    consumers, producers = graph.consumers(), graph.producers()
    removed: set[int] = set()
    for index, op in enumerate(graph.ops):
        if op.rule not in {"BatchNormalization", "Add"} or len(op.outputs) != 1:
            continue
        inputs = graph.activations(op)
        producer = producers.get(inputs[0]) if len(inputs) == 1 else None
        if producer is None or inputs[0] in graph.outputs or consumers[inputs[0]] != [index]:
            continue
        product = graph.ops[producer]
        channels = _foldable_channels(graph, op, product)
        if channels:
            product.biases = channels
            product.outputs = op.outputs
            producers[op.outputs[0]] = producer
            graph.free_ops.append(op.name)
            removed.add(index)
    graph.ops = [op for index, op in enumerate(graph.ops) if index not in removed]


def _foldable_channels(graph: OnnxGraph, op: OnnxOp, product: OnnxOp) -> int:
    """Return the output channels of a product into which a batch-norm or an addition can be folded, 0 if it cannot."""
    shape = graph.shapes.get(product.outputs[0], ()) if len(product.outputs) == 1 else ()
    constant_weights = len(product.inputs) > 1 and product.inputs[1] in graph.constants
    if len(shape) < 2 or not constant_weights or graph.shapes.get(op.outputs[0]) != shape:
        return 0
    convolution = product.rule in CONVOLUTIONS
    if op.rule == "BatchNormalization":
        static_gemm = product.rule == "Gemm" and all(name in graph.constants for name in product.inputs[1:])
        return shape[1] if (convolution or static_gemm) and op.inputs and op.inputs[0] == product.outputs[0] else 0
    if (
        product.rule not in {*CONVOLUTIONS, "MatMul", "Gemm"}
        or product.biases
        or (product.rule != "MatMul" and len(product.inputs) > 2)
    ):
        return 0
    added = next((graph.shapes.get(name) for name in op.inputs if name in graph.constants), None)
    if added is None:
        return 0
    channels = shape[1] if convolution else shape[-1]
    padded = (1,) * (len(shape) - len(added)) + added
    axis = 1 if convolution else len(shape) - 1
    per_channel = tuple(channels if dim == axis else 1 for dim in range(len(shape)))
    return channels if padded == per_channel and prod(added) == channels else 0
