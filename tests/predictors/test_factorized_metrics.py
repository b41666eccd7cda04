"""Qualities that are products of one factor for each axis are predicted exactly, from blocks that differ on a single axis only."""

from __future__ import annotations

import numpy as np
import pytest

from donna_hw.errors import InsufficientDataError
from donna_hw.predictors.factorized_metrics import predict_quality, single_axis_mask
from donna_hw.spaces import load_space

STAGE = load_space("small_28px").stages[0]


def product() -> np.ndarray:
    generator, factors = np.random.default_rng(3), np.ones(())
    for count in STAGE.counts:
        factors = np.multiply.outer(factors, generator.uniform(0.1, 2, count))
    return factors.ravel()


def test_a_product_of_factors_is_predicted_exactly() -> None:
    np.testing.assert_allclose(predict_quality(STAGE, product()), product(), rtol=1e-12)


def test_only_blocks_that_differ_on_one_axis_are_read() -> None:
    assert single_axis_mask(STAGE).sum() == 1 + sum(count - 1 for count in STAGE.counts)
    hidden = np.where(single_axis_mask(STAGE), product(), np.nan)
    np.testing.assert_allclose(predict_quality(STAGE, hidden), product(), rtol=1e-12)


def test_a_diverged_reference_is_refused() -> None:
    quality = product()
    quality[STAGE.reference] = np.inf
    with pytest.raises(
        InsufficientDataError, match="1 blocks that differ from the reference on one axis have no finite quality"
    ):
        predict_quality(STAGE, quality)
