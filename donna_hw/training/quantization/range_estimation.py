"""The value statistics of every tensor of a network: propagated from batch-norms without images, or observed on images."""

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
    """Propagate value statistics through a graph.

    Layers without known statistics follow from their inputs, whose values are assumed to be independent and, before an activation,
    normal.

    Args:
        graph: The layers.
        folded: {layer: its folded weights}.
        input_stats: The statistics of the graph's input.
        known: {layer: statistics before its activation}, from a batch-norm or from images.
        range_stds: Standard deviations from the mean that ranges extend to.

    Returns:
        ({layer: statistics before its activation}, {layer or `input`: statistics after its activation}).

    Raises:
        ConfigError: For a layer of another kind, whose statistics cannot be predicted.
    """
    before: StatsByLayer = {}
    after: StatsByLayer = {INPUT: input_stats}
    for layer in graph.layers:
        inputs = [after[name] for name in layer.inputs]
        before[layer.name] = known.get(layer.name) or _propagate_layer(
            layer, folded.get(layer.name), inputs, range_stds
        )
        after[layer.name] = before[layer.name].apply_activation(layer.activation)
    return before, after


def _propagate_layer(
    layer: Layer, folded: FoldedLayer | None, inputs: list[ChannelStats], range_stds: float
) -> ChannelStats:
    first = inputs[0]
    if folded is not None:
        variance = (
            (folded.grouped_weight.square() * folded.reshape_for_inputs(first.std.square())).sum((2, 3)).flatten()
        )
        return ChannelStats.from_normal(folded.response(first.mean) + folded.bias, variance.sqrt(), range_stds)
    if layer.operator == "add":
        return first.add(inputs[1], range_stds)
    if layer.operator == "scale":
        return first.multiply(inputs[1])
    if layer.operator in (
        "max_pool",
        "global_pool",
    ):  # how much less a mean varies is unknown, so positions count as equal
        return first
    if layer.operator == "flatten":
        repeats = layer.out_shape[0] // len(first.mean)
        return ChannelStats(*(values.repeat_interleave(repeats) for values in vars(first).values()))
    raise ConfigError(f"the values of layer {layer.name} cannot be predicted, since its operator is {layer.operator}")


def observe(module: GraphModule, images: Tensor) -> tuple[ChannelStats, StatsByLayer]:
    """Observe value statistics on images.

    Args:
        module: The float32 network.
        images: [n, channels, height, width].

    Returns:
        (statistics of the input, {layer: statistics before its activation}).
    """
    sums: dict[str, list[Tensor]] = {}
    with torch.inference_mode():
        for batch in torch.split(images, BATCH):
            values = {INPUT: batch}
            _accumulate(sums, INPUT, batch)
            for layer in module.graph.layers:
                submodule = module.get_submodule(layer.name)
                assert isinstance(submodule, LayerModule)  # noqa: S101  only float32 networks are observed
                output = submodule.before_activation(*(values[name] for name in layer.inputs))
                _accumulate(sums, layer.name, output)
                values[layer.name] = submodule.activation(output)
    stats = {name: _summarize(torch.stack(parts)) for name, parts in sums.items()}
    return stats.pop(INPUT), stats


def _accumulate(sums: dict[str, list[Tensor]], name: str, values: Tensor) -> None:
    """Append the count, sum, sum of squares, minimum and maximum of each channel of a batch."""
    flat = values.transpose(0, 1).flatten(1).double()
    count = torch.full((len(flat),), flat.shape[1], dtype=torch.float64)
    rows = (count, flat.sum(1), flat.square().sum(1), flat.amin(1), flat.amax(1))
    sums.setdefault(name, []).append(torch.stack(rows))


def _summarize(parts: Tensor) -> ChannelStats:
    count, total, squares = parts[:, 0].sum(0), parts[:, 1].sum(0), parts[:, 2].sum(0)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    return ChannelStats(mean, deviation, parts[:, 3].amin(0), parts[:, 4].amax(0))
