"""Features of layers: closed forms on graphs made by hand, and what must hold for every graph."""

from __future__ import annotations

import time

import numpy as np
import pytest
from fakes import tiny_space
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw.costs.features import (
    BYTES,
    FEATURES,
    LAUNCHES,
    MACS,
    ROOFLINE_TERMS,
    block_features,
    fixed_features,
    graph_features,
    roofline_terms,
)
from donna_hw.errors import ConfigError
from donna_hw.graph.builder import GraphBuilder, lower, lower_chain
from donna_hw.graph.graph import Graph, layers_hash
from donna_hw.spaces import load_space
from donna_hw.spaces.cells import Classifier, ConvNormAct, InvertedResidual

BOTTLENECKS = st.builds(
    InvertedResidual,
    channels=st.sampled_from([4, 8, 16]),
    stride=st.sampled_from([1, 2]),
    kernel=st.sampled_from([1, 3, 5]),
    expand=st.sampled_from([1, 2, 3]),
    depth=st.integers(1, 3),
    activation=st.sampled_from(["relu", "swish"]),
    attention=st.sampled_from(["none", "se"]),
    cell=st.sampled_from(["depthwise", "grouped"]),
)


def named(graph: Graph) -> dict[str, float]:
    return {name: value for name, value in zip(FEATURES, graph_features(graph), strict=True) if value}


def test_a_hand_made_graph_by_closed_form() -> None:
    builder = GraphBuilder((4, 6, 6))
    x = builder.conv("input", 8, kernel=1, activation="swish", name="expand")
    y = builder.conv(x, 8, kernel=3, stride=2, groups=8, name="depthwise")
    y = builder.conv(y, 8, kernel=3, groups=2, name="grouped")
    z = builder.global_pool(y, name="pool")
    z = builder.conv(z, 8, batch_norm=False, activation="sigmoid", name="gate")
    y = builder.scale(y, z, name="scale")
    y = builder.conv(y, 8, kernel=3, name="spatial")
    graph = Graph(builder.input_shape, tuple(builder.layers))
    big, small, channels = 8 * 36, 8 * 9, 8
    read = 4 * 36 + big + small + small + channels + (small + channels) + small
    written = big + small + small + channels + channels + small + small
    weights = (4 * 8 + 8) + (8 * 9 + 8) + (8 * 4 * 9 + 8) + (8 * 8 + 8) + (8 * 8 * 9 + 8)
    assert named(graph) == {
        "pointwise_macs": 4 * 8 * 36,
        "depthwise_macs": 8 * 9 * 9,
        "grouped_macs": 8 * 4 * 9 * 9,
        "vector_macs": 8 * 8,
        "spatial_macs": 8 * 8 * 9 * 9,
        "bytes_read": 4 * read,
        "bytes_written": 4 * written,
        "weight_bytes": 4 * weights,
        "exponential_elements": big + channels,
        **dict.fromkeys(("pointwise_layers", "depthwise_layers", "grouped_layers", "vector_layers"), 1),
        **dict.fromkeys(("spatial_layers", "pool_layers", "elementwise_layers"), 1),
    }


def test_a_flatten_moves_nothing_and_a_linear_layer_is_a_vector_product() -> None:
    found = named(lower(Classifier(10), (16, 2, 2)))
    assert found == {
        "vector_macs": 160,
        "bytes_read": 4 * (64 + 16),
        "bytes_written": 4 * (16 + 10),
        "weight_bytes": 4 * 170,
        "vector_layers": 1,
        "pool_layers": 1,
    }


@given(block=BOTTLENECKS, second=BOTTLENECKS)
@settings(max_examples=60, deadline=None)
def test_macs_are_the_graphs_own_and_a_chain_is_the_sum_of_its_parts(
    block: InvertedResidual, second: InvertedResidual
) -> None:
    first = lower(block, (8, 7, 7))
    after = lower(second, first.output_shape)
    features = graph_features(first)
    assert features[: len(MACS)].sum() == first.macs
    assert (features >= 0).all()
    launches = features[FEATURES.index(LAUNCHES[0]) :].sum()
    assert launches == len(first.layers)
    chain = lower_chain([("a", block), ("b", second)], (8, 7, 7))
    assert graph_features(chain) == pytest.approx(features + graph_features(after))


def test_the_physical_terms_leave_nothing_out() -> None:
    graph = lower(InvertedResidual(8, depth=2, attention="se"), (8, 7, 7))
    features = dict(zip(FEATURES, graph_features(graph), strict=True))
    terms = dict(zip(ROOFLINE_TERMS, roofline_terms(graph_features(graph)), strict=True))
    assert terms["macs"] + terms["depthwise_macs"] == graph.macs
    assert terms["bytes"] == sum(features[name] for name in BYTES)
    assert terms["launches"] == len(graph.layers)


def test_a_spaces_blocks_in_the_order_of_their_numbers() -> None:
    space = tiny_space()
    features = block_features(space)
    assert [values.shape for values in features] == [(4, len(FEATURES))] * 2
    for stage, values in zip(space.stages, features, strict=True):
        for m in range(stage.size):
            assert values[m] == pytest.approx(graph_features(space.block_graph(stage, m)))
    row = np.array([1, 2])
    network = graph_features(space.network_graph(space.architecture(row)))
    assert fixed_features(space) + sum(v[m] for v, m in zip(features, row, strict=True)) == pytest.approx(network)


def test_blocks_of_equal_layers_have_equal_features_and_the_largest_space_is_quick() -> None:
    space = load_space("donna")
    began = time.process_time()
    features = block_features(space)
    assert time.process_time() - began < 3
    kept: dict[str, np.ndarray] = {}
    for m in range(0, 384, 7):
        key = layers_hash(space.block_graph(space.stages[0], m))
        assert kept.setdefault(key, features[0][m]) == pytest.approx(features[0][m])


def test_settings_are_refused_where_there_are_no_global_axes() -> None:
    with pytest.raises(ConfigError, match="one setting of each global axis"):
        block_features(tiny_space(), (1,))


def test_channels_that_do_not_fill_vectors_are_ragged_where_there_are_groups() -> None:
    def ragged(channels: int, groups: int) -> float:
        builder = GraphBuilder((channels, 5, 5))
        builder.conv("input", channels, kernel=3, groups=groups, activation="hard_swish", name="conv")
        found = named(Graph(builder.input_shape, tuple(builder.layers)))
        assert found["piecewise_elements"] == 25 * channels
        return found.get("ragged_macs", 0)

    assert ragged(6, 6) == 6 * 25 * 9
    assert ragged(8, 8) == ragged(6, 1) == 0


def test_an_isolated_stem_is_spatial() -> None:
    assert named(lower(ConvNormAct(8, kernel=3, stride=2), (3, 8, 8)))["spatial_macs"] == 8 * 3 * 9 * 16
