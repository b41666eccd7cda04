"""The workload of blocks and networks directly from their layers: the same as from their ONNX model, in a fraction of the time."""

from __future__ import annotations

from math import prod

from donna_hw.graph.graph import INPUT, Graph, Layer
from donna_hw.simulator.workload import Geometry, Node, Tensor, Workload

ACTIVATIONS = {  # layer's activation -> ONNX operator, function of the vector unit
    "relu": ("Relu", "relu"),
    "relu6": ("Clip", "relu6"),
    "swish": ("Swish", "swish"),
    "hard_swish": ("HardSwish", "hard_swish"),
    "sigmoid": ("Sigmoid", "sigmoid"),
    "hard_sigmoid": ("HardSigmoid", "hard_sigmoid"),
}
FUNCTIONS = {
    "add": ("Add", "add"),
    "scale": ("Mul", "mul"),
    "global_pool": ("GlobalAveragePool", "global_pool"),
    "max_pool": ("MaxPool", "max_pool"),
}
_new_tuple = tuple.__new__  # builds a named tuple from its fields in a third of the time of its constructor


def workload_from_graph(graph: Graph, batch: int = 1) -> Workload:
    """Return the workload of a graph for a batch; except for names, `read_onnx` returns the same for its ONNX model.

    A graph with a torch module or an 8-bit layer is converted through its ONNX model.
    """
    if any(layer.module_spec is not None or layer.dtype != "float32" for layer in graph.layers):
        return _workload_from_onnx(graph, batch)
    shape = graph.input_shape
    tensors = [Tensor(batch * prod(shape), shape[0])]
    nodes: list[Node] = []
    free: list[str] = []
    fields: tuple[object, ...]
    indices = {INPUT: 0}
    for layer in graph.layers:
        name, operator = layer.name, layer.operator
        x = indices[layer.inputs[0]]
        if operator == "flatten":
            indices[name] = x
            free.append(name)
            continue
        shape = layer.out_shape
        out = len(tensors)
        elements = batch * prod(shape)
        tensor = _new_tuple(Tensor, (elements, shape[0], ""))
        tensors.append(tensor)
        if operator in FUNCTIONS:
            op_type, function = FUNCTIONS[operator]
            y = indices[layer.inputs[-1]]
            elementwise = operator in ("add", "scale")
            inputs = (x,) if x == y else (x, y)
            work = elements * layer.kernel**2 if operator != "global_pool" else batch * prod(layer.in_shape)
            fields = ("vector", function, name, op_type, inputs, (out,), None, 0, 0, work, elementwise, "")
        else:
            op_type, geometry, weights = _product(layer, batch)
            fields = ("array", "", name, op_type, (x,), (out,), geometry, weights, shape[0], 0, False, "")
        nodes.append(_new_tuple(Node, fields))
        if layer.activation != "none":
            op_type, function = ACTIVATIONS[layer.activation]
            name = f"{name}.{layer.activation}"
            fields = ("vector", function, name, op_type, (out,), (out + 1,), None, 0, 0, elements, True, "")
            nodes.append(_new_tuple(Node, fields))
            tensors.append(tensor)
            out += 1
        indices[layer.name] = out
    return Workload(tuple(tensors), tuple(nodes), (0,), (indices[graph.output],), (), tuple(free))


def _workload_from_onnx(graph: Graph, batch: int) -> Workload:
    from donna_hw.graph.onnx_export import to_onnx
    from donna_hw.simulator.onnx_frontend.reader import read_onnx

    return read_onnx(to_onnx(graph, batch))


def _product(layer: Layer, batch: int) -> tuple[str, Geometry, int]:
    in_shape, out_shape = layer.in_shape, layer.out_shape
    if layer.operator == "linear":
        return "Gemm", Geometry(1, in_shape[0], batch, 1, out_shape[0], batch, 1), in_shape[0] * out_shape[0]
    kernel, stride, groups = layer.kernel, layer.stride, layer.groups
    (channels, height, width), (filters, rows, columns) = in_shape, out_shape
    sizes = (batch, channels, height, width, filters, rows, columns, kernel, kernel, stride, stride, 1, 1, groups)
    geometry = _new_tuple(Geometry, sizes)
    return "Conv", geometry, filters * (channels // groups) * kernel * kernel
