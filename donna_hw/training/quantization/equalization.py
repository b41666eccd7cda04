"""Cross-layer equalisation and absorption of high biases (DFQ, sections 4.1 and 4.2.1): nothing that is computed changes, its ranges do."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from donna_hw.graph.graph import Graph, Layer
from donna_hw.training.quantization.bn_folding import FoldedLayer
from donna_hw.training.quantization.channel_stats import ChannelStats

SCALE_EQUIVARIANT = ("none", "relu")  # activations that a positive factor passes unchanged
MAX_ITERATIONS, TOLERANCE = 60, 1e-4


@dataclass(frozen=True)
class LayerPair:
    """Two 8-bit layers with weights, the second of which alone reads the first."""

    first: Layer
    second: Layer


def find_pairs(graph: Graph) -> tuple[list[LayerPair], dict[str, str]]:
    """Return the pairs that can be equalised, and {layer: why not} of every other 8-bit layer with weights."""
    readers: dict[str, list[Layer]] = {}
    for layer in graph.layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    pairs, skipped = [], {}
    for layer in graph.layers:
        if layer.dtype != "int8" or not layer.weight_shape:
            continue
        after = readers.get(layer.name, [])
        if layer.name == graph.output or not after:
            skipped[layer.name] = "nothing follows"
        elif len(after) > 1:
            skipped[layer.name] = "several layers read it"
        elif not after[0].weight_shape:
            skipped[layer.name] = f"a layer without weights follows, {after[0].operator}"
        elif after[0].dtype != "int8":
            skipped[layer.name] = "a float32 layer follows"
        elif layer.activation not in SCALE_EQUIVARIANT:
            skipped[layer.name] = f"{layer.activation} stands between"
        else:
            pairs.append(LayerPair(layer, after[0]))
    return pairs, skipped


def equalize(pairs: list[LayerPair], folded: dict[str, FoldedLayer], known: dict[str, ChannelStats]) -> None:
    """Scale the channels between the layers of each pair until both have equal ranges in each, in place.

    A channel that is zero on one side is left as it is. Pairs that share a layer are gone through until they settle.
    """
    for _ in range(MAX_ITERATIONS):
        change = max((_equalize_pair(pair, folded, known) for pair in pairs), default=0.0)
        if change < TOLERANCE:
            return


def _equalize_pair(pair: LayerPair, folded: dict[str, FoldedLayer], known: dict[str, ChannelStats]) -> float:
    first, second = folded[pair.first.name], folded[pair.second.name]
    mine = first.weight.abs().flatten(1).amax(1)
    its = second.grouped_weight.abs().amax((1, 3)).flatten()
    factors = torch.where((mine > 0) & (its > 0), (mine / its).sqrt(), 1.0)
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
    """Move what almost all numbers before a ReLU have above zero, three deviations less than the mean, into the next bias, in place.

    Return the layers of which some channel was: those before a ReLU that a layer without padding follows, since a border's zeros would
    stay. The one thing that changes are the few numbers further below the mean.
    """
    absorbed = []
    for pair in pairs:
        if pair.first.activation != "relu" or pair.second.kernel > 1:
            continue
        first, second, spread = folded[pair.first.name], folded[pair.second.name], before[pair.first.name]
        high: Tensor = (spread.mean - 3 * spread.std).clamp_min(0)
        if not high.any():
            continue
        folded[pair.first.name] = replace(first, bias=first.bias - high)
        folded[pair.second.name] = replace(second, bias=second.bias + second.response(high))
        before[pair.first.name] = spread.shift(-high)
        if pair.first.name in known:
            known[pair.first.name] = known[pair.first.name].shift(-high)
        absorbed.append(pair.first.name)
    return absorbed
