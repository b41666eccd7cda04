"""ONNX models of a few nodes for tests; constants are zeros if only their shape matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from donna_hw.simulator.workload import Node, Workload

FLOAT = TensorProto.FLOAT
Shape = Sequence[int | str]


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    constants: Mapping[str, np.ndarray] | None = None,
    *,
    output: str = "y",
    opset: int = 21,
    types: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    element_types = types or {}
    graph = helper.make_graph(
        list(nodes),
        "example",
        [
            helper.make_tensor_value_info(name, element_types.get(name, FLOAT), list(shape))
            for name, shape in inputs.items()
        ],
        [onnx.ValueInfoProto(name=output)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def node(op_type: str, inputs: str, outputs: str = "y", **attributes: object) -> onnx.NodeProto:
    """Return a node; inputs and outputs are words, `-` for an omitted one."""
    words = [[word.replace("-", "") for word in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op_type, *words, **attributes)


def macs(workload: Workload) -> int:
    return sum(node.geometry.macs for node in workload.nodes if node.geometry)


def arrays(workload: Workload) -> list[Node]:
    return [node for node in workload.nodes if node.kind == "array"]


def functions(workload: Workload) -> list[str]:
    """Return the functions in order; `array` for a product."""
    return [node.function or "array" for node in workload.nodes]


def checked(workload: Workload) -> Workload:
    """Return a workload after checking the invariants of all workloads, such as that each tensor is written once, before it is read."""
    written = list(workload.inputs)
    for node in workload.nodes:
        assert set(node.inputs) <= set(written), node
        assert node.outputs, node
        written += node.outputs
        assert (node.kind == "array") == (node.geometry is not None)
        if node.geometry:
            assert (
                node.geometry.in_channels % node.geometry.groups
                == node.geometry.out_channels % node.geometry.groups
                == 0
            )
            assert min(node.geometry) >= 1
        if node.elementwise:
            assert workload.tensors[node.inputs[0]].elements == workload.tensors[node.outputs[0]].elements
        assert node.work >= 0
        assert len(node.name) > 0
    assert sorted(written) == list(range(len(workload.tensors)))
    assert set(workload.outputs) <= set(written)
    assert all(tensor.elements >= tensor.channels >= 1 for tensor in workload.tensors)
    return workload
