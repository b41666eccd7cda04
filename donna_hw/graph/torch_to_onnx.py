"""Any torch module as an ONNX model, by torch's own exporter; spaces build theirs directly (`onnx_export`), which is faster."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from donna_hw.errors import ConfigError, DonnaError, FileFormatError
from donna_hw.graph.graph import INPUT, Layer, Shape
from donna_hw.graph.onnx_format import OPSET

if TYPE_CHECKING:
    from torch import nn

    from donna_hw.graph.onnx_format import Weights


def export_onnx(module: nn.Module, example_shape: Shape, batch: int = 1) -> onnx.ModelProto:
    """Return the ONNX model of a torch module in evaluation mode, for a fixed batch.

    The module is traced, so that a branch that depends on values is exported as it went for random values. Its device and its mode are
    left as they were.

    Args:
        module: A module of one input and one output.
        example_shape: Shape of one image or feature vector, without the batch.
        batch: Images per inference.

    Returns:
        The model. Its input and output are named `input` and `output`, float32, [batch, *shape].

    Raises:
        ConfigError: If torch cannot run the module on that shape, or cannot export one of its operators.
    """
    import torch

    device = next((tensor.device for tensor in [*module.parameters(), *module.buffers()]), torch.device("cpu"))
    image = torch.randn(batch, *example_shape, generator=torch.Generator().manual_seed(0)).to(device)
    buffer: Any = io.BytesIO()  # torch's types allow only files; this exporter takes both
    with warnings.catch_warnings():
        # torch announces the removal of this exporter; the new one takes thirty times as long and needs another package
        warnings.filterwarnings("ignore", ".*legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.onnx")
        # a few nodes then compute the sizes of a padding, which every runtime does once, when it loads the model
        warnings.filterwarnings("ignore", "Constant folding - Only steps=1", UserWarning)
        try:
            torch.onnx.export(
                module,
                (image,),
                buffer,
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=["output"],
            )
        except DonnaError:
            raise
        except (RuntimeError, TypeError, ValueError, IndexError) as error:  # what tracing and torch's exporter raise
            raise ConfigError(
                f"torch cannot run and export {type(module).__name__} on an input of shape {(batch, *example_shape)}",
                got=str(error).strip().splitlines()[0],
                hint="fix the shape or replace the operator",
            ) from error
    model = onnx.load_from_string(buffer.getvalue())
    if len(model.graph.output) != 1:
        raise ConfigError(f"{type(module).__name__} must have one output", got=len(model.graph.output))
    return model


def embed_module(layer: Layer, output: str, batch: int, weights: Weights | None, seed: int) -> onnx.GraphProto:
    """Return the nodes and initializers of a layer of operator `module`, as part of a larger ONNX graph.

    Args:
        layer: The layer.
        output: Name of the tensor that the nodes write; all other names begin with `<layer>/`.
        batch: Images per inference.
        weights: As `to_onnx` takes them; random if None.
        seed: Of the random weights.

    Returns:
        A graph whose nodes read the layer's input.

    Raises:
        ConfigError: If torch cannot export the module.
        FileFormatError: If the weights belong to another module.
    """
    model = export_onnx(_load_module(layer, weights, seed), layer.in_shape, batch)
    [graph_input], [graph_output] = model.graph.input, model.graph.output
    names = {graph_input.name: layer.inputs[0], graph_output.name: output}

    def rename(name: str) -> str:
        return names.get(name, f"{layer.name}/{name}") if name else name  # an omitted optional input has no name

    for node in model.graph.node:
        node.name = rename(node.name)
        node.input[:] = [rename(name) for name in node.input]
        node.output[:] = [rename(name) for name in node.output]
    for tensor in model.graph.initializer:
        tensor.name = rename(tensor.name)
    return model.graph


def _load_module(layer: Layer, weights: Weights | None, seed: int) -> nn.Module:
    import torch

    assert layer.module_spec is not None  # noqa: S101  `module` layers have one
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = layer.module_spec.build().eval()
    if weights is None:
        return module
    prefix = f"{layer.name}.weights."
    state_dict = {
        key.removeprefix(prefix): torch.from_numpy(np.array(value))
        for key, value in weights.items()
        if key.startswith(prefix)
    }
    try:
        module.load_state_dict(state_dict)
    except RuntimeError as error:
        raise FileFormatError(f"the weights do not fit the module {layer.name}", got=str(error)) from None
    return module
