"""quantise: the 8-bit layers of a graph from a trained float32 network (DFQ): fold, equalise, absorb, choose ranges, correct biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from donna_hw.errors import ConfigError
from donna_hw.graph.graph import Graph, Layer
from donna_hw.graph.int8 import QUANT_MAX, Grid, fit_grid, slot_ranges, slots, symmetric_grids
from donna_hw.graph.torch_module import GraphModule, to_torch
from donna_hw.training.quantization.bn_folding import FoldedLayer, fold_batch_norms, read_bn_stats
from donna_hw.training.quantization.channel_stats import ChannelStats
from donna_hw.training.quantization.equalization import absorb, equalize, find_pairs
from donna_hw.training.quantization.range_estimation import StatsByLayer, observe, propagate


@dataclass(frozen=True)
class QuantizationConfig:
    """Which steps are taken; by default those of the paper's source, without images and with one grid for all weights of a layer.

    per_channel: a grid for each output channel of the weights. deviations: how far from the mean ranges reach that no image gave.
    """

    equalize: bool = True
    absorb_bias: bool = True
    correct_bias: bool = True
    per_channel: bool = False
    range_stds: float = 6.0


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network with 8-bit layers, and what became of it: pairs that were equalised, {layer: why not}, layers whose bias was absorbed."""

    module: GraphModule
    equalized_pairs: tuple[tuple[str, str], ...]
    skipped_layers: Mapping[str, str]
    absorbed_layers: tuple[str, ...]


def quantize(
    trained: GraphModule,
    graph: Graph,
    input_stats: ChannelStats,
    config: QuantizationConfig,
    images: Tensor | None = None,
) -> QuantizedNetwork:
    """Return a graph's network, in evaluation mode; its layers are those of a trained float32 one, some of them of type int8.

    given: of the network's input. images: where they are given, ranges are what they reach, else what batch-norms say. Raises `ConfigError`
    for a graph of other layers.
    """
    _validate_same_layers(trained.graph, graph)
    folded, known = fold_batch_norms(trained), read_bn_stats(trained, config.range_stds)
    if images is not None:
        input_stats, known = observe(trained, images)
    pairs, skipped = find_pairs(graph)
    if config.equalize:
        equalize(pairs, folded, known)
    before, reached = propagate(graph, folded, input_stats, known, config.range_stds)
    absorbed: list[str] = []
    if config.absorb_bias:
        absorbed = absorb(pairs, folded, before, known)
        before, reached = propagate(graph, folded, input_stats, known, config.range_stds)
    state = dict(trained.state_dict())
    for layer in graph.layers:
        if layer.dtype != "int8":
            continue
        state = {key: values for key, values in state.items() if not key.startswith(f"{layer.name}.")}
        buffers = _buffers(layer, folded.get(layer.name), before[layer.name], reached, config)
        state |= {f"{layer.name}.{key}": values for key, values in buffers.items()}
    module = to_torch(graph, seed=0)
    module.load_state_dict(state)
    equalised = tuple((pair.first.name, pair.second.name) for pair in pairs) if config.equalize else ()
    return QuantizedNetwork(module.eval(), equalised, skipped, tuple(absorbed))


def _buffers(
    layer: Layer, own: FoldedLayer | None, before: ChannelStats, reached: StatsByLayer, method: QuantizationConfig
) -> dict[str, Tensor]:
    """Return what an `Int8Layer` holds."""
    inputs = [reached[name].range for name in layer.inputs]
    wanted = slot_ranges(layer, inputs, before.range, reached[layer.name].range)
    grids = [fit_grid(*each) for each in wanted]
    assert len(grids) == len(slots(layer))  # noqa: S101  a range a slot
    found = {
        "scales": torch.tensor([float(grid.scale) for grid in grids], dtype=torch.float32),
        "zeros": torch.tensor([grid.zero_point for grid in grids], dtype=torch.uint8),
    }
    if own is None:
        return found
    each = weight_grids(own.weight, per_channel=method.per_channel)
    scales = torch.tensor([float(grid.scale) for grid in each], dtype=torch.float64)
    zeros = torch.tensor([grid.zero_point for grid in each], dtype=torch.float64)
    shape = (-1, *[1] * (own.weight.ndim - 1))
    codes = (torch.round(own.weight / scales.view(shape)) + zeros.view(shape)).clamp(0, QUANT_MAX)
    bias = own.bias
    if method.correct_bias:
        error = (codes - zeros.view(shape)) * scales.view(shape) - own.weight
        bias = bias - FoldedLayer(error, bias, own.groups).response(reached[layer.inputs[0]].mean)
    steps = float(grids[0].scale) * scales
    reach = 2**31 - 1
    return found | {
        "codes": codes.to(torch.uint8),
        "weight_scales": scales.float(),
        "weight_zeros": zeros.to(torch.uint8),
        "bias": torch.round(bias / steps).clamp(-reach, reach).to(torch.int32),
    }


def weight_grids(weight: Tensor, *, per_channel: bool) -> list[Grid]:
    """Return the grid of each output channel's weights: over their range, one for all of them, or each its own around zero."""
    flat = weight.flatten(1)
    if per_channel:
        return symmetric_grids(np.asarray(flat.abs().amax(1).numpy()))
    return [fit_grid(float(flat.min()), float(flat.max()))] * len(flat)


def _validate_same_layers(trained: Graph, graph: Graph) -> None:
    if [vars(layer) | {"dtype": ""} for layer in trained.layers] != [
        vars(layer) | {"dtype": ""} for layer in graph.layers
    ]:
        raise ConfigError("a graph is quantised from a network of the same layers in float32", got="other layers")
