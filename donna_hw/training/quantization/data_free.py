"""Data-free quantization (DFQ) of a trained float32 network: fold, equalize, absorb, choose ranges, correct biases."""

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
    """The steps of the quantization; by default those of DFQ, without images and with one grid for all weights of a layer.

    Args:
        equalize: Whether to equalize the ranges of consecutive layers.
        absorb_bias: Whether to absorb high biases into the next layer.
        correct_bias: Whether to correct the mean error that rounding the weights causes.
        per_channel: Whether each output channel of the weights has its own grid.
        range_stds: Standard deviations from the mean that ranges extend to when they are not observed on images.
    """

    equalize: bool = True
    absorb_bias: bool = True
    correct_bias: bool = True
    per_channel: bool = False
    range_stds: float = 6.0


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network with 8-bit layers.

    Args:
        module: The network, in evaluation mode.
        equalized_pairs: Names of the layers of each pair that was equalized.
        skipped_layers: {layer: why it was not equalized}.
        absorbed_layers: Layers whose high bias was absorbed into the next layer.
    """

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
    """Quantize a trained float32 network.

    Args:
        trained: The trained network.
        graph: The same layers, some of them of type int8.
        input_stats: The statistics of the network's input.
        config: The steps of the quantization.
        images: Inputs [n, channels, height, width] that ranges are observed on; without them ranges follow from batch-norms.

    Raises:
        ConfigError: For a graph with other layers.
    """
    _validate_same_layers(trained.graph, graph)
    folded, known = fold_batch_norms(trained), read_bn_stats(trained, config.range_stds)
    if images is not None:
        input_stats, known = observe(trained, images)
    pairs, skipped = find_pairs(graph)
    if config.equalize:
        equalize(pairs, folded, known)
    before, after = propagate(graph, folded, input_stats, known, config.range_stds)
    absorbed: list[str] = []
    if config.absorb_bias:
        absorbed = absorb(pairs, folded, before, known)
        before, after = propagate(graph, folded, input_stats, known, config.range_stds)
    state = dict(trained.state_dict())
    for layer in graph.layers:
        if layer.dtype != "int8":
            continue
        state = {key: values for key, values in state.items() if not key.startswith(f"{layer.name}.")}
        buffers = _compute_buffers(layer, folded.get(layer.name), before[layer.name], after, config)
        state |= {f"{layer.name}.{key}": values for key, values in buffers.items()}
    module = to_torch(graph, seed=0)
    module.load_state_dict(state)
    equalized = tuple((pair.first.name, pair.second.name) for pair in pairs) if config.equalize else ()
    return QuantizedNetwork(module.eval(), equalized, skipped, tuple(absorbed))


def _compute_buffers(
    layer: Layer, folded: FoldedLayer | None, before: ChannelStats, after: StatsByLayer, config: QuantizationConfig
) -> dict[str, Tensor]:
    """Return the buffers of an `Int8Layer`."""
    inputs = [after[name].range for name in layer.inputs]
    grids = [fit_grid(low, high) for low, high in slot_ranges(layer, inputs, before.range, after[layer.name].range)]
    assert len(grids) == len(slots(layer))  # noqa: S101  one range for each slot
    buffers = {
        "scales": torch.tensor([float(grid.scale) for grid in grids], dtype=torch.float32),
        "zeros": torch.tensor([grid.zero_point for grid in grids], dtype=torch.uint8),
    }
    if folded is None:
        return buffers
    channel_grids = weight_grids(folded.weight, per_channel=config.per_channel)
    scales = torch.tensor([float(grid.scale) for grid in channel_grids], dtype=torch.float64)
    zeros = torch.tensor([grid.zero_point for grid in channel_grids], dtype=torch.float64)
    shape = (-1, *[1] * (folded.weight.ndim - 1))
    codes = (torch.round(folded.weight / scales.view(shape)) + zeros.view(shape)).clamp(0, QUANT_MAX)
    bias = folded.bias
    if config.correct_bias:
        error = (codes - zeros.view(shape)) * scales.view(shape) - folded.weight
        bias = bias - FoldedLayer(error, bias, folded.groups).response(after[layer.inputs[0]].mean)
    steps = float(grids[0].scale) * scales
    limit = 2**31 - 1
    return buffers | {
        "codes": codes.to(torch.uint8),
        "weight_scales": scales.float(),
        "weight_zeros": zeros.to(torch.uint8),
        "bias": torch.round(bias / steps).clamp(-limit, limit).to(torch.int32),
    }


def weight_grids(weight: Tensor, *, per_channel: bool) -> list[Grid]:
    """Return the grid of each output channel's weights: one over the range of all weights, or one for each, symmetric about zero."""
    flat = weight.flatten(1)
    if per_channel:
        return symmetric_grids(np.asarray(flat.abs().amax(1).numpy()))
    return [fit_grid(float(flat.min()), float(flat.max()))] * len(flat)


def _validate_same_layers(trained: Graph, graph: Graph) -> None:
    if [vars(layer) | {"dtype": ""} for layer in trained.layers] != [
        vars(layer) | {"dtype": ""} for layer in graph.layers
    ]:
        raise ConfigError("the graph must have the same layers as the trained float32 network, but its layers differ")
