"""Read ONNX models as workloads; the weights are never loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from donna_hw.simulator.onnx_frontend.activations import fold_activations
from donna_hw.simulator.onnx_frontend.fusion_patterns import fold_into_products, fold_norms
from donna_hw.simulator.onnx_frontend.model import (
    build_skeleton,
    declared_shapes,
    graph_inputs,
    load_model,
    resolve_symbols,
    validate_names,
)
from donna_hw.simulator.onnx_frontend.products import PRODUCT_RULES
from donna_hw.simulator.onnx_frontend.quantized import QuantizedGraph
from donna_hw.simulator.onnx_frontend.shape_inference import build_onnx_graph
from donna_hw.simulator.onnx_frontend.vector import UNARY, VECTOR_RULES
from donna_hw.simulator.onnx_frontend.views import is_view
from donna_hw.simulator.onnx_frontend.workload_builder import WorkloadBuilder
from donna_hw.simulator.workload import Workload

if TYPE_CHECKING:
    import onnx

RULES = (
    PRODUCT_RULES
    | VECTOR_RULES
    | {"QuantizeLinear": WorkloadBuilder.add_quantize, "DequantizeLinear": WorkloadBuilder.add_dequantize}
)


def read_onnx(
    source: Path | onnx.ModelProto, input_shapes: Mapping[str, Sequence[int]] = MappingProxyType({})
) -> Workload:
    """Read an ONNX model as a workload for `simulate`.

    Args:
        source: A file, or a model in memory, which is not changed.
        input_shapes: Shapes of the model's inputs by name, for dimensions that the model leaves open.

    Returns:
        The workload. Operators without a rule are listed in its `unknown_ops`.

    Raises:
        FileFormatError: If it is not a valid model.
        ConfigError: If a dimension is open, a shape does not fit, or a convolution has an unsupported form.
        UnknownNameError: If a shape is given for an input that the model does not have.
    """
    model = load_model(source)
    validate_names(model)
    symbols = resolve_symbols(model.graph, input_shapes)
    skeleton = build_skeleton(model, input_shapes, symbols)
    inputs = tuple(value.name for value in graph_inputs(model.graph))
    outputs = tuple(value.name for value in model.graph.output)
    graph = build_onnx_graph(skeleton, inputs, outputs, lambda: declared_shapes(model.graph, symbols))
    fold_activations(graph)
    fold_norms(graph)
    fold_into_products(graph)
    builder = WorkloadBuilder(graph, QuantizedGraph(graph, PRODUCT_RULES.keys(), UNARY))
    for op in graph.ops:
        if not op.outputs:
            continue
        if is_view(graph, op):
            builder.add_view(op)
        else:
            rule = RULES.get(op.rule) if graph.activations(op) else None
            (rule or WorkloadBuilder.add_unknown_node)(builder, op)
    return builder.build()
