"""Patterns: operators that a compiler for any device runs as one: spelt-out norms, folded batch-norms, biases added apart."""

from __future__ import annotations

from math import prod

from donna_hw.simulator.onnx_frontend.onnx_graph import OnnxGraph, OnnxOp

CONVOLUTIONS = ("Conv", "ConvTranspose")
MEANS = ("ReduceMean",)


def fold_norms(net: OnnxGraph) -> None:
    """Put one operator in place of each layer norm that is spelt out: mean, deviation, variance, root, quotient, scale, shift."""
    consumers = net.consumers()
    gone: set[int] = set()

    def users(name: str, rule: str) -> list[int]:
        """Return the consumers of a tensor that nothing else may read; none unless all are of a rule."""
        places = [place for place in consumers.get(name, ()) if place not in gone]
        return (
            places
            if name not in net.outputs and places and all(net.ops[p].rule in rule.split() for p in places)
            else []
        )

    def only(name: str, rule: str) -> int | None:
        places = users(name, rule)
        return places[0] if len(places) == 1 else None

    for start, mean in enumerate(net.ops):
        if mean.rule not in MEANS or not mean.inputs:
            continue
        x, members = mean.inputs[0], [start]
        deviation = only(mean.outputs[0], "Sub")
        if deviation is None or net.ops[deviation].inputs != (x, mean.outputs[0]):
            continue
        members.append(deviation)
        spread = net.ops[deviation].outputs[0]
        uses = users(spread, "Pow Mul Div")
        square = next((p for p in uses if _is_square(net, net.ops[p], spread)), None)
        quotient = next((p for p in uses if net.ops[p].rule == "Div" and net.ops[p].inputs[0] == spread), None)
        if len(uses) != 2 or square is None or quotient is None:
            continue
        place: int | None = square
        for rule in ("ReduceMean", "Add", "Sqrt", "Div"):
            if place is None:
                break
            members.append(place)
            place = only(net.ops[place].outputs[0], rule)
        if place != quotient:
            continue
        members.append(quotient)
        for rule in ("Mul", "Add"):
            after = only(net.ops[members[-1]].outputs[0], rule)
            if after is not None and len(net.activations(net.ops[after])) == 1:
                members.append(after)
        last = net.ops[members[-1]]
        gone.update(members[:-1])
        net.ops[members[-1]] = OnnxOp(last.name, "LayerNormalization", "LayerNormalization", (x,), last.outputs)
        consumers = net.consumers()
    net.ops = [op for place, op in enumerate(net.ops) if place not in gone]


def _is_square(net: OnnxGraph, op: OnnxOp, x: str) -> bool:
    return (
        op.inputs == (x, x)
        if op.rule == "Mul"
        else op.rule == "Pow" and op.inputs[0] == x and net.scalar(op.inputs[-1]) == 2
    )


def fold_into_products(net: OnnxGraph) -> None:
    """Take batch-norms and added constants into the weights and the bias of the product that alone feeds them; they are free."""
    consumers, producers = net.consumers(), net.producers()
    gone: set[int] = set()
    for place, op in enumerate(net.ops):
        if op.rule not in {"BatchNormalization", "Add"} or len(op.outputs) != 1:
            continue
        fed = net.activations(op)
        maker = producers.get(fed[0]) if len(fed) == 1 else None
        if maker is None or fed[0] in net.outputs or consumers[fed[0]] != [place]:
            continue
        product = net.ops[maker]
        channels = _foldable_channels(net, op, product)
        if channels:
            product.biases = channels
            product.outputs = op.outputs
            producers[op.outputs[0]] = maker
            net.free_ops.append(op.name)
            gone.add(place)
    net.ops = [op for place, op in enumerate(net.ops) if place not in gone]


def _foldable_channels(net: OnnxGraph, op: OnnxOp, product: OnnxOp) -> int:
    """Return the output channels of a product into which a batch-norm or an addition folds, 0 for one that it does not."""
    shape = net.shapes.get(product.outputs[0], ()) if len(product.outputs) == 1 else ()
    constant_weights = len(product.inputs) > 1 and product.inputs[1] in net.constants
    if len(shape) < 2 or not constant_weights or net.shapes.get(op.outputs[0]) != shape:
        return 0
    convolution = product.rule in CONVOLUTIONS
    if op.rule == "BatchNormalization":
        plain = product.rule == "Gemm" and all(name in net.constants for name in product.inputs[1:])
        return shape[1] if (convolution or plain) and op.inputs and op.inputs[0] == product.outputs[0] else 0
    if (
        product.rule not in {*CONVOLUTIONS, "MatMul", "Gemm"}
        or product.biases
        or (product.rule != "MatMul" and len(product.inputs) > 2)
    ):
        return 0
    added = next((net.shapes.get(name) for name in op.inputs if name in net.constants), None)
    if added is None:
        return 0
    channels = shape[1] if convolution else shape[-1]
    padded = (1,) * (len(shape) - len(added)) + added
    axis = 1 if convolution else len(shape) - 1
    wanted = tuple(channels if place == axis else 1 for place in range(len(shape)))
    return channels if padded == wanted and prod(added) == channels else 0
