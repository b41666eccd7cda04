"""Features: what a device has to do for the layers of a block, in plain counts; shared by the models of cost."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import prod

import numpy as np

from donna_hw.errors import ConfigError
from donna_hw.graph.graph import Graph, Layer
from donna_hw.spaces.space import Space

# Every multiply-accumulate is of one kind, because devices run the kinds at very different speeds. `vector`: a linear layer, or a
# convolution of a 1x1 map, whose weights are used once each. ragged_macs: those of grouped convolutions whose channels do not fill
# vectors, for which runtimes have a slower path. The elements are outputs of an activation that is no clamp, with or without an
# exponential.
MACS = ("pointwise_macs", "spatial_macs", "grouped_macs", "depthwise_macs", "vector_macs")
BYTES = ("bytes_read", "bytes_written", "weight_bytes")
LAUNCHES = tuple(
    f"{kind}_layers" for kind in ("pointwise", "spatial", "grouped", "depthwise", "vector", "pool", "elementwise")
)
ELEMENTS = ("exponential_elements", "piecewise_elements")
FEATURES = (*MACS, "ragged_macs", *BYTES, *ELEMENTS, *LAUNCHES)

# The few terms of a roofline, each a sum of features: a prior for whole networks.
ROOFLINE_TERMS = ("macs", "depthwise_macs", "bytes", "launches")

ACTIVATION_FEATURES = {
    "swish": ELEMENTS[0],
    "sigmoid": ELEMENTS[0],
    "hard_swish": ELEMENTS[1],
    "hard_sigmoid": ELEMENTS[1],
}
VECTOR_CHANNELS = 4  # channels of the narrowest vectors in use: 128 bits of float32
ITEM_BYTES = {"float32": 4, "float16": 2, "int8": 1}


def graph_features(graph: Graph) -> np.ndarray:
    """Return the features of a graph for one image, float [len(FEATURES)]: the sum over its layers."""
    return _sum_features(graph.layers)


def block_features(space: Space, settings: tuple[int, ...] = ()) -> tuple[np.ndarray, ...]:
    """Return the features of every block, float [blocks, len(FEATURES)] for each stage.

    Raises `ConfigError` for a space with global axes, or settings of them: its blocks have more than one input shape.
    """
    _validate_no_settings(space, settings)
    return tuple(
        np.stack([graph_features(space.block_graph(stage, m)) for m in range(stage.size)]) for stage in space.stages
    )


def fixed_features(space: Space, settings: tuple[int, ...] = ()) -> np.ndarray:
    """Return the features of all fixed parts together, float [len(FEATURES)]; see `block_features`."""
    _validate_no_settings(space, settings)
    return _sum_features(layer for name in space.fixed for layer in space.fixed_graph(name).layers)


def roofline_terms(features: np.ndarray) -> np.ndarray:
    """Return the terms `ROOFLINE_TERMS` of features [..., len(FEATURES)], float [..., 4]: dense and depthwise MACs, bytes, launches."""
    terms = (tuple(name for name in MACS if name != "depthwise_macs"), ("depthwise_macs",), BYTES, LAUNCHES)
    return np.stack([features[..., [FEATURES.index(name) for name in names]].sum(axis=-1) for names in terms], axis=-1)


def classify_layer(layer: Layer) -> str:
    """Return which feature of `LAUNCHES` a layer counts for, without `_layers`; `none` for a flatten, which moves nothing."""
    if layer.operator == "conv":
        if prod(layer.out_shape[1:]) == 1 and prod(layer.in_shape[1:]) == 1:
            return "vector"
        if layer.groups > 1:
            return "depthwise" if layer.groups == layer.in_shape[0] == layer.out_shape[0] else "grouped"
        return "pointwise" if layer.kernel == 1 else "spatial"
    if layer.module_spec is not None:  # its work is unknown; the Gaussian process rejects it
        return "spatial" if layer.macs else "elementwise"
    kinds = {
        "linear": "vector",
        "max_pool": "pool",
        "global_pool": "pool",
        "add": "elementwise",
        "scale": "elementwise",
    }
    return kinds.get(layer.operator, "none")


def _sum_features(layers: Iterable[Layer]) -> np.ndarray:
    total = np.zeros(len(FEATURES))
    for layer in layers:
        total += _layer_features(layer)
    return total


@lru_cache(maxsize=1 << 16)
def _layer_features(layer: Layer) -> np.ndarray:
    """Return one layer's features; cached, since the blocks of a space share most of their layers."""
    kind, features = classify_layer(layer), dict.fromkeys(FEATURES, 0.0)
    if kind == "none":
        return np.zeros(len(FEATURES))
    if layer.macs:
        features[f"{kind}_macs"] = layer.macs
        features["ragged_macs"] = layer.macs * (layer.groups > 1 and layer.out_shape[0] % VECTOR_CHANNELS > 0)
    second = {"add": prod(layer.in_shape), "scale": layer.in_shape[0]}.get(layer.operator, 0)
    item = ITEM_BYTES.get(layer.dtype, 4)
    features["bytes_read"] = item * (prod(layer.in_shape) + second)
    features["bytes_written"] = item * prod(layer.out_shape)
    weights = prod(layer.weight_shape) + layer.out_shape[0] if layer.weight_shape else 0  # as deployed: weights, a bias
    if layer.module_spec is not None:
        weights = layer.params
    features["weight_bytes"] = item * weights
    if layer.activation in ACTIVATION_FEATURES:
        features[ACTIVATION_FEATURES[layer.activation]] = prod(layer.out_shape)
    features[f"{kind}_layers"] = 1
    return np.array(list(features.values()), np.float64)


def _validate_no_settings(space: Space, settings: tuple[int, ...]) -> None:
    if space.global_axes or settings:
        raise ConfigError(
            "features need one setting of each global axis",
            got=", ".join(axis.name for axis in space.global_axes) or settings,
            hint="compute those of the space at that setting",
        )
