"""The noise-to-signal ratio by its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from donna_hw.training.distillation.block_evaluation import channel_variance, noise_to_signal_amplitude, nsr


def maps(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)))
def test_nsr_is_its_formula(seed: int, shape: tuple[int, ...]) -> None:
    target, output = maps(seed, shape), maps(seed + 1, shape)
    a, b = output.double().numpy(), target.double().numpy()
    ratios = [np.mean((a[:, c] - b[:, c]) ** 2) / max(np.var(b[:, c]), 1e-6) for c in range(shape[1])]
    assert float(nsr(output, target, channel_variance(target))) == pytest.approx(np.mean(ratios), rel=1e-4)


def test_equal_maps_have_none_and_the_channels_mean_has_one() -> None:
    target = 3 * maps(0, (6, 5, 4, 4)) + 2
    variance = channel_variance(target)
    mean = target.mean((0, 2, 3), keepdim=True).expand_as(target)
    assert float(nsr(target, target, variance)) == 0
    assert float(nsr(mean, target, variance)) == pytest.approx(1, rel=1e-5)


def test_nsr_does_not_change_with_a_channels_scale() -> None:
    target, output = maps(0, (6, 3, 4, 4)), maps(1, (6, 3, 4, 4))
    scale = torch.tensor([1.0, 100.0, 0.02])[:, None, None]
    ratio = nsr(output, target, channel_variance(target))
    scaled = nsr(output * scale, target * scale, channel_variance(target * scale))
    assert float(scaled) == pytest.approx(float(ratio), rel=1e-5)


def test_a_constant_channel_counts_with_a_small_variance() -> None:
    target = torch.ones(4, 2, 3, 3)
    assert channel_variance(target).tolist() == pytest.approx([1e-6, 1e-6])
    assert float(nsr(target + 1e-3, target, channel_variance(target))) == pytest.approx(1, rel=1e-3)


def test_the_amplitude_ratio_is_its_formula() -> None:
    target, output = maps(0, (6, 3, 4, 4)), maps(1, (6, 3, 4, 4))
    a, b = output.double().numpy(), target.double().numpy()
    ratios = [np.mean(np.abs(a[:, c] - b[:, c])) / np.std(b[:, c]) for c in range(3)]
    ratio = noise_to_signal_amplitude(output, target, channel_variance(target))
    assert float(ratio) == pytest.approx(np.mean(ratios), rel=1e-5)
