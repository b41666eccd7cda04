"""Sections have the block's layers, sum to it exactly where costs are additive, and their errors add up."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from donna_hw.errors import InsufficientDataError
from donna_hw.graph.builder import lower_chain
from donna_hw.graph.graph import layers_hash
from donna_hw.profiling.composition import Composition, Estimate, fit_composition, select_sample
from donna_hw.spaces import list_spaces, load_space
from donna_hw.spaces.cells import ConvNormAct
from donna_hw.spaces.sections import lower_sections
from donna_hw.spaces.space import Space

SPACES = [load_space(name) for name in list_spaces()]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_the_sections_of_every_block_of_every_shipped_space_are_its_layers(space: Space) -> None:
    for stage in space.stages:
        shape = space.input_shapes[stage.name]
        for m in range(stage.size):
            block, whole = stage.block(m), space.block_graph(stage, m)
            graphs = lower_sections(block, shape)
            sections = getattr(block, "sections", lambda block=block: (block,))()
            chain = lower_chain([(str(n), section) for n, section in enumerate(sections)], shape)
            assert layers_hash(chain) == layers_hash(whole), f"{stage.name} {stage.label(m)}"
            assert [graph.input_shape for graph in graphs] == [shape, *(graph.output_shape for graph in graphs[:-1])]
            assert sum(graph.macs for graph in graphs) == whole.macs
            assert len(graphs) == stage.choice(m).get("depth", 1)


def test_a_block_without_sections_is_its_only_section() -> None:
    [graph] = lower_sections(ConvNormAct(4), (3, 8, 8))
    assert layers_hash(graph) == layers_hash(lower_chain([("only", ConvNormAct(4))], (3, 8, 8)))


def random_sections(rng: np.random.Generator) -> list[Estimate]:
    return [Estimate(float(value), 0.0) for value in rng.uniform(1e-5, 1e-3, rng.integers(2, 6))]


@pytest.mark.parametrize(("scale", "joint_s"), [(1.0, 0.0), (0.93, -4e-6), (1.1, 2e-6)])
def test_a_declared_scale_and_joint_are_found_exactly(scale: float, joint_s: float) -> None:
    rng = np.random.default_rng(0)
    sections = [random_sections(rng) for _ in range(20)]
    whole = [Estimate(scale * sum(s.value_s for s in parts) + joint_s * (len(parts) - 1), 0.0) for parts in sections]
    found = fit_composition(sections, whole)
    assert (found.scale, found.sample_size) == (pytest.approx(scale, rel=1e-9), 20)
    assert found.joint_s == pytest.approx(joint_s, rel=1e-6, abs=1e-15)
    assert found.residual_std == pytest.approx(0, abs=1e-9)
    for parts, block in zip(sections, whole, strict=True):
        assert found.estimate(parts).value_s == pytest.approx(block.value_s, rel=1e-9)


def test_the_residual_is_that_of_blocks_left_out_one_by_one() -> None:
    rng = np.random.default_rng(1)
    sections = [random_sections(rng) for _ in range(10)]
    whole = [Estimate(sum(s.value_s for s in parts) * float(rng.uniform(0.8, 1.2)), 0.0) for parts in sections]
    errors = []
    for n, block in enumerate(whole):
        others = fit_composition(sections[:n] + sections[n + 1 :], whole[:n] + whole[n + 1 :])
        errors.append(others.estimate(sections[n]).value_s / block.value_s - 1)
    assert fit_composition(sections, whole).residual_std == pytest.approx(sqrt(np.mean(np.square(errors))), rel=1e-9)


def test_errors_of_a_repeated_section_add_up_and_those_of_others_in_quadrature() -> None:
    plain = Composition(0.5, 0.0, 0.0, 12)
    a, b = Estimate(1e-3, 3e-5), Estimate(2e-3, 4e-5)
    assert plain.estimate([a, a, a]).error_s == pytest.approx(0.5 * 3 * 3e-5)
    assert plain.estimate([a, b]).error_s == pytest.approx(0.5 * 5e-5)
    assert plain.estimate([a, b, b]).error_s == pytest.approx(0.5 * sqrt(3e-5**2 + 8e-5**2))
    rough = Composition(1.0, -1e-4, 0.1, 12)
    assert rough.estimate([a, b]).value_s == pytest.approx(2.9e-3)
    assert rough.estimate([a, b]).error_s == pytest.approx(sqrt(5e-5**2 + 2.9e-4**2))


def test_three_blocks_are_too_few_to_compose_from() -> None:
    rng = np.random.default_rng(0)
    sections = [random_sections(rng) for _ in range(3)]
    with pytest.raises(InsufficientDataError, match="at least 4 blocks measured whole; got 3"):
        fit_composition(sections, [Estimate(1e-3, 0.0)] * 3)


@pytest.mark.parametrize(("blocks", "expected"), [(5, 5), (12, 12), (60, 12), (300, 30)])
def test_a_tenth_is_sampled_twelve_at_least_and_every_depth_alike(blocks: int, expected: int) -> None:
    depths = {f"{n:04}": 2 + n % 3 for n in range(blocks)}
    chosen = select_sample(depths)
    assert len(chosen) == expected
    assert chosen <= depths.keys()
    counts = [sum(depths[key] == depth for key in chosen) for depth in (2, 3, 4)]
    assert max(counts) - min(counts) <= 1
    assert select_sample(dict(reversed(depths.items()))) == chosen
