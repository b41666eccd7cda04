"""Any torch module as an ONNX model, by torch's own exporter; spaces build theirs directly (`onnx_model`), which is faster."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import onnx

from donna_hw.errors import ConfigError, DonnaError
from donna_hw.graph.graph import INPUT, Shape
from donna_hw.graph.onnx_format import OPSET

if TYPE_CHECKING:
    from torch import nn
from typing import TYPE_CHECKING

import numpy as np

from donna_hw.errors import FileFormatError
from donna_hw.graph.graph import Layer

if TYPE_CHECKING:
    from torch import nn

    from donna_hw.graph.onnx_format import Weights


def export_onnx(module: nn.Module, example_shape: Shape, batch: int = 1) -> onnx.ModelProto:
    """Return the ONNX model of a module of one input and one output, in evaluation mode, for a fixed batch.

    example_shape: of one image or feature vector, without the batch. Input and output are called `input` and `output`, float32,
    [batch, *shape]. The module is traced: a branch that depends on values is kept as it went for random values. Its device and
    its mode are left as they were. Raises `ConfigError` when torch cannot run the module on that shape or export one of its operators.
    """
    import torch

    device = next((tensor.device for tensor in [*module.parameters(), *module.buffers()]), torch.device("cpu"))
    image = torch.randn(batch, *example_shape, generator=torch.Generator().manual_seed(0)).to(device)
    buffer: Any = io.BytesIO()  # torch's types know files only; this exporter takes both
    with warnings.catch_warnings():
        # torch announces that this exporter will go; the new one takes thirty times as long and needs a package more
        warnings.filterwarnings("ignore", ".*legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.onnx")
        # a padding's sizes are then reckoned by a few nodes, which every runtime does once, when it loads the model
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
                f"torch must be able to run and export {type(module).__name__} on the input {(batch, *example_shape)}",
                got=str(error).strip().splitlines()[0],
                hint="mend the shape or replace the operator",
            ) from error
    model = onnx.load_from_string(buffer.getvalue())
    if len(model.graph.output) != 1:
        raise ConfigError(f"{type(module).__name__} must have one output", got=len(model.graph.output))
    return model


def embed_module(layer: Layer, output: str, batch: int, weights: Weights | None, seed: int) -> onnx.GraphProto:
    """Return the nodes and initializers of a layer of operator `module`, fed by its input, that give the tensor `output`.

    All other names begin with `<layer>/`. weights: as `to_onnx` takes them; None: random ones by `seed`. Raises `ConfigError` where
    torch cannot export the module, `FileFormatError` when the weights are another's.
    """
    model = export_onnx(_load_module(layer, weights, seed), layer.in_shape, batch)
    [given], [found] = model.graph.input, model.graph.output
    names = {given.name: layer.inputs[0], found.name: output}

    def named(name: str) -> str:
        return names.get(name, f"{layer.name}/{name}") if name else name  # an optional input left out is nameless

    for node in model.graph.node:
        node.name = named(node.name)
        node.input[:] = [named(name) for name in node.input]
        node.output[:] = [named(name) for name in node.output]
    for tensor in model.graph.initializer:
        tensor.name = named(tensor.name)
    return model.graph


def _load_module(layer: Layer, weights: Weights | None, seed: int) -> nn.Module:
    import torch

    assert layer.module_spec is not None  # noqa: S101  what `module` layers have
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = layer.module_spec.build().eval()
    if weights is None:
        return module
    prefix = f"{layer.name}.weights."
    own = {
        key.removeprefix(prefix): torch.from_numpy(np.array(value))
        for key, value in weights.items()
        if key.startswith(prefix)
    }
    try:
        module.load_state_dict(own)
    except RuntimeError as error:
        raise FileFormatError(f"the weights must be those of the module {layer.name}", got=str(error)) from None
    return module
