"""A layer that is a torch module of one's own, as ONNX nodes within its block's model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from donna_hw.errors import BadFile
from donna_hw.graph.graph import Layer
from donna_hw.graph.onnx_torch import export

if TYPE_CHECKING:
    from torch import nn

    from donna_hw.graph.onnx_export import Weights


def embedded(layer: Layer, output: str, batch: int, weights: Weights | None, seed: int) -> onnx.GraphProto:
    """Return the nodes and initializers of a layer of operator `module`, fed by its input, that give the tensor `output`.

    All other names begin with `<layer>/`. weights: as `to_onnx` takes them; None: random ones by `seed`. Raises `BadSetting` where
    torch cannot export the module, `BadFile` when the weights are another's.
    """
    model = export(_module(layer, weights, seed), layer.in_shape, batch)
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


def _module(layer: Layer, weights: Weights | None, seed: int) -> nn.Module:
    import torch

    assert layer.made is not None  # noqa: S101  what `module` layers have
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = layer.made.build().eval()
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
        raise BadFile(f"the weights must be those of the module {layer.name}", found=str(error)) from None
    return module
