"""Cross-layer equalization and absorption of high biases (DFQ, sections 4.1 and 4.2.1): they change ranges, not outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from donna_hw.graph.graph import Graph, Layer
from donna_hw.training.quantization.bn_folding import FoldedLayer
from donna_hw.training.quantization.channel_stats import ChannelStats

SCALE_EQUIVARIANT = ("none", "relu")  # activations that commute with a positive factor
MAX_ITERATIONS, TOLERANCE = 60, 1e-4


@dataclass(frozen=True)
class LayerPair:
    """Two 8-bit layers with weights, where only the second reads the output of the first."""

    first: Layer
    second: Layer


def find_pairs(graph: Graph) -> tuple[list[LayerPair], dict[str, str]]:
    """Return the pairs that can be equalized, and {layer: why not} of every other 8-bit layer with weights."""
    readers: dict[str, list[Layer]] = {}
    for layer in graph.layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    pairs, skipped = [], {}
    for layer in graph.layers:
        if layer.dtype != "int8" or not layer.weight_shape:
            continue
        following = readers.get(layer.name, [])
        if layer.name == graph.output or not following:
            skipped[layer.name] = "no layer follows"
        elif len(following) > 1:
            skipped[layer.name] = "several layers read it"
        elif not following[0].weight_shape:
            skipped[layer.name] = f"a layer without weights follows, {following[0].operator}"
        elif following[0].dtype != "int8":
            skipped[layer.name] = "a float32 layer follows"
        elif layer.activation not in SCALE_EQUIVARIANT:
            skipped[layer.name] = f"its activation is {layer.activation}"
        else:
            pairs.append(LayerPair(layer, following[0]))
    return pairs, skipped


def equalize(pairs: list[LayerPair], folded: dict[str, FoldedLayer], known: dict[str, ChannelStats]) -> None:
    """Scale the channels between the layers of each pair, in place, until each channel has equal ranges in both layers.

    A channel that is zero in one of the layers is not scaled. Pairs that share a layer are repeated until the factors converge.

    Args:
        pairs: The pairs of layers.
        folded: {layer: its folded weights}, changed in place.
        known: {layer: statistics before its activation}, changed in place.
    """
    for _ in range(MAX_ITERATIONS):
        change = max((_equalize_pair(pair, folded, known) for pair in pairs), default=0.0)
        if change < TOLERANCE:
            return


def _equalize_pair(pair: LayerPair, folded: dict[str, FoldedLayer], known: dict[str, ChannelStats]) -> float:
    first, second = folded[pair.first.name], folded[pair.second.name]
    output_ranges = first.weight.abs().flatten(1).amax(1)
    input_ranges = second.grouped_weight.abs().amax((1, 3)).flatten()
    factors = torch.where((output_ranges > 0) & (input_ranges > 0), (output_ranges / input_ranges).sqrt(), 1.0)
    shape = (-1, *[1] * (first.weight.ndim - 1))
    folded[pair.first.name] = replace(first, weight=first.weight / factors.view(shape), bias=first.bias / factors)
    weight = (second.grouped_weight * second.reshape_for_inputs(factors)).view(second.weight.shape)
    folded[pair.second.name] = replace(second, weight=weight)
    if pair.first.name in known:
        known[pair.first.name] = known[pair.first.name].scale(1 / factors)
    return float(factors.log().abs().max())


def absorb(
    pairs: list[LayerPair],
    folded: dict[str, FoldedLayer],
    before: dict[str, ChannelStats],
    known: dict[str, ChannelStats],
) -> list[str]:
    """Move high biases before a ReLU into the bias of the next layer, in place (DFQ, section 4.2.1).

    A channel's high bias is its mean less three standard deviations, if that is above zero: almost all values before the ReLU exceed
    it. Only the outputs of the few lower values change. A pair whose second layer has padding is skipped, since the zeros of the border
    do not shift.

    Args:
        pairs: The pairs of layers.
        folded: {layer: its folded weights}, changed in place.
        before: {layer: statistics before its activation}, changed in place.
        known: The part of them that is not propagated, changed in place.

    Returns:
        The first layers of the pairs of which a channel was absorbed.
    """
    absorbed = []
    for pair in pairs:
        if pair.first.activation != "relu" or pair.second.kernel > 1:
            continue
        first, second, stats = folded[pair.first.name], folded[pair.second.name], before[pair.first.name]
        high: Tensor = (stats.mean - 3 * stats.std).clamp_min(0)
        if not high.any():
            continue
        folded[pair.first.name] = replace(first, bias=first.bias - high)
        folded[pair.second.name] = replace(second, bias=second.bias + second.response(high))
        before[pair.first.name] = stats.shift(-high)
        if pair.first.name in known:
            known[pair.first.name] = known[pair.first.name].shift(-high)
        absorbed.append(pair.first.name)
    return absorbed
