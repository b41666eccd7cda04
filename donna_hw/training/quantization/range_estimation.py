"""The spread of every tensor of a network: propagated from batch-norms without any image, or observed on images."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from donna_hw.errors import ConfigError
from donna_hw.graph.graph import INPUT, Graph, Layer
from donna_hw.graph.torch_module import GraphModule, LayerModule
from donna_hw.training.quantization.bn_folding import FoldedLayer
from donna_hw.training.quantization.channel_stats import ChannelStats

StatsByLayer = dict[str, ChannelStats]
BATCH = 64


def propagate(
    graph: Graph,
    folded: Mapping[str, FoldedLayer],
    input_stats: ChannelStats,
    known: Mapping[str, ChannelStats],
    range_stds: float,
) -> tuple[StatsByLayer, StatsByLayer]:
    """Return {layer: spread} before each activation, and after it; `input` has the one given, of the graph's input.

    known: before the activation, of layers whose spread is known, by a batch-norm or by images. The others follow from their inputs, whose
    numbers are taken as independent and, before an activation, as normal.
    """
    before: StatsByLayer = {}
    reached: StatsByLayer = {INPUT: input_stats}
    for layer in graph.layers:
        inputs = [reached[name] for name in layer.inputs]
        before[layer.name] = known.get(layer.name) or _propagate_layer(
            layer, folded.get(layer.name), inputs, range_stds
        )
        reached[layer.name] = before[layer.name].apply_activation(layer.activation)
    return before, reached


def _propagate_layer(
    layer: Layer, own: FoldedLayer | None, inputs: list[ChannelStats], deviations: float
) -> ChannelStats:
    first = inputs[0]
    if own is not None:
        by = own.grouped_weight
        variance = (by.square() * own.reshape_for_inputs(first.std.square())).sum((2, 3)).flatten()
        return ChannelStats.from_normal(own.response(first.mean) + own.bias, variance.sqrt(), deviations)
    if layer.operator == "add":
        return first.add(inputs[1], deviations)
    if layer.operator == "scale":
        return first.multiply(inputs[1])
    if layer.operator in ("max_pool", "global_pool"):  # what a mean spreads less is not known: positions are alike
        return first
    if layer.operator == "flatten":
        repeats = layer.out_shape[0] // len(first.mean)
        return ChannelStats(*(values.repeat_interleave(repeats) for values in vars(first).values()))
    raise ConfigError("a layer must be one whose numbers can be foretold", got=f"{layer.name}, a {layer.operator}")


def observe(module: GraphModule, images: Tensor) -> tuple[ChannelStats, StatsByLayer]:
    """Return the spread of the input and of every layer before its activation, on images [n, channels, height, width]."""
    seen: dict[str, list[Tensor]] = {}
    with torch.inference_mode():
        for part in torch.split(images, BATCH):
            values = {INPUT: part}
            _accumulate(seen, INPUT, part)
            for layer in module.graph.layers:
                own = module.get_submodule(layer.name)
                assert isinstance(own, LayerModule)  # noqa: S101  only float32 networks are observed
                plain = own.before_activation(*(values[name] for name in layer.inputs))
                _accumulate(seen, layer.name, plain)
                values[layer.name] = own.activation(plain)
    found = {name: _summarize(torch.stack(parts)) for name, parts in seen.items()}
    return found.pop(INPUT), found


def _accumulate(seen: dict[str, list[Tensor]], name: str, values: Tensor) -> None:
    flat = values.transpose(0, 1).flatten(1).double()
    count = torch.full((len(flat),), flat.shape[1], dtype=torch.float64)
    sums = (count, flat.sum(1), flat.square().sum(1), flat.amin(1), flat.amax(1))
    seen.setdefault(name, []).append(torch.stack(sums))


def _summarize(parts: Tensor) -> ChannelStats:
    count, total, squares = parts[:, 0].sum(0), parts[:, 1].sum(0), parts[:, 2].sum(0)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    return ChannelStats(mean, deviation, parts[:, 3].amin(0), parts[:, 4].amax(0))
